"""What the exported C promises besides its integers: no allocation, no floats, clean in sanitizers, links anywhere."""

import platform
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bitgate import export
from bitgate.errors import ArgumentError, ToolError
from bitgate.export.c_fast import KERNELS, Kernels
from bitgate.export.c_kernels import (
    COUPLED_STEPS,
    SHARED_STEP_FUNCTIONS,
    STEP_FUNCTIONS,
    SUMS_STEP_FUNCTIONS,
    all_kernel_files,
    source_folder,
)
from bitgate.frozen import tables
from bitgate.frozen.record import SKIP_CELLS
from tests.export.build import ALL_FLAGS, COMPILERS, assert_program_equals, export_and_build
from tests.frozen.make import BINARY, CELL_GATES, SHARINGS, random_frozen_model, random_sequences

SANITIZE = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_kernel_compiles_without_warning(tmp_path: Path, compiler: str) -> None:
    sources = [str(source_folder() / name) for name in all_kernel_files() if name.endswith(".c")]
    assert len(sources) == 27
    subprocess.run([compiler, *ALL_FLAGS, "-O2", "-c", *sources], cwd=tmp_path, check=True)


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
@pytest.mark.parametrize("kernels", KERNELS)
def test_kernels_need_nothing_but_memcpy_and_memset(tmp_path: Path, kernels: Kernels) -> None:
    folder = tmp_path / "out"
    defined, wanted = set(), set()
    for cell, sharing in product(CELL_GATES, ("none", "psug2")):
        block_size = 16 if cell in SKIP_CELLS else None
        model = random_frozen_model(
            np.random.default_rng(0), cell=cell, state_bits=8, block_size=block_size, sharing=sharing
        )
        export.c99(model, folder, kernels=kernels)
        for path in export.compile_objects(folder, tmp_path, flags=["-Os", "-fno-pie"]):
            lines = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines()
            wanted |= {line.split()[-1] for line in lines if line.split()[-2] == "U"}
            defined |= {line.split()[-1] for line in lines if line.split()[-2] != "U"}
            assert not [line for line in lines if line.split()[-2] in "bBdDC"], "a writable global"
    assert "model_params" in defined
    assert wanted - defined <= {"memcpy", "memset"}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="only gcc tells the stack")
def test_stack_is_small_and_fixed(tmp_path: Path) -> None:
    """The deepest chain of calls is step, cell, pre-activation, row; bg_model.h promises 384 bytes, 448 with a skip."""
    sources = [str(source_folder() / name) for name in all_kernel_files() if name.endswith(".c")]
    subprocess.run(["gcc", "-std=c99", "-Os", "-fstack-usage", "-c", *sources], cwd=tmp_path, check=True)
    lines = [line.split("\t") for path in tmp_path.glob("*.su") for line in path.read_text().splitlines()]
    assert {kind for _, _, kind in lines} <= {"static", "dynamic,bounded"}  # bounded: arguments that gcc pushes
    frames = {place.split(":")[-1].split(".")[0]: int(size) for place, size, _ in lines}
    rows = max(size for name, size in frames.items() if name.startswith("bg_row_"))
    own = max(frames[name] for name in STEP_FUNCTIONS.values()) + frames["bg_preact"] + rows
    shared = max(frames[name] for name in SHARED_STEP_FUNCTIONS.values())
    shared += max(frames["bg_sum_unit"] + rows, frames["bg_shared_preact"])
    assert frames["bg_block_skip_step"] <= 64
    assert own < 320
    assert shared < 352
    assert frames["bg_model_step"] + max(own, shared) < 384
    steps = max(frames[name] for name in (*SUMS_STEP_FUNCTIONS.values(), *COUPLED_STEPS.values()))
    table = frames["bg_table_sums"] + frames["bg_add_side"]
    table += max(frames.get("bg_fill_tables", 0) + frames["bg_fill_groups"], frames["bg_table_rows"])
    separate = [frames[name] for name in SHARED_STEP_FUNCTIONS.values()]
    lanes = max(frames["bg_lanes_sums"], frames["bg_lanes_joint_sums"])
    lanes += frames["bg_lanes_gate"] + frames.get("bg_lanes_rows", 0)
    for sums in (table, lanes):
        assert sums < 448
        assert steps + sums < 576
        assert frames["bg_model_step"] + steps + sums < 640
        assert frames["bg_model_step"] + max(separate) + frames["bg_begin_units"] + sums < 640


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flag that forbids floats is x86's")
def test_only_the_input_map_uses_floats(tmp_path: Path) -> None:
    for name in all_kernel_files():
        if name.endswith(".c"):
            command = ["gcc", "-std=c99", "-O2", "-mgeneral-regs-only", "-c", "-o", tmp_path / "x.o"]
            done = subprocess.run([*command, str(source_folder() / name)], capture_output=True, text=True, check=False)
            assert (done.returncode == 0) == (name != "bg_input.c"), done.stderr


@pytest.mark.parametrize("cell", CELL_GATES)
def test_sanitizers_find_nothing(tmp_path: Path, cell: str) -> None:
    rng = np.random.default_rng(0)
    for k, levels in enumerate([(-1, 0, 1), BINARY, tuple(range(-8, 8))]):
        gates = [5, 0, 2, 3][: CELL_GATES[cell]]
        options = {"cell": cell, "levels": levels, "gate_levels": gates, "product_bits": [32, 64][k % 2]}
        options |= {"sharing": list(SHARINGS)[k], "block_size": k + 2 if cell in SKIP_CELLS else None}
        model = random_frozen_model(rng, hidden_sizes=(5, 3), **options)
        binary = export_and_build(model, tmp_path / f"out{k}", flags=SANITIZE)
        assert_program_equals(model, binary, rng)


def test_sanitizers_would_find_an_overrun(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0))
    export.c99(model, tmp_path)
    header = tmp_path / "src" / "model.h"
    header.write_text(header.read_text().replace("MODEL_SCRATCH_SIZE 5", "MODEL_SCRATCH_SIZE 1"))
    binary = export.compile_host(tmp_path, flags=SANITIZE)
    x = random_sequences(np.random.default_rng(0), model, 1, 2)
    with pytest.raises(ToolError, match="Sanitizer"):
        export.run_program(binary, list(x))


TWO_MODELS = """
#include <stdio.h>
#include "left.h"
#include "right.h"
int main(void) {
    left_state a;
    right_state b;
    int16_t x[LEFT_INPUT_SIZE * 3] = {1000, -2000, 3000, 50, 60, 70, -8000, 9000, 10000};
    int32_t logits[LEFT_CLASSES];
    left_init(&a);
    right_init(&b);
    left_run(&a, x, 3);
    for (int t = 0; t < 3; ++t) right_step(&b, x + t * RIGHT_INPUT_SIZE);
    left_logits(&a, logits);
    for (int k = 0; k < LEFT_CLASSES; ++k) printf("%ld ", (long)logits[k]);
    right_logits(&b, logits);
    for (int k = 0; k < RIGHT_CLASSES; ++k) printf("%ld ", (long)logits[k]);
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
@pytest.mark.parametrize("language", ["c", "c++"])
def test_two_models_in_one_program(tmp_path: Path, language: str) -> None:
    rng = np.random.default_rng(0)
    models = {"left": random_frozen_model(rng), "right": random_frozen_model(rng, cell="gru", levels=BINARY)}
    for name, model in models.items():
        export.c99(model, tmp_path / name, name=name)
        for path in (tmp_path / name / "src").glob("*.[ch]"):
            shutil.copy(path, tmp_path)
    compiler, standard = ("gcc", "c99") if language == "c" else ("g++", "c++11")
    main = tmp_path / ("two.c" if language == "c" else "two.cpp")
    main.write_text(TWO_MODELS)
    kernels = [path.name for path in tmp_path.glob("*.c") if path != main]
    subprocess.run(["gcc", *ALL_FLAGS, "-c", *kernels], cwd=tmp_path, check=True)
    flags = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Werror"]
    objects = [path.name for path in tmp_path.glob("*.o")]
    subprocess.run([compiler, f"-std={standard}", *flags, "-o", "two", main.name, *objects], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "two"], capture_output=True, text=True, check=True)
    codes = np.array([[1000, -2000, 3000], [50, 60, 70], [-8000, 9000, 10000]])
    expected = []
    for name in models:
        binary = export.compile_host(tmp_path / name, flags=["-O1"])
        expected += export.run_program(binary, [codes], codes=True)[1][0].tolist()
    assert [int(value) for value in done.stdout.split()] == expected


def test_table_in_c_is_the_formula() -> None:
    text = (source_folder() / "bg_activation.c").read_text()
    inner = text[text.index("[180] = {") + 9 : text.index("};")]
    values = [int(value) for value in inner.split(",") if value.strip()]
    expected = tables.sigmoid_table().tolist()
    assert values == expected[:180]
    assert set(expected[178:]) == {tables.ONE_Q15}, "BG_SMOOTH_END is where the table ends"


def test_code_bytes_agree_with_size(tmp_path: Path) -> None:
    export.c99(random_frozen_model(np.random.default_rng(0)), tmp_path / "out")
    objects = export.compile_objects(tmp_path / "out", tmp_path)
    assert len(objects) == 8
    total = export.code_bytes(objects)
    lines = subprocess.run(["size", "-A", "-d", *objects], capture_output=True, text=True, check=True).stdout
    sizes = [line.split() for line in lines.splitlines()]
    assert total.text == sum(int(row[1]) for row in sizes if row and row[0].startswith(".text"))
    constant = (".rodata", ".data.rel.ro")
    assert total.rodata == sum(int(row[1]) for row in sizes if row and row[0].startswith(constant))
    assert total.data == 0
    assert total.bss == 0
    assert total.flash == total.text + total.rodata
    assert total.text < 3000  # a whole LSTM with readout and input map, x86-64, -Os


def test_code_bytes_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"MZ")
    (tmp_path / "b").write_bytes(b"\x7fELF\x02\x01")
    with pytest.raises(ToolError, match="not an ELF file"):
        export.code_bytes([tmp_path / "a"])
    with pytest.raises(ToolError, match="damaged ELF file"):
        export.code_bytes([tmp_path / "b"])


def test_compiler_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="holds no exported C files"):
        export.compile_host(tmp_path)
    (tmp_path / "main.c").write_text("int main(void) { return x; }")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "model.c").write_text("int x;")
    with pytest.raises(ToolError, match="undeclared"):
        export.compile_host(tmp_path, "gcc")
    with pytest.raises(ToolError, match="compiler 'nocc' not found"):
        export.compile_host(tmp_path, "nocc")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="no C compiler found: install gcc or clang"):
        export.compile_host(tmp_path)


def test_program_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    binary = export_and_build(random_frozen_model(rng, classes=None), tmp_path / "out", flags=["-O0"])
    with pytest.raises(ToolError, match="expected 1 lines of class and logits"):
        export.run_program(binary, [np.zeros((2, 3))])
    with pytest.raises(ToolError, match="failed with 2: sequence 0, step 0"):
        export.run_program(binary, [np.zeros((1, 2))])
    with pytest.raises(ArgumentError, match=r"expected arrays \(T, I\)"):
        export.run_program(binary, [np.zeros(3)])
    with pytest.raises(ToolError, match="cannot run"):
        export.run_program(tmp_path / "nothing", [np.zeros((2, 3))])
