"""The folder of a run: what lies where, and how to get a trained model out of it."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import torch
import yaml

from bitgate.data import Dataset, load_dataset
from bitgate.data.text.corpus import Corpus, is_corpus
from bitgate.errors import ArgumentError, FormatError, UnsupportedError
from bitgate.nn import Classifier, LanguageModel, SequenceClassifier, TextClassifier
from bitgate.train.config import FitConfig

Best = Literal["map", "sample"]

_OF_THE_DATA = ("standardize.mean", "standardize.std", "round_input.step")  # what no training changes


@dataclass(frozen=True)
class Run:
    """Paths of one run: ``runs/NAME/{config.yaml, metrics.csv, result.json, checkpoints/, tensorboard/}``."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The configuration, as given plus defaults."""
        return self.path / "config.yaml"

    @property
    def metrics_file(self) -> Path:
        """A row per epoch."""
        return self.path / "metrics.csv"

    @property
    def result_file(self) -> Path:
        """Test metrics at the best epochs; there once the run has ended."""
        return self.path / "result.json"

    @property
    def checkpoints(self) -> Path:
        """``last.ckpt`` and the best by each validation metric."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Event files of TensorBoard."""
        return self.path / "tensorboard"

    def checkpoint(self, which: Literal["last", "best-map", "best-sample"]) -> Path:
        """Path of one checkpoint."""
        return self.checkpoints / f"{which}.ckpt"

    def write_config(self, config: FitConfig) -> None:
        """Writes config.yaml."""
        self.path.mkdir(parents=True, exist_ok=True)
        entries = dataclasses.asdict(config)
        entries = {k: list(v) if isinstance(v, tuple) else v for k, v in entries.items()}
        self.config_file.write_text(yaml.safe_dump(entries, sort_keys=False))

    def read_config(self) -> FitConfig:
        """Reads config.yaml.

        Raises:
            ArgumentError: there is no such run.
            FormatError: the file does not describe a run.
        """
        if not self.config_file.is_file():
            raise ArgumentError(f"run: {self.path} holds no config.yaml; give the folder of a run, such as runs/NAME")
        try:
            entries = yaml.safe_load(self.config_file.read_text())
            if not isinstance(entries, dict):
                raise TypeError("expected options and their values")
            entries |= {k: tuple(entries[k]) for k in ("hidden_sizes", "prior") if entries.get(k) is not None}
            return FitConfig(**entries)
        except (TypeError, ValueError, yaml.YAMLError) as error:
            raise FormatError(f"{self.config_file}: {error}") from error

    def read_result(self) -> dict[str, Any]:
        """Reads result.json.

        Raises:
            ArgumentError: the run has not ended.
        """
        if not self.result_file.is_file():
            raise ArgumentError(
                f"run: {self.path} has not ended (no result.json); continue it with `bitgate fit --resume`"
            )
        return dict(json.loads(self.result_file.read_text()))


@overload
def build_model(config: FitConfig, dataset: Dataset) -> Classifier: ...


@overload
def build_model(config: FitConfig, dataset: Corpus) -> LanguageModel: ...


def build_model(config: FitConfig, dataset: Dataset | Corpus) -> "Classifier | LanguageModel":
    """The untrained model of a configuration, which standardizes by the training part's statistics.

    Text has no features to standardize: its tokens are embedded.
    """
    torch.manual_seed(config.seed)
    options: dict[str, Any] = {
        "cell": config.cell,
        "weights": config.make_weights(),
        "gates": config.gates,
        "coupled": config.coupled and config.cell in ("lstm", "ql_lstm"),
        "sharing": config.sharing,
        "skip": config.skip,
        "block_size": config.block_size,
        "forget_bias": config.forget_bias,
        "bidirectional": config.bidirectional,
        "dropout": config.dropout,
        "state_bits": config.state_bits,
    }
    size = dataset.vocabulary_size
    if isinstance(dataset, Corpus):
        sizes: dict[str, Any] = {"embedding_size": config.embedding_size, "tied": config.tied}
        return LanguageModel(size, config.hidden_sizes, **sizes, **options)
    if size:
        return TextClassifier(
            size, dataset.n_classes, config.hidden_sizes, embedding_size=config.embedding_size, **options
        )
    model = SequenceClassifier(dataset.input_size, dataset.n_classes, config.hidden_sizes, **options)
    mean, std = dataset.train.mean_std()
    model.standardize.set(mean, std)
    model.calibrate_inputs(torch.from_numpy(dataset.train.features))
    return model


def load_run_dataset(config: FitConfig, data_dir: str | None = None) -> Dataset:
    """The data set of a configuration.

    Raises:
        UnsupportedError: a language model's: what asks for labelled sequences has nothing to do with one.
    """
    if is_corpus(config.data):
        raise UnsupportedError(f"data: {config.data} is running text of a language model, expected labelled sequences")
    return load_dataset(config.data, data_dir=data_dir or config.data_dir, split=config.split)


def load_weights(model: "Classifier | LanguageModel", run: Run, best: Best) -> tuple[int, float]:
    """Loads the checkpoint of the best epoch by one validation metric into ``model``; returns epoch and metric.

    Raises:
        ArgumentError: the run has no such checkpoint yet.
    """
    state = _read_checkpoint(run, best)
    model.load_state_dict(_weights_of(state))
    scores = [
        c["best_model_score"]
        for c in state["callbacks"].values()
        if c.get("monitor") in (f"val_{best}", "val_perplexity")
    ]
    return int(state["epoch"]), float(scores[0])


def start_from(model: "Classifier | LanguageModel", run: Run) -> None:
    """Loads the best network of another run as the start of a training.

    The model keeps its own standardization, and rounds its inputs or not as it does already.

    Raises:
        ArgumentError: the run has no checkpoint yet, or its layers or weights differ from the model's.
    """
    if not run.checkpoint("best-map").is_file():
        raise ArgumentError(
            f"init_from: {run.path} holds no trained network; give the folder of a run, such as runs/NAME"
        )
    weights, own = _weights_of(_read_checkpoint(run, "map")), model.state_dict()
    weights = {k: v for k, v in weights.items() if not k.endswith(_OF_THE_DATA)}
    weights |= {k: v for k, v in own.items() if k.endswith(_OF_THE_DATA)}
    shapes, expected = ({name: value.shape for name, value in part.items()} for part in (weights, own))
    differing = sorted({name for name, _ in shapes.items() ^ expected.items()})
    if differing:
        raise ArgumentError(
            f"init_from: {run.path} differs from this network in {', '.join(differing[:4])}"
            f"{', ...' if len(differing) > 4 else ''}; expected a run of the same layers, weights and method"
        )
    model.load_state_dict(weights)


def _read_checkpoint(run: Run, best: Best) -> dict[str, Any]:
    """The checkpoint of the best epoch by one validation metric.

    Raises:
        ArgumentError: the run has no such checkpoint yet.
    """
    path = run.checkpoint("best-map" if best == "map" else "best-sample")
    if not path.is_file():
        raise ArgumentError(f"run: {path} does not exist; let the run reach its first validation, or use --mode map")
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _weights_of(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    prefix = "model."
    return {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
