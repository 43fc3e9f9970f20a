"""The exported C program against the interpreter: every state of every step and every logit, exactly."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitgate import export
from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.frozen import FrozenModel
from bitgate.frozen.record import SKIP_CELLS
from tests.export.build import ALL_FLAGS, COMPILERS, assert_program_equals, export_and_build
from tests.frozen.make import (
    BINARY,
    CELL_GATES,
    EIGHT_BITS,
    FOUR,
    SHARINGS,
    SIXTEEN,
    TERNARY,
    random_frozen_model,
    random_layer,
    random_sequences,
    random_skip,
)

CPU_FUSES = "fma" in Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else False
GATES = {"smooth": [0, 0, 0, 0], "step": [2, 2, 2, 2], "mixed": [0, 2, 3, 5], "many": [256, 7, 2, 0]}
Case = tuple[str, int, int, str, tuple[int, ...]]
# Cell, state bits, product bits, gates, levels: every value of every column occurs with every cell over the whole.
FAST = [
    ("lstm", 16, 32, "smooth", TERNARY),
    ("coupled_lstm", 8, 32, "step", BINARY),
    ("gru", 13, 64, "mixed", FOUR),
    ("gated_rnn", 16, 32, "smooth", TERNARY),
    ("lstm", 13, 64, "mixed", FOUR),
    ("coupled_lstm", 16, 32, "step", BINARY),
    ("gru", 8, 32, "smooth", EIGHT_BITS),
]
SLOW = [
    (cell, bits, product_bits, gates, levels)
    for k, cell in enumerate(CELL_GATES)
    for j, (bits, product_bits) in enumerate([(8, 32), (8, 64), (13, 32), (13, 64), (16, 32), (16, 64)])
    for gates, levels in [
        (list(GATES)[(j + k) % 4], (BINARY, TERNARY, FOUR, SIXTEEN, EIGHT_BITS)[(j + 2 * k) % 5]),
        (list(GATES)[(j + k + 2) % 4], (TERNARY, BINARY, EIGHT_BITS)[(j + k) % 3]),
    ]
]


def check(tmp_path: Path, compiler: str, case: Case, seed: int) -> None:
    cell, bits, product_bits, gates, levels = case
    rng = np.random.default_rng(seed)
    model = random_frozen_model(
        rng,
        cell=cell,
        state_bits=bits,
        product_bits=product_bits,
        gate_levels=GATES[gates][: CELL_GATES[cell]],
        levels=levels,
        per_row=seed % 2 == 0,
        hidden_sizes=[(9, 5), (1,), (4, 3, 2)][seed % 3],
        input_size=[3, 1, 8][seed % 3],
        classes=None if seed % 5 == 4 else 4,
        sharing=list(SHARINGS)[seed % 4],
        block_size=[None, 1, 3, 5][seed % 4] if cell in SKIP_CELLS else None,
        range_bits=seed % 5,
    )
    binary = export_and_build(model, tmp_path / "out", compiler)
    assert_program_equals(model, binary, rng)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("case", FAST, ids=str)
def test_program_equals_interpreter(tmp_path: Path, compiler: str, case: Case) -> None:
    check(tmp_path, compiler, case, FAST.index(case))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(len(SLOW)))
def test_program_equals_interpreter_everywhere(tmp_path: Path, seed: int) -> None:
    check(tmp_path, COMPILERS[seed % len(COMPILERS)], SLOW[seed], seed)


def test_one_step_one_input_one_unit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, input_size=1, hidden_sizes=(1,), classes=1)
    binary = export_and_build(model, tmp_path / "out")
    assert_program_equals(model, binary, rng, lengths=(1,))


def test_readout_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, input_size=5, hidden_sizes=(), classes=3)
    binary = export_and_build(model, tmp_path / "out")
    assert_program_equals(model, binary, rng)


def test_different_cells_in_one_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, input_size=3, hidden_sizes=(4, 4, 4), cell="gru", state_bits=13)
    cells = ((3, "gru"), (4, "lstm"), (4, "coupled_lstm"), (4, "gated_rnn"))
    layers = [random_layer(rng, size, 4, cell=cell, state_bits=13) for size, cell in cells]
    layers.append(random_layer(rng, 4, 4, state_bits=13, sharing="psug2", skip=random_skip(rng, 4, block_size=3)))
    model = replace(model, layers=tuple((layer,) for layer in layers))
    assert_program_equals(model, export_and_build(model, tmp_path / "out"), rng)


def edit_array(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    """Rewrites the values of one array of the exported source."""

    def edit(text: str) -> str:
        start = text.index("{", text.index(f" {name}[")) + 1
        end = text.index("}", start)
        values = [value.strip() for value in text[start:end].split(",") if value.strip()]
        return f"{text[:start]}{', '.join(change(values))}{text[end:]}"

    return edit


SABOTAGE = {
    "flip one code": edit_array("layer0_w_ih_codes", lambda v: [f"{int(v[0], 16) ^ 2:#x}", *v[1:]]),
    "swap two gates": edit_array("layer0_bias", lambda v: [*v[4:8], *v[:4], *v[8:]]),
    "drop a bias": edit_array("layer0_bias", lambda v: ["0", *v[1:]]),
    "shift": edit_array("layer0_shift", lambda v: [str(int(v[0]) + 1), *v[1:]]),
    "readout": edit_array("readout_bias", lambda v: [str(int(v[0]) + 1), *v[1:]]),
    "gain": edit_array("model_input_gain", lambda v: ["1.0f", *v[1:]]),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_the_comparison_turns_red(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(4)
    model = random_frozen_model(rng, hidden_sizes=(4,), product_bits=64)
    export_and_build(model, tmp_path / "out")
    source = tmp_path / "out" / "src" / "model.c"
    source.write_text(SABOTAGE[name](source.read_text()))
    binary = export.compile_host(tmp_path / "out", flags=["-O1"])
    with pytest.raises(AssertionError):
        assert_program_equals(model, binary, rng)


def near_halves() -> tuple[FrozenModel, np.ndarray]:
    """A model whose logits show every single input code, and raw features at and around what rounds to halves."""
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, input_size=64, hidden_sizes=(), classes=4, levels=BINARY, state_bits=13)
    mean = np.where(np.arange(64) < 40, 0, model.input_map.mean).astype(np.float32)
    model = replace(model, input_map=replace(model.input_map, mean=mean))
    codes = rng.integers(-4200, 4200, (150, 64))
    codes[:50] = -1  # at -0.5 the sum cancels, so a product that was not rounded before it shows
    near = ((codes + 0.5) / model.input_map.gain + model.input_map.mean).astype(np.float32)
    x = np.nextafter(near, rng.choice([-np.inf, 0, np.inf], near.shape).astype(np.float32))
    x[-1, :9] = [3e38, -3e38, 0, -0.0, 1e-45, -1e-45, 1e-38, 1e9, -1e9]
    return model, x[:, None]


FUSING = ["-O3", "-march=native", "-ffp-contract=fast"]


def test_quantization_in_c_equals_python(tmp_path: Path) -> None:
    """Float32 rounding after each operation, no fused multiply-add, even where CPU and compiler have it."""
    model, x = near_halves()
    binary = export_and_build(model, tmp_path / "out", flags=FUSING)
    np.testing.assert_array_equal(export.run_program(binary, list(x))[1], model.run(x))
    codes = model.quantize(x)
    np.testing.assert_array_equal(export.run_program(binary, list(codes), codes=True)[1], model.run(x))
    assert len(np.unique(codes)) > 1000


@pytest.mark.skipif(not CPU_FUSES, reason="this CPU has no fused multiply-add")
def test_quantization_without_its_guard_turns_red(tmp_path: Path) -> None:
    model, x = near_halves()
    export.c99(model, tmp_path)
    binary = export.compile_host(tmp_path, flags=[*FUSING, "-Dvolatile="])
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(export.run_program(binary, list(x))[1], model.run(x))


def test_class_names_are_printed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ['say "hi"', "back\\slash", "what??/", "Grüße 7"]
    model = random_frozen_model(rng, class_names=names)
    binary = export_and_build(model, tmp_path / "out")
    x = random_sequences(rng, model, 12, 4)
    text = "".join(f"4\n{' '.join(f'{v:.9g}' for v in row.reshape(-1))}\n" for row in x)
    done = subprocess.run([binary], input=text, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{k} {names[k]}" for k in model.predict(x)]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("0\n", [], "sequence 0: 0 steps"),
        ("1\n1 2\n", [], "sequence 0, step 0: expected 3 numbers"),
        ("x\n", [], "expected a number of steps"),
        ("1\n1 2 40000\n", ["--codes"], "within the range of a code"),
        ("", ["--what"], "unknown option --what"),
    ],
)
def test_program_refuses_bad_text(tmp_path: Path, text: str, options: list[str], message: str) -> None:
    model = random_frozen_model(np.random.default_rng(0), hidden_sizes=(1,))
    binary = export_and_build(model, tmp_path / "out", flags=["-O0"])
    done = subprocess.run([binary, *options], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def files_of(model: FrozenModel, folder: Path) -> set[str]:
    return {path.name for path in export.c99(model, folder)}


def test_only_needed_kernels_are_copied(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gru = files_of(random_frozen_model(rng, cell="gru"), tmp_path / "a")
    assert {"bg_gru.c", "bg_row_ternary.c"} <= gru
    assert not gru & {"bg_lstm.c", "bg_coupled_lstm.c", "bg_row_binary.c", "bg_row_levels.c"}
    binary = files_of(random_frozen_model(rng, cell="lstm", levels=BINARY, classes=None), tmp_path / "a")
    assert {"bg_lstm.c", "bg_row_binary.c"} <= binary
    assert not binary & {"bg_gru.c", "bg_row_ternary.c", "bg_readout.c", "model_names.c"}
    left = {path.name for path in (tmp_path / "a").rglob("*") if path.is_file()}
    assert left == binary  # what only the first export needed is gone


def test_directories(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0))
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArgumentError, match="file is a file"):
        export.c99(model, tmp_path / "file")
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "src").write_text("x")
    with pytest.raises(ArgumentError, match="src is a file"):
        export.c99(model, tmp_path / "blocked")
    assert [path.name for path in (tmp_path / "blocked").iterdir()] == ["src"]
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("keep")
    paths = export.c99(model, tmp_path / "used")
    export.c99(model, tmp_path / "new" / "deep")
    assert (tmp_path / "used" / "mine.txt").read_text() == "keep"
    assert paths == sorted(paths)
    assert all(path.is_file() for path in paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "blocked",
        "file",
        "new",
        "used",
    ]  # nothing temporary remains
    assert export.c99(model, tmp_path / "used") == paths


def test_failed_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        export.c99(random_frozen_model(np.random.default_rng(0)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["2x", "a-b", "", "ä", "_x", "int", "main", "bg_model", "String", "Arduino", "a\n"])
def test_bad_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError, match="name: "):
        export.c99(random_frozen_model(np.random.default_rng(0)), tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


def test_bidirectional_models_are_refused(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0), bidirectional=True)
    with pytest.raises(UnsupportedError, match="bidirectional"):
        export.c99(model, tmp_path / "out")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_makefile_builds_with_all_warnings_as_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng)
    export.c99(model, tmp_path, name="gesture")
    done = subprocess.run(["make", "CFLAGS=-O1"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(flag in done.stdout for flag in ALL_FLAGS)
    assert_program_equals(model, tmp_path / "program", rng)


@pytest.mark.parametrize("size", [4, 5, 11])
def test_dense_weights(tmp_path: Path, size: int) -> None:
    """Five ternary weights to a byte, with whole and broken bytes."""
    rng = np.random.default_rng(size)
    model = random_frozen_model(rng, cell="coupled_lstm", input_size=size - 1, hidden_sizes=(size, 3), classes=size)
    dense = model.with_packing(dense=True)
    binary = export_and_build(dense, tmp_path / "out")
    assert (tmp_path / "out" / "src" / "bg_row_dense.c").exists()
    assert not (tmp_path / "out" / "src" / "bg_row_ternary.c").exists()
    assert_program_equals(model, binary, rng)


def test_dense_and_fast(tmp_path: Path) -> None:
    """The fast kernels have an order of their own, whatever the packing; the readout stays dense."""
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, state_bits=8).with_packing(dense=True)
    export.c99(model, tmp_path / "out", kernels="table")
    assert_program_equals(model, export.compile_host(tmp_path / "out", flags=["-O1"]), rng)
