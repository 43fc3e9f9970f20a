"""Imports point one way, and what runs without torch never imports it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bitgate

ROOT = Path(__file__).parents[1]
WITHOUT_TORCH = ["bitgate.frozen", "bitgate.data", "bitgate.runtime", "bitgate.export", "bitgate.report"]


def run_python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """A fresh interpreter that finds the same bitgate as this one."""
    found = os.environ | {"PYTHONPATH": str(Path(bitgate.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=found, cwd=ROOT, check=False
    )


def imports_torch(statement: str) -> bool:
    result = run_python("-c", f"{statement}\nimport sys\nprint('torch' in sys.modules)")
    assert result.returncode == 0, result.stderr
    return {"True\n": True, "False\n": False}[result.stdout]


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_running_a_model_never_imports_torch(module: str) -> None:
    assert not imports_torch(f"import {module}")


@pytest.mark.parametrize("statement", ["import bitgate", "import bitgate; bitgate.load, bitgate.FrozenModel"])
def test_the_package_itself_never_imports_torch(statement: str) -> None:
    assert not imports_torch(statement)


def test_an_import_of_torch_is_noticed() -> None:
    assert imports_torch("import bitgate.weights")


def lint_imports(config: Path) -> "subprocess.CompletedProcess[str]":
    call = (
        f"import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports({str(config)!r}, no_cache=True))"
    )
    return run_python("-c", call)


def test_import_contracts_hold() -> None:
    result = lint_imports(ROOT / "pyproject.toml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 kept, 0 broken" in result.stdout


def test_a_broken_contract_is_noticed(tmp_path: Path) -> None:
    config = tmp_path / "contracts.toml"
    config.write_text(
        '[tool.importlinter]\nroot_package = "bitgate"\n[[tool.importlinter.contracts]]\nname = "upside down"\n'
        'type = "layers"\nlayers = ["bitgate.weights", "bitgate.nn"]\n'
    )
    result = lint_imports(config)
    assert result.returncode != 0
    assert "upside down BROKEN" in result.stdout
