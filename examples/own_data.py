"""Your own sequences from a CSV table: train, freeze, and predict new ones by the names of their classes."""

import csv
import tempfile
from pathlib import Path

import numpy as np

from bitgate import freeze
from bitgate.data import load_dataset, read_sequences
from bitgate.train import FitConfig, Run, build_model, fit, load_weights

rng = np.random.default_rng(0)


def write(path: Path, sequences: int, labelled: bool) -> None:
    """One row per step: sequence, step, features, and a label where it is known. Here: rising and falling noise."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sequence", "step", "level", "noise"] + ["label"] * labelled)
        for k in range(sequences):
            slope = (-1) ** k
            for step in range(rng.integers(5, 12)):
                label = ["rising" if slope > 0 else "falling"] * labelled
                table.writerow([f"s{k}", step, slope * step + rng.normal(), rng.normal(), *label])


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    write(folder / "mine.csv", 300, labelled=True)
    config = FitConfig(data=f"{folder}/mine.csv", hidden_sizes=(8,), epochs=20, runs_dir=name, name="mine")
    print(f"test accuracy: {fit(config, progress=False)['test_map']:.1%}")

    data = load_dataset(config.data)
    model = build_model(config, data)
    load_weights(model, Run(folder / "mine"), "map")
    frozen = freeze(model, data.val).with_metadata(class_names=list(data.class_names))

    write(folder / "new.csv", 6, labelled=False)
    new, _, _ = read_sequences(folder / "new.csv")
    predicted = [frozen.class_names[k] for k in frozen.predict(*new.padded())]
    print("new sequences:", ", ".join(predicted))
    assert predicted == ["rising", "falling"] * 3
