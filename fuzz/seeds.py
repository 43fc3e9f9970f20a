"""The first inputs of both fuzzers, from which they go on.

python fuzz/seeds.py step FOLDER | load FOLDER
"""

import argparse
from pathlib import Path

import numpy as np
from tests.frozen.make import BINARY, CELL_GATES, FOUR, SHARINGS, TERNARY, random_frozen_model

from bitgate.frozen.record import SKIP_CELLS

MODELS = 24
"""As models.py makes by default."""


def write_step(folder: Path) -> None:
    """For every model and mode some bytes."""
    rng = np.random.default_rng(0)
    for number in range(MODELS):
        for mode in range(4):
            (folder / f"seed-{number}-{mode}").write_bytes(bytes([number, mode]) + rng.bytes(300))


def write_load(folder: Path) -> None:
    """A small model of every kind."""
    rng = np.random.default_rng(0)
    for k, cell in enumerate(CELL_GATES):
        for j, levels in enumerate((TERNARY, BINARY, FOUR)):
            model = random_frozen_model(
                rng,
                cell=cell,
                levels=levels,
                input_size=2,
                hidden_sizes=[(2,), (3, 2), ()][(j + k) % 3],
                state_bits=[8, 13, 16][(j + 2 * k) % 3],
                product_bits=[32, 64][(j + k) % 2],
                gate_levels=[0, 2, 3, 0][: CELL_GATES[cell]],
                per_row=j == 1,
                bidirectional=k == 1 and j == 0,
                classes=None if (j + k) % 3 == 0 else 2,
                class_names=["a", "b"] if (j + k) % 3 == 1 else None,
                sharing=list(SHARINGS)[(j + k) % len(SHARINGS)],
                block_size=2 if cell in SKIP_CELLS and j != 1 else None,
            )
            model.save(folder / f"seed-{cell}-{j}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fuzzer", choices=["step", "load"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    {"step": write_step, "load": write_load}[arguments.fuzzer](arguments.folder)


if __name__ == "__main__":
    main()
