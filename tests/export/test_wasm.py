"""The WebAssembly package against the interpreter: in wasmtime, and in Node through its JavaScript class."""

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitgate import export
from bitgate.errors import ArgumentError, ToolError, UnsupportedError
from bitgate.export import wasm_build
from bitgate.export.c_fast import Kernels, order_weights, table_groups
from bitgate.export.difference import find_difference, reference
from bitgate.export.targets.machine import Driver
from bitgate.export.targets.module import Module
from bitgate.export.wasm_sections import custom_section, section_bytes
from bitgate.frozen import FrozenModel
from bitgate.frozen.record import SKIP_CELLS
from tests.export.targets import random_lengths
from tests.frozen.make import BINARY, CELL_GATES, FOUR, TERNARY, random_frozen_model

STUBS = Path(__file__).parent / "stubs"
HAS_CLANG = bool(shutil.which("clang") and shutil.which("wasm-ld"))
needs_compiler = pytest.mark.skipif(not (find_spec("ziglang") or HAS_CLANG), reason="missing: ziglang")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="missing: node")
needs_wasmtime = pytest.mark.skipif(find_spec("wasmtime") is None, reason="missing: wasmtime")

# Cell, state bits, levels, gates, kernels of model.wasm, whether there is a module with SIMD.
CASES = [
    ("lstm", 16, TERNARY, [0, 0, 0, 0], "plain", True),
    ("coupled_lstm", 8, TERNARY, [0, 2, 2], "table", True),
    ("gru", 8, TERNARY, [0, 4, 0], "table", True),
    ("coupled_lstm", 13, TERNARY, [2, 2, 2], "table", False),
    ("lstm", 8, BINARY, [2, 3, 0, 2], "plain", True),
    ("gru", 16, FOUR, [2, 0, 0], "plain", True),
]


def make(case: int, **options: Any) -> tuple[np.random.Generator, FrozenModel]:
    cell, bits, levels, gates, kernels, _ = CASES[case]
    rng = np.random.default_rng(case)
    return rng, random_frozen_model(
        rng, cell=cell, state_bits=bits, levels=levels, gate_levels=gates, input_size=[9, 3, 70][case % 3],
        hidden_sizes=[(8, 5), (33,), (1,)][case % 3], per_row=kernels == "plain" and case % 2 == 1, **options,
    )  # fmt: skip


def simd_kernels(kernels: Kernels) -> Kernels:
    """Kernels of model-simd.wasm beside those of model.wasm."""
    return "plain" if kernels == "plain" else "lanes"


def modules(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.wasm"))


def trace_in_node(folder: Path, sequences: list[np.ndarray], *options: str, codes: bool = False) -> dict[str, Any]:
    text = json.dumps({"sequences": [sequence.tolist() for sequence in sequences], "codes": codes})
    command = ["node", str(STUBS / "trace.mjs"), str(folder), *options]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def take_pairs(model: FrozenModel, state: list[int]) -> list[tuple[list[int], list[int]]]:
    """``h`` and ``c`` of every layer; anchor and position of a skip lie behind them."""
    pairs, at = [], 0
    for layer in model.flat_layers:
        size = layer.hidden_size
        pairs.append((state[at : at + size], state[at + size : at + 2 * size]))
        at += layer.state_size
    assert at == len(state)
    return pairs


def assert_node_equals(model: FrozenModel, told: dict[str, Any], sequences: list[np.ndarray]) -> None:
    for x, steps in zip(sequences, told["sequences"], strict=True):
        trace = model.trace(x[None])
        for t, step in enumerate(steps):
            assert take_pairs(model, step["state"]) == [
                (h[0, t].tolist(), c[0, t].tolist()) for h, c in zip(trace.h, trace.c, strict=True)
            ]
            assert step["output"] == trace.h[-1][0, t].tolist()
            if model.readout is not None:
                logits = model.run(x[None, : t + 1])[0]
                assert step["logits"] == logits.tolist()
                assert step["predicted"] == int(logits.argmax())


@pytest.mark.slow
@needs_compiler
@needs_node
@pytest.mark.parametrize("case", range(len(CASES)))
def test_every_integer_in_node(tmp_path: Path, case: int) -> None:
    """Raw features, so that quantization happens in the module, and codes; with and without SIMD."""
    rng, model = make(case, classes=None if case == 4 else 4)
    export.wasm(model, tmp_path)
    *_, kernels, has_simd = CASES[case]
    assert modules(tmp_path) == (["model-simd.wasm"] if has_simd else []) + ["model.wasm"]
    sequences = random_lengths(rng, model)
    for module in modules(tmp_path):
        told = trace_in_node(tmp_path, sequences, module)
        assert_node_equals(model, told, sequences)
        assert told["info"]["kernels"] == (simd_kernels(kernels) if module == "model-simd.wasm" else kernels)
    told = trace_in_node(tmp_path, [model.quantize(x) for x in sequences], codes=True)
    assert_node_equals(model, told, sequences)
    assert told["info"]["kernels"] == (
        simd_kernels(kernels) if has_simd else kernels
    )  # what load() without argument takes


@pytest.mark.slow
@needs_compiler
@needs_wasmtime
@pytest.mark.parametrize("case", range(len(CASES)))
def test_every_integer_in_wasmtime(tmp_path: Path, case: int) -> None:
    rng, model = make(case)
    export.wasm(model, tmp_path)
    *_, kernels, _ = CASES[case]
    x = random_lengths(rng, model)
    for module in modules(tmp_path):
        driver = Driver(
            Module(tmp_path / module), model, "model", simd_kernels(kernels) if "simd" in module else kernels
        )
        traces = [driver.run(model.quantize(sequence))[0] for sequence in x]
        assert find_difference(reference(model, x), traces) is None


@pytest.mark.slow
@needs_compiler
@needs_node
@pytest.mark.parametrize("cell", CELL_GATES)
def test_readout_alone_and_no_readout(tmp_path: Path, cell: str) -> None:
    rng = np.random.default_rng(0)
    for k, options in enumerate(({"hidden_sizes": (), "input_size": 5}, {"classes": None, "hidden_sizes": (4, 2)})):
        block_size = 2 if cell in SKIP_CELLS else None
        model = random_frozen_model(rng, cell=cell, sharing="psug2", block_size=block_size, **options)
        export.wasm(model, tmp_path / f"{k}")
        x = random_lengths(rng, model)
        told = trace_in_node(tmp_path / f"{k}", x)
        if model.readout is None:
            assert_node_equals(model, told, x)
        for sequence, steps in zip(x, told["sequences"], strict=True):
            assert model.readout is None or steps[-1]["logits"] == model.run(sequence[None])[0].tolist()


@pytest.mark.slow
@needs_compiler
@needs_node
def test_flipped_bits_are_found(tmp_path: Path) -> None:
    rng, model = make(1)
    export.wasm(model, tmp_path)
    x = random_lengths(rng, model)
    for module, kernels in (("model.wasm", "table"), ("model-simd.wasm", "lanes")):
        content = bytearray((tmp_path / module).read_bytes())
        ordered = order_weights(model.flat_layers[0].w_hh, 3, kernels, table_groups(model)).tobytes()
        assert content.count(ordered) == 1
        at = content.index(ordered)
        content[at : at + len(ordered)] = bytes(byte ^ 2 for byte in ordered)
        (tmp_path / module).write_bytes(content)
        with pytest.raises(AssertionError):
            assert_node_equals(model, trace_in_node(tmp_path, x, module), x)


@needs_compiler
@needs_node
def test_streams_states_and_errors_in_node(tmp_path: Path) -> None:
    names = ["Grüße", 'say "hi"', "c", "d"]
    model = random_frozen_model(np.random.default_rng(0), hidden_sizes=(6, 4), class_names=names)
    written = export.wasm(model, tmp_path)
    assert [path.name for path in written] == [
        "README.md",
        "bitgate.d.ts",
        "bitgate.js",
        "model-simd.wasm",
        "model.wasm",
        "package.json",
    ]
    done = subprocess.run(["node", STUBS / "behaviour.mjs", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    info = trace_in_node(tmp_path, [])["info"]
    assert info == {
        "inputSize": 3, "layers": [6, 4], "classes": 4, "classNames": names, "outputScale": model.output_scale,
        "codeLimit": 32767, "kernels": "plain",
    }  # fmt: skip


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(shutil.which("tsc") is None, reason="missing: tsc")
def test_declarations_fit_their_use(tmp_path: Path) -> None:
    export.wasm(random_frozen_model(np.random.default_rng(0)), tmp_path)
    shutil.copy(STUBS / "types.ts", tmp_path)
    command = ["tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--lib", "es2022,dom"]
    done = subprocess.run([*command, "types.ts"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@needs_node
@pytest.mark.skipif(not HAS_CLANG, reason="missing: clang or wasm-ld")
def test_clang_compiles_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm_build, "find_spec", lambda name: None)
    rng, model = make(1)
    export.wasm(model, tmp_path)
    assert "clang version" in (tmp_path / "README.md").read_text()
    assert "zig" not in (tmp_path / "README.md").read_text()
    x = random_lengths(rng, model)
    for module in ("model.wasm", "model-simd.wasm"):
        assert_node_equals(model, trace_in_node(tmp_path, x, module), x)


@pytest.mark.slow
@needs_compiler
def test_files_and_choice_of_kernels(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0), state_bits=8)
    export.wasm(model, tmp_path / "out")
    assert modules(tmp_path / "out") == ["model-simd.wasm", "model.wasm"]
    (tmp_path / "out" / "mine.txt").write_text("keep")
    export.wasm(model, tmp_path / "out", kernels="table")
    assert modules(tmp_path / "out") == ["model.wasm"]  # the other belongs to the export before
    assert (tmp_path / "out" / "mine.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    package = json.loads((tmp_path / "out" / "package.json").read_text())
    for name in (package["types"], *package["exports"]["."].values()):
        assert (tmp_path / "out" / name).is_file()
    assert section_bytes(tmp_path / "out" / "model.wasm")["text"] < 7000  # with the tables' kernels


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArgumentError, match="file is a file"):
        export.wasm(model, tmp_path / "file")
    with pytest.raises(UnsupportedError, match="states of 16 bits"):
        export.wasm(model, tmp_path / "out", kernels="table")
    with pytest.raises(UnsupportedError, match="bidirectional"):
        export.wasm(random_frozen_model(rng, bidirectional=True), tmp_path / "out")
    monkeypatch.setattr(wasm_build, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"pip install 'bitgate\[mcu\]', or install clang and lld"):
        export.wasm(model, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_custom_sections_are_ignored_by_the_sizes(tmp_path: Path, size: int) -> None:
    path = tmp_path / "m.wasm"
    path.write_bytes(b"\0asm\x01\0\0\0" + custom_section("bitgate", b"x" * size) + b"\x0b\x02ab")
    assert section_bytes(path) == {"text": 0, "rodata": 2, "data": 0, "bss": 0}
