"""Exact instructions and bytes of layers that share projections, beside the LSTM, by kernels (docs/targets.md).

python benchmarks/mcu_shared.py
python benchmarks/mcu_shared.py --steps 4 --out quick.json
python benchmarks/mcu_shared.py --table          # the table of docs/targets.md, from what was measured last

Every row is first verified against the interpreter; a row that differs ends the run.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mcu import STATE_BITS, TARGETS, random_model
from mcu_int8.table import FAST

from bitgate.export.c_fast import Kernels
from bitgate.export.verify import Verification, verify
from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel, PackedMatrix

SHAPES = ((4, 64), (64, 64), (128, 128))
FORMS: dict[str, tuple[tuple[int, ...] | None, bool]] = {
    "LSTM": (None, False),
    "psug2": ((0, 0, 1, 0), False),
    "psug2, block skip": ((0, 0, 1, 0), True),
    "psug1": ((0, 0, 0, 0), False),
}
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


def measure(target: str, kernels: Kernels, inputs: int, hidden: int, form: str, steps: int) -> Verification:
    """One row."""
    bits = STATE_BITS[kernels]
    model = random_model(inputs, hidden, "lstm", {}, bits)
    layers = ((share(model.layers[0][0], *FORMS[form]),),)
    shared = FrozenModel(bits, model.input_map, layers, None)
    x = np.random.default_rng(1).normal(size=(steps, inputs)).astype(np.float32)
    result = verify(shared, [x], target, kernels=kernels)
    if not result.is_equal:
        sys.exit(f"{target}, {kernels}, ({inputs}, {hidden}), {form}: {result.difference}")
    return result


def measure_all(steps: int) -> Iterator[dict[str, Any]]:
    """All rows."""
    for target in TARGETS:
        for kernels in ("plain", FAST[target]):
            for inputs, hidden in SHAPES:
                for form in FORMS:
                    found = measure(target, kernels, inputs, hidden, form, steps).as_dict()
                    bits = STATE_BITS[kernels]
                    yield {"input_size": inputs, "hidden_size": hidden, "form": form, "state_bits": bits, **found}


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of docs/targets.md: a line for each core, kind of kernels and shape."""
    first, *others = FORMS
    lines = [
        f"| core, kernels | (I, H) | {first} | {''.join(f'{form} | of it | ' for form in others)}flash | RAM |",
        "|---" * (2 * len(FORMS) + 3) + "|",
    ]
    for at in range(0, len(rows), len(FORMS)):
        group = rows[at : at + len(FORMS)]
        counts = [row["step_count_mean"] for row in group]
        cells = [f"{counts[0]:.0f}", *(f"{count:.0f} | {count / counts[0]:.2f}" for count in counts[1:])]
        cells += [", ".join(str(row[key]) for row in group) for key in ("flash_bytes", "ram_bytes")]
        shape = f"({group[0]['input_size']}, {group[0]['hidden_size']})"
        lines.append(f"| {group[0]['target']}, {group[0]['kernels']} | {shape} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=32, help="steps of random inputs that the mean is taken over")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file to write")
    parser.add_argument("--table", action="store_true", help="measure nothing, print Markdown from the JSON file")
    arguments = parser.parse_args()
    if not arguments.table:
        told = {"steps": arguments.steps, "rows": list(measure_all(arguments.steps))}
        arguments.out.write_text(json.dumps(told, indent=1) + "\n")
    print(markdown(json.loads(arguments.out.read_text())["rows"]))


if __name__ == "__main__":
    main()
