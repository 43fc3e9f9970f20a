"""Exact instructions and bytes of layers that share projections, plain kernels, beside the LSTM (docs/targets.md).

python benchmarks/mcu_shared.py
python benchmarks/mcu_shared.py --steps 4 --out quick.json

Every row is first verified against the interpreter; a row that differs ends the run.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mcu import TARGETS, random_model

from bitgate.export.verify import Verification, verify
from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel, PackedMatrix

SHAPES = ((4, 64), (64, 64), (128, 128))
FORMS: dict[str, tuple[tuple[int, ...] | None, bool]] = {
    "LSTM": (None, False),
    "psug2": ((0, 0, 1, 0), False),
    "psug2, block skip": ((0, 0, 1, 0), True),
    "psug1": ((0, 0, 0, 0), False),
}
STATE_BITS = 13
OUT = Path(__file__).parent / "results" / "mcu_shared.json"


def first_rows(matrix: PackedMatrix, rows: int) -> PackedMatrix:
    """The matrix without its last rows."""
    return PackedMatrix.from_codes(matrix.codes[:rows], matrix.levels.copy())


def share(layer: FrozenLayer, sharing: tuple[int, ...] | None, has_skip: bool) -> FrozenLayer:
    """The layer with as many of its rows as there are projections, and a multiplier for each row of the gates."""
    if sharing is None:
        return layer
    rows = (max(sharing) + 1) * layer.hidden_size
    alpha = np.full(1, 16384, np.int32)
    return replace(
        layer,
        w_ih=first_rows(layer.w_ih, rows),
        w_hh=first_rows(layer.w_hh, rows),
        mult_ih=layer.by_row(layer.mult_ih),
        mult_hh=layer.by_row(layer.mult_hh),
        sharing=sharing,
        skip=BlockSkip(16, alpha, 1) if has_skip else None,
    )


def measure(target: str, inputs: int, hidden: int, form: str, steps: int) -> Verification:
    """One row."""
    model = random_model(inputs, hidden, "lstm", {}, STATE_BITS)
    layers = ((share(model.layers[0][0], *FORMS[form]),),)
    shared = FrozenModel(STATE_BITS, model.input_map, layers, None)
    x = np.random.default_rng(1).normal(size=(steps, inputs)).astype(np.float32)
    result = verify(shared, [x], target)
    if not result.is_equal:
        sys.exit(f"{target}, ({inputs}, {hidden}), {form}: {result.difference}")
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=32, help="steps of random inputs that the mean is taken over")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file to write")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| core | (I, H) | form | instructions | of the LSTM's | flash | RAM |\n|---|---|---|---|---|---|---|")
    for target in TARGETS:
        for inputs, hidden in SHAPES:
            whole = 0.0
            for form in FORMS:
                found = measure(target, inputs, hidden, form, arguments.steps)
                count = found.step_count_mean or 0.0
                whole = whole or count
                shares = f"{count:.0f} | {count / whole:.2f} | {found.flash_bytes} | {found.ram_bytes}"
                print(f"| {target} | ({inputs}, {hidden}) | {form} | {shares} |")
                rows.append({"input_size": inputs, "hidden_size": hidden, "form": form, **found.as_dict()})
    told = {"steps": arguments.steps, "state_bits": STATE_BITS, "rows": rows}
    arguments.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
