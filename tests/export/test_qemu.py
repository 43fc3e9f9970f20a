"""The exported program, built by GCC for boards that QEMU emulates, against the interpreter: every state and logit.

Independent of `bitgate verify`, which compiles by Zig and runs in unicorn: here compiler, C library, start-up code and
emulator are others, and raw features go through `quantize` on the board.
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from bitgate import export
from bitgate.export.c_fast import Kernels, order_weights, table_groups
from bitgate.export.c_kernels import all_kernel_files, knows_gates, source_folder
from bitgate.frozen.record import SKIP_CELLS
from tests.export.build import ALL_FLAGS, assert_program_equals
from tests.export.qemu import BOARDS, build_program
from tests.frozen.make import BINARY, CELL_GATES, FOUR, TERNARY, random_frozen_model

pytestmark = pytest.mark.slow

boards = pytest.mark.parametrize(
    "board",
    [
        pytest.param(name, marks=pytest.mark.skipif(bool(board.missing), reason=f"missing: {board.missing}"))
        for name, board in BOARDS.items()
    ],
)
# Kernels, state bits, product bits, levels, gates.
CASES = [
    ("plain", 16, 64, TERNARY, 0),
    ("plain", 13, 32, BINARY, 2),
    ("plain", 8, 32, FOUR, 5),
    ("table", 13, 32, TERNARY, 0),
    ("lanes", 8, 32, TERNARY, 2),
    ("table", 11, 32, TERNARY, 0),
    ("lanes", 8, 64, TERNARY, 0),
]
SHARING = ["none", "psug2", "odd", "none", "none", "psug2", "odd"]
PAIRS = [(k, cell) for k in range(len(CASES)) for cell in CELL_GATES]


@boards
@pytest.mark.parametrize(("case", "cell"), PAIRS)
def test_every_integer_is_the_interpreters(tmp_path: Path, board: str, case: int, cell: str) -> None:
    kernels, bits, product_bits, levels, gates = CASES[case]
    rng = np.random.default_rng(case)
    model = random_frozen_model(
        rng, cell=cell, state_bits=bits, product_bits=product_bits, levels=levels, input_size=[9, 3][case % 2],
        gate_levels=[gates] * CELL_GATES[cell], hidden_sizes=[(9, 6), (33,)][case % 2], per_row=case in (2, 5),
        classes=None if case == 2 and cell == "gru" else 4, sharing=SHARING[case],
        block_size=case + 1 if cell in SKIP_CELLS else None,
    )  # fmt: skip
    export.c99(model, tmp_path, kernels=kernels)
    program = build_program(tmp_path, BOARDS[board], ["O2", "Os"][case % 2])
    assert_program_equals(model, program, rng, lengths=(1, 9, 4))


@boards
@pytest.mark.parametrize(("kernels", "bits"), [("table", 13), ("lanes", 8)])
@pytest.mark.parametrize("gate_levels", [[0, 0, 0], [0, 2, 2]], ids=["smooth", "binary"])
def test_steps_that_know_their_gates(
    tmp_path: Path, board: str, kernels: Kernels, bits: int, gate_levels: list[int]
) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(
        rng, cell="coupled_lstm", state_bits=bits, gate_levels=gate_levels, input_size=70, hidden_sizes=(9, 6),
        short_biases=True,
    )  # fmt: skip
    assert all(knows_gates(layer, kernels) for layer in model.flat_layers)
    export.c99(model, tmp_path, kernels=kernels)
    assert_program_equals(model, build_program(tmp_path, BOARDS[board], "Os"), rng, lengths=(1, 9, 4))


@boards
@pytest.mark.parametrize("optimize", ["-O0", "-O2", "-Os"])
def test_every_kernel_compiles_without_warning(tmp_path: Path, board: str, optimize: str) -> None:
    sources = [str(source_folder() / name) for name in all_kernel_files() if name.endswith(".c")]
    flags = [flag for flag in BOARDS[board].flags if flag.startswith("-m") or flag == "--specs=picolibc.specs"]
    subprocess.run([BOARDS[board].compiler, *flags, *ALL_FLAGS, optimize, "-c", *sources], cwd=tmp_path, check=True)


@boards
def test_one_flipped_bit_is_found(tmp_path: Path, board: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, cell="coupled_lstm", input_size=9, hidden_sizes=(8,), state_bits=8)
    export.c99(model, tmp_path, kernels="table")
    program = build_program(tmp_path, BOARDS[board])
    assert_program_equals(model, program, np.random.default_rng(1))
    image = program.with_name("program.elf")
    content = bytearray(image.read_bytes())
    ordered = order_weights(model.flat_layers[0].w_ih, 3, "table", table_groups(model)).tobytes()
    assert content.count(ordered) == 1
    content[content.index(ordered)] ^= 2
    image.write_bytes(content)
    with pytest.raises(AssertionError):
        assert_program_equals(model, program, np.random.default_rng(1))


@boards
@pytest.mark.parametrize("kernels", ["plain", "table", "lanes"])
def test_integer_path_calls_no_floating_point(tmp_path: Path, board: str, kernels: str) -> None:
    """Without an FPU every float operation is a call of the compiler's support library, which nm shows."""
    model = random_frozen_model(np.random.default_rng(0), state_bits=8)
    export.c99(model, tmp_path / "out", kernels=kernels)
    assert_soft_floats_only_in_quantize(tmp_path, BOARDS[board].compiler, {
        "cortex-m0": ["-mcpu=cortex-m0", "-mthumb"],
        "cortex-m4": ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"],
        "cortex-m7": ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=soft"],
        "rv32": ["-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"],
    }[board])  # fmt: skip


def assert_soft_floats_only_in_quantize(folder: Path, compiler: str, flags: list[str]) -> None:
    objects = export.compile_objects(folder / "out", folder, compiler, flags=["-O2", *flags])
    calls = {}
    for path in objects:
        nm = subprocess.run([compiler.replace("gcc", "nm"), "-u", path], capture_output=True, text=True, check=True)
        calls[path.stem] = {line.split()[-1] for line in nm.stdout.splitlines()}
    float_calls = {
        name: {call for call in found if call.startswith(("__aeabi_f", "__aeabi_d", "__aeabi_i2f", "__aeabi_cf"))
               or (call.startswith("__") and call.rstrip("0123456789").endswith(("sf", "df", "sfsi")))}
        for name, found in calls.items()
    }  # fmt: skip
    assert float_calls.pop("bg_input"), "the check sees soft floats where they are"
    assert not any(float_calls.values()), float_calls
    assert not any(found & {"malloc", "calloc", "realloc", "free", "alloca"} for found in calls.values())
