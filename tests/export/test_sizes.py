"""Flash, RAM and stack of an export, as `bitgate export c` tells them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitgate import export
from bitgate.cli import main
from bitgate.export.c_header import state_sizes
from bitgate.export.sizes import measure_sizes, weight_bytes
from bitgate.export.targets import toolchain
from bitgate.export.verify import verify
from tests.export.build import COMPILERS
from tests.export.targets import random_lengths, target_parameters
from tests.frozen.make import random_frozen_model

needs_compiler = pytest.mark.skipif(not COMPILERS, reason="no C compiler")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bitgate"
    random_frozen_model(np.random.default_rng(0), state_bits=8, input_size=9, hidden_sizes=(12, 5)).save(path)
    return path


def test_weights_are_what_the_matrices_hold(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0), hidden_sizes=(7, 3), state_bits=8)
    matrices = [matrix for layer in model.flat_layers for matrix in (layer.w_ih, layer.w_hh)]
    export.c99(model, tmp_path)
    packed = sum(matrix.packed.nbytes for matrix in (*matrices, model.readout.weight))
    assert weight_bytes((tmp_path / "src" / "model.c").read_text()) == packed
    export.c99(model, tmp_path, kernels="lanes")
    assert weight_bytes((tmp_path / "src" / "model.c").read_text()) > packed  # words of four padded rows


@needs_compiler
def test_host(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0), state_bits=8)
    plain, table = (measure_sizes(model, kernels=kernels, optimize="Os") for kernels in ("plain", "table"))
    export.c99(model, tmp_path / "out")
    compiled = export.code_bytes(export.compile_objects(tmp_path / "out", tmp_path))
    assert plain.flash_bytes == compiled.flash
    assert plain.code_bytes == compiled.text
    assert table.code_bytes > plain.code_bytes
    assert table.ram_bytes == 2 * sum(state_sizes(model, "table")) > plain.ram_bytes
    assert plain.stack_bytes is None
    assert "-Os" in plain.compiler


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters("unicorn", "wasmtime"))
def test_sizes_of_a_target_are_those_of_verify(target: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, state_bits=8, hidden_sizes=(9, 5))
    sizes = measure_sizes(model, target, kernels="table")
    result = verify(model, random_lengths(rng, model), target, kernels="table")
    assert sizes.flash_bytes == result.flash_bytes
    assert sizes.ram_bytes == result.ram_bytes
    assert sizes.stack_bytes == result.stack_bytes
    assert sizes.table_bytes > 360  # the table of the sigmoid is one of them


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters("unicorn"))
def test_nothing_depends_on_the_number_of_steps(target: str) -> None:
    """One sequence of 1 and one of 300 steps: the same program, the same RAM, the same stack."""
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, state_bits=8)
    short, long = (
        verify(model, [rng.normal(size=(steps, 3)).astype(np.float32)], target, kernels="table") for steps in (1, 300)
    )
    assert long.is_equal
    for key in ("code_bytes", "constant_bytes", "ram_bytes", "stack_bytes"):
        assert getattr(short, key) == getattr(long, key)


@needs_compiler
def test_command_line(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", "c", str(model), "-o", str(tmp_path / "out"), "--kernels", "lanes", "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["kernels"] == "lanes"
    assert str(tmp_path / "out" / "src" / "bg_lanes.c") in told["files"]
    (sizes,) = told["sizes"]
    assert sizes["target"] == "host"
    assert sizes["flash_bytes"] == sizes["code_bytes"] + sizes["weight_bytes"] + sizes["table_bytes"]
    main(["export", "c", str(model), "-o", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    for label in ("flash: code", "flash: weights", "RAM: state", "stack", "src/model.c", "zephyr/module.yml"):
        assert label in shown
    assert "bytes, plain kernels" in shown


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("target", target_parameters("unicorn", "wasmtime"))
def test_command_line_with_a_target(
    model: Path, tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--target", target, "--optimize", "Os"]
    main(["export", "c", str(model), "-o", str(tmp_path / "out"), *options, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [entry["target"] for entry in told["sizes"]] == ["host", target]
    assert "-Os" in told["sizes"][1]["compiler"]
    main(["export", "c", str(model), "-o", str(tmp_path / "out"), *options])
    assert target in capsys.readouterr().out


def test_without_a_compiler_the_export_is_still_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    main(["export", "c", str(model), "-o", str(tmp_path / "out"), "--json"])
    told = capsys.readouterr()
    assert json.loads(told.out)["sizes"] == []
    assert "no sizes for this machine: no C compiler found" in told.err
    assert (tmp_path / "out" / "src" / "model.c").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["c", "--kernels", "fast"], "kernels"),
        (["c", "--target", "cortex-m33"], "target"),
        (["wasm", "--target", "wasm"], "sizes are told with the format c only"),
        (["wasm", "--name", "gesture"], "only C needs a prefix"),
    ],
)
def test_wrong_arguments(
    model: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["export", arguments[0], str(model), "-o", str(tmp_path / "out"), *arguments[1:]])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_kernels_that_do_not_fit_and_missing_tools_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wide.bitgate"
    random_frozen_model(np.random.default_rng(0), state_bits=16).save(path)

    def absent(module: str) -> object:
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(toolchain, "import_module", absent)
    for options, message in (
        (["--kernels", "lanes"], "states of 16 bits, at most 8"),
        (["--target", "cortex-m0"], "pip install 'bitgate[mcu]'"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["export", "c", str(path), "-o", str(tmp_path / "out"), *options])
        assert message in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["wide.bitgate"]
