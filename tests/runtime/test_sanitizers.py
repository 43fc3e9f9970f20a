"""The native runtime's C under AddressSanitizer and UndefinedBehaviorSanitizer, in a Python that loads them first."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import bitgate

ROOT = Path(__file__).parents[2]
SANITIZE = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
RUN = """
import sys
import numpy as np
from bitgate import runtime
from tests.frozen.make import CELL_GATES, BINARY, EIGHT_BITS, TERNARY, random_frozen_model, random_sequences

assert runtime.native_available(), runtime.native_status()
for seed in range(24):
    rng = np.random.default_rng(seed)
    cell = list(CELL_GATES)[seed % 3]
    model = random_frozen_model(
        rng, cell=cell, state_bits=(8, 13, 16)[seed % 3], product_bits=(32, 64)[seed % 2],
        levels=(TERNARY, BINARY, EIGHT_BITS)[seed // 3 % 3], gate_levels=[0, 2, 5, 3][: CELL_GATES[cell]],
        per_row=seed % 4 == 0, hidden_sizes=[(5,), (7, 3)][seed % 2], bidirectional=seed % 5 == 0,
        classes=None if seed % 7 == 0 else 4,
    )
    x = random_sequences(rng, model, 3, 6)
    lengths = np.array([6, 1, 4])
    session = runtime.Session(model)
    assert np.array_equal(session.run(x, lengths), model.run(x, lengths)), seed
    if seed % 5:
        session = runtime.Session(model)
        for t in range(6):
            session.step(x[0, t])
native = runtime.binding._import_native()
for arguments in ((), (16,), (16, 3, (), None), (16, 3, ((1, 3),), None), (8, -1, "x", 3)):
    try:
        native.Model(*arguments)
    except (TypeError, ValueError):
        pass
print("clean")
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (sys.platform == "linux" and shutil.which("gcc")), reason="needs gcc's libasan on Linux"),
]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, without its native runtime."""
    source = Path(bitgate.__file__).parent
    return shutil.copytree(source, tmp_path / "bitgate", ignore=shutil.ignore_patterns("*.so", "__pycache__"))


def build(package: Path) -> None:
    """Builds the native runtime with the sanitizers."""
    sources = [*sorted((package / "csrc").glob("bg_*.c")), *sorted((package / "runtime").glob("native*.c"))]
    includes = [f"-I{path}" for path in (package / "csrc", package / "runtime", sysconfig.get_path("include"))]
    flags = ["-std=c99", "-shared", "-fPIC", "-DPy_LIMITED_API=0x030B0000", *includes, *SANITIZE]
    command = ["gcc", *flags, "-o", str(package / "_native.abi3.so"), *map(str, sources)]
    subprocess.run(command, check=True, capture_output=True)


def run_sanitized(package: Path) -> subprocess.CompletedProcess[str]:
    # The sanitizers must come first into a process that was built without them. Python itself never frees everything.
    libraries = [
        subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    settings = {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": os.pathsep.join([str(package.parent), str(ROOT)]),
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, "-c", RUN]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)


def test_the_native_runtime_is_clean(package: Path) -> None:
    build(package)
    done = run_sanitized(package)
    assert done.stdout.strip() == "clean", done.stderr


def test_an_overrun_would_be_found(package: Path) -> None:
    """The same with a kernel that reads far beyond its row."""
    kernel = package / "csrc" / "bg_row_levels.c"
    text = kernel.read_text()
    kernel.write_text(text.replace("= matrix->columns;", "= matrix->columns + 4096;"))
    assert kernel.read_text() != text
    build(package)
    done = run_sanitized(package)
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr
