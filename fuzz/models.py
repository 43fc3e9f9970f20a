"""Random frozen models as C for the step fuzzer: every kind of kernels that a model fits becomes a variant of it.

python fuzz/models.py --seed 0 --out build/fuzz        # then: see run.sh
"""

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from tests.frozen.make import BINARY, CELL_GATES, EIGHT_BITS, FOUR, SHARINGS, SIXTEEN, TERNARY, random_frozen_model

from bitgate import export
from bitgate.errors import UnsupportedError
from bitgate.export.c_fast import KERNELS, check_kernels
from bitgate.export.c_kernels import all_kernel_files, source_folder
from bitgate.frozen import FrozenModel
from bitgate.frozen.record import SKIP_CELLS

HERE = Path(__file__).parent
GATE_LEVELS = (0, 0, 0, 2, 2, 3, 5, 256)
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 33, 67)


def random_model(rng: np.random.Generator, number: int) -> FrozenModel:
    """A small model; every second one fits the fast kernels, and one in twelve has no recurrent layer."""
    is_fast = number % 2 == 0
    has_layers = number % 12 != 11
    cell = list(CELL_GATES)[number // 2 % len(CELL_GATES)]
    levels = TERNARY if is_fast else [BINARY, TERNARY, FOUR, SIXTEEN, EIGHT_BITS][rng.integers(5)]
    sharing = "none" if rng.integers(2) else str(rng.choice(list(SHARINGS)))
    block_size = int(rng.choice([1, 2, 3, 16, 32767])) if cell in SKIP_CELLS and rng.integers(2) else None
    sizes = [int(rng.choice(SIZES)) for _ in range(rng.integers(1, 3))] if has_layers else []
    options: dict[str, Any] = {
        "input_size": int(rng.choice(SIZES)),
        "classes": None if has_layers and rng.integers(4) == 0 else int(rng.integers(1, 7)),
        "state_bits": 8 if is_fast else int(rng.integers(8, 17)),
        "product_bits": int(rng.choice([32, 32, 64])),
        "gate_levels": [int(rng.choice(GATE_LEVELS)) for _ in range(CELL_GATES[cell])],
        "per_row": bool(rng.integers(2)),
        "range_bits": int(rng.integers(0, 5)),
        "short_biases": bool(rng.integers(2)),
    }
    if number % 16 == 2:  # a fast coupled LSTM: what the steps take that know their gates
        options |= {"product_bits": 32, "gate_levels": [[0, 0, 0], [0, 2, 2]][number // 16 % 2], "per_row": False}
        options["short_biases"] = rng.integers(3) > 0  # one in three has biases that they do not take
        sharing = "none"
    model = random_frozen_model(
        rng, cell=cell, hidden_sizes=sizes, levels=levels, sharing=sharing, block_size=block_size, **options
    )
    return model.with_packing(dense=number % 4 == 0)  # read by the plain kernels only


def write_variant(model: FrozenModel, number: int, kernels: str, out: Path) -> str | None:
    """Writes one model with one kind of kernels and what runs it; its name, or None where it does not fit."""
    try:
        check_kernels(model, kernels)
    except UnsupportedError:
        return None
    name = f"m{number}_{kernels}"
    export.c99(model, out / name, name=name, kernels=kernels)
    text = (HERE / "variant.c").read_text()
    text = re.sub(r"\bMODEL_", f"{name.upper()}_", text)
    (out / f"{name}.c").write_text(re.sub(r"\bmodel(_|\.h\b)", rf"{name}\1", text))
    sources = out / name / "src"
    for file in (f"{name}.c", f"{name}_names.c"):
        if (sources / file).exists():
            (sources / file).rename(out / f"data_{file}")
    (sources / f"{name}.h").rename(out / f"{name}.h")
    shutil.rmtree(out / name)
    return name


def write_table(names: list[tuple[str, int]], models: int, out: Path) -> None:
    """Writes the table of variants."""
    functions = "".join(f"uint64_t {name}_fuzz(uint8_t, const uint8_t *, size_t);\n" for name, _ in names)
    rows = "".join(f'    {{"{name}", {number}, {name}_fuzz}},\n' for name, number in names)
    (out / "table.c").write_text(
        f'#include "fuzz.h"\n\n{functions}\nconst fuzz_variant fuzz_variants[] = {{\n{rows}}};\n'
        f"const int fuzz_count = {len(names)};\nconst int fuzz_models = {models};\n"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the models")
    parser.add_argument("--models", type=int, default=24, help="how many")
    parser.add_argument("--out", type=Path, required=True, help="folder for the C files, new or empty")
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(arguments.models):
        model = random_model(np.random.default_rng([arguments.seed, number]), number)
        found = [write_variant(model, number, kernels, out) for kernels in KERNELS]
        names += [(name, number) for name in found if name is not None]
    write_table(names, arguments.models, out)
    for file in all_kernel_files():
        (out / file).write_text((source_folder() / file).read_text())
    for file in ("fuzz.h", "fuzz_step.c"):
        (out / file).write_text((HERE / file).read_text())
    print(f"{arguments.models} models, {len(names)} variants in {out}")


if __name__ == "__main__":
    main()
