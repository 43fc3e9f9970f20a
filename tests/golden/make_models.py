"""Makes version2.model, and for every version the integers that plain Python computes (tests/frozen/scalar.py).

PYTHONPATH=src:. python tests/golden/make_models.py

version1.model is never written again: it comes from the last commit before version 2 of the format (96da9a5), so that
files of that time are known to load and to give their integers.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.frozen import scalar
from tests.frozen.make import random_frozen_model, random_layer, random_sequences, random_skip

from bitgate.frozen import FrozenModel, load

FOLDER = Path(__file__).parent
LENGTHS = (11, 4)


def make_version2() -> FrozenModel:
    """A layer of every cell with a gate map, the first two with skips."""
    rng = np.random.default_rng(20261127)
    model = random_frozen_model(rng, input_size=3, hidden_sizes=(3,) * 4, classes=3, state_bits=13)
    layers = [
        random_layer(rng, 3, 3, state_bits=13, sharing="psug2", skip=random_skip(rng, 3, 3, 2), per_row=True),
        random_layer(
            rng,
            3,
            3,
            cell="coupled_lstm",
            state_bits=13,
            sharing="odd",
            skip=random_skip(rng, 3, 2),
            gate_levels=[0, 2, 5],
        ),
        random_layer(rng, 3, 3, cell="gru", state_bits=13, sharing="psug1", product_bits=64),
        random_layer(rng, 3, 3, cell="gated_rnn", state_bits=13, sharing="psug2", levels=(-1, 1)),
    ]
    return replace(model, layers=tuple((layer,) for layer in layers)).with_metadata(class_names=["a", "b", "c"])


def main() -> None:
    make_version2().save(FOLDER / "version2.model")
    for version in (1, 2):
        model = load(FOLDER / f"version{version}.model")
        x = random_sequences(np.random.default_rng(version), model, len(LENGTHS), max(LENGTHS))
        runs = [scalar.run(model, row[:length].tolist()) for row, length in zip(x, LENGTHS, strict=True)]
        told = {
            "x": [row[:length].tolist() for row, length in zip(x, LENGTHS, strict=True)],
            "states": [states for states, _ in runs],  # by sequence, layer and step: h, c
            "logits": [logits for _, logits in runs],
        }
        text = json.dumps(told, separators=(",", ":"))
        (FOLDER / f"version{version}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
