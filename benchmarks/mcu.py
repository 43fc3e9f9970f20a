"""Exact instructions per step of the exported C on small cores, plain and fast kernels (docs/targets.md).

python benchmarks/mcu.py
python benchmarks/mcu.py --targets cortex-m4 --steps 20 --out quick.json
python benchmarks/mcu.py --table          # the tables of docs/targets.md, from what was measured last

Every row is first verified against the interpreter; a row that differs ends the run.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from mcu_int8.count import count_int8
from mcu_int8.table import markdown
from rich.console import Console
from rich.table import Table

from bitgate.export.c_fast import MAX_STATE_BITS, Kernels
from bitgate.export.verify import verify
from bitgate.frozen import FrozenLayer, FrozenModel, InputMap, PackedMatrix

SHAPES = ((4, 64), (64, 32), (9, 128), (128, 64))
TARGETS = ("cortex-m0", "cortex-m4", "rv32")
GATES = {"smooth": {}, "step c,o": {"g": 2, "o": 2}}
STATE_BITS: dict[Kernels, int] = {"plain": 13, "table": MAX_STATE_BITS["table"], "lanes": MAX_STATE_BITS["lanes"]}
# Options, macros and kernels that are counted: the default, for speed, and without inner loops by hand.
# "plain dense" are the plain kernels with five weights to a byte.
DENSE = "plain dense"
BUILDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Os", (), (DENSE, "plain", "table", "lanes")),
    ("O2", (), ("table", "lanes")),
    ("O2", ("BG_ASSEMBLY=0",), ("table", "lanes")),
)
OUT = Path(__file__).parent / "results" / "mcu.json"

# Quoted, not measured here: prototypes of this project's planning phase (PERFORMANCE.md, section 3), best of the
# compilers gcc and zig. Plain int8: an LSTM with int8 weights in C, coupled, 3 gates, so only coupled rows are compared
# with it. CMSIS-NN: arm_lstm_unidirectional_s8 of 4 gates, hosted gcc: coupled rows owe part of their gain to the gate
# that they do not have; mcu_cmsis.py measures it again, from a checkout. Beside them, the int8 LSTM of mcu_int8/ is
# compiled and counted in the same run as the kernels, with as many gates as the row.
QUOTED_INT8 = {
    "cortex-m0": (80561, 54047, 391346, 204052),
    "cortex-m4": (49388, 32916, 249015, 124928),
    "rv32": (99070, 68409, 383551, 265863),
}
QUOTED_CMSIS_NN = {"cortex-m4": (70509, 42712, 207066, 130034)}


@dataclass(frozen=True)
class Row:
    """One measurement, and the quoted counts it is compared with."""

    target: str
    input_size: int
    hidden_size: int
    coupled: bool
    gates: str
    kernels: str
    state_bits: int
    optimize: str
    defines: tuple[str, ...]
    instructions: float
    code_bytes: int
    constant_bytes: int
    ram_bytes: int
    stack_bytes: int
    compiler: str
    int8_instructions: float
    quoted_int8: int | None
    quoted_cmsis_nn: int | None


def random_layer(
    rng: np.random.Generator, input_size: int, hidden_size: int, cell: str, gates: dict[str, int], largest: int = 1
) -> FrozenLayer:
    """Random weights up to ``largest``; multipliers that spread pre-activations from linear into saturation."""
    names = {"coupled_lstm": "igo", "lstm": "ifgo"}[cell]
    rows, levels = len(names) * hidden_size, np.arange(-largest, largest + 1, dtype=np.int8)
    w_ih, w_hh = (
        PackedMatrix.from_codes(rng.integers(0, len(levels), (rows, columns)).astype(np.uint8), levels)
        for columns in (input_size, hidden_size)
    )
    return FrozenLayer(
        cell=cell,
        gate_levels=tuple(gates.get(name, 0) for name in names),
        w_ih=w_ih,
        w_hh=w_hh,
        mult_ih=rng.integers(500, 1000, len(names)).astype(np.int32),
        mult_hh=rng.integers(500, 1000, len(names)).astype(np.int32),
        shift=np.full(len(names), 3 if largest == 1 else 9, dtype=np.int32),
        bias=8 * rng.integers(-(1 << 11), 1 << 11, rows).astype(np.int32),  # Q12, as freezing makes them
        bias_hn=None,
        product_bits=32,
    )


def random_model(
    input_size: int, hidden_size: int, cell: str, gates: dict[str, int], state_bits: int, largest: int = 1
) -> FrozenModel:
    """One layer without readout; inputs of unit variance fill a quarter of the range."""
    rng = np.random.default_rng(0)
    ones = np.ones(input_size, dtype=np.float32)
    layer = random_layer(rng, input_size, hidden_size, cell, gates, largest)
    return FrozenModel(state_bits, InputMap(0 * ones, ones * (1 << (state_bits - 3))), ((layer,),), None)


def measure(targets: list[str], steps: int) -> Iterator[Row]:
    for target in targets:
        for k, (input_size, hidden_size) in enumerate(SHAPES):
            for cell in ("coupled_lstm", "lstm"):
                x = np.random.default_rng(1).normal(size=(steps, input_size)).astype(np.float32)
                int8_count = count_int8(random_model(input_size, hidden_size, cell, {}, 8, 127), x, target)
                for gates in GATES:
                    for optimize, defines, kinds in BUILDS:
                        for kernels in kinds:
                            yield measure_one(target, k, cell, gates, kernels, optimize, defines, x, int8_count)


def measure_one(
    target: str, k: int, cell: str, gates: str, kernels: str, optimize: str, defines: tuple[str, ...],
    x: np.ndarray, int8_count: float,
) -> Row:  # fmt: skip
    """One verified count; ends the program where an integer differs."""
    kind: Kernels = "plain" if kernels == DENSE else kernels  # type: ignore[assignment]
    (input_size, hidden_size), bits = SHAPES[k], STATE_BITS[kind]
    model = random_model(input_size, hidden_size, cell, GATES[gates], bits).with_packing(dense=kernels == DENSE)
    result = verify(model, [x], target, kernels=kind, optimize=optimize, defines=defines)
    if not result.is_equal:
        sys.exit(f"{target}, ({input_size}, {hidden_size}), {kernels}: {result.difference}")
    cmsis = QUOTED_CMSIS_NN.get(target)
    int8 = QUOTED_INT8[target][k] if cell == "coupled_lstm" else None
    return Row(
        target, input_size, hidden_size, cell == "coupled_lstm", gates, kernels, bits, optimize, defines,
        result.step_count_mean, result.code_bytes, result.constant_bytes, result.ram_bytes,
        result.stack_bytes, result.compiler, int8_count, int8, cmsis[k] if cmsis else None,
    )  # fmt: skip


def show(rows: list[Row]) -> None:
    table = Table(title="instructions per step; in parts of int8 C counted here, and of quoted counts")
    names = ("core", "(I, H)", "gates", "activations", "kernels", "options", "bits", "instructions", "of int8")
    for name in (*names, "of int8, quoted", "of CMSIS-NN, quoted"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.target,
            f"({row.input_size}, {row.hidden_size})",
            "3" if row.coupled else "4",
            row.gates,
            row.kernels,
            " ".join((row.optimize, *row.defines)),
            str(row.state_bits),
            f"{row.instructions:.0f}",
            f"{row.instructions / row.int8_instructions:.3f}",
            f"{row.instructions / row.quoted_int8:.3f}" if row.quoted_int8 else "",
            f"{row.instructions / row.quoted_cmsis_nn:.3f}" if row.quoted_cmsis_nn else "",
        )
    Console(width=150).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--steps", type=int, default=20, help="steps of random inputs that the mean is taken over")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file to write")
    parser.add_argument("--table", action="store_true", help="measure nothing, print Markdown from the JSON file")
    arguments = parser.parse_args()
    if arguments.table:
        print(markdown(json.loads(arguments.out.read_text())["rows"]))
        return
    rows = list(measure(arguments.targets, arguments.steps))
    show(rows)
    compilers = {row.target: row.compiler for row in rows if row.optimize == "Os" and not row.defines}
    told = {"steps": arguments.steps, "compilers": compilers, "rows": [asdict(row) for row in rows]}
    for row in told["rows"]:
        del row["compiler"]
    arguments.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
