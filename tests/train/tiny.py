"""A data set that trains in a blink, written the way a user would write one: digits 0 to 3 of scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitgate.nn import SequenceClassifier
from bitgate.train import FitConfig, Run, build_model, load_run_dataset

CLASSES = 4
PER_PART = {"train": 160, "val": 48, "test": 48}


def write_digits(path: Path, **replaced: Any) -> Path:
    """Writes digits 0 to 3 as .npz with a split of its own; ``replaced`` arrays take the place of ours."""
    from sklearn.datasets import load_digits

    images, y = load_digits(return_X_y=True)
    # Shuffled, because the file is in the order of its writers.
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(y < CLASSES))[: sum(PER_PART.values())]
    ends = np.cumsum([0, *PER_PART.values()])
    splits = {f"split_{part}": np.arange(a, b) for part, a, b in zip(PER_PART, ends, ends[1:], strict=False)}
    arrays = {"x": images[chosen].reshape(-1, 8, 8).astype(np.float32), "y": y[chosen], **splits}
    np.savez(path, **(arrays | replaced))
    return path


def tiny_config(data: Path, /, **changes: Any) -> FitConfig:
    """Two epochs of a net of six units, in a folder beside the data."""
    given: dict[str, Any] = {
        "data": str(data),
        "runs_dir": str(data.parent / "runs"),
        "name": "tiny",
        "hidden_sizes": (6,),
        "epochs": 2,
        "batch_size": 32,
        "draws": 2,
    }
    return FitConfig(**(given | changes))


def run_of(config: FitConfig) -> Run:
    return Run(Path(config.runs_dir) / config.run_name)


def saved_weights(run: Run, which: str = "last") -> dict[str, torch.Tensor]:
    state = torch.load(run.checkpoint(which), weights_only=True)["state_dict"]
    assert state, "a checkpoint without weights would make every comparison of weights pass"
    return state


def equal_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def untrained(config: FitConfig) -> SequenceClassifier:
    return build_model(config, load_run_dataset(config))
