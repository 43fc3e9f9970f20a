"""The native runtime's C under AddressSanitizer and UndefinedBehaviorSanitizer, in a Python that loads them first."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import bitgate
from bitgate.runtime import supported_paths

ROOT = Path(__file__).parents[2]
SANITIZE = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
RUN = """
import os
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
        classes=None if seed % 7 == 0 else 4, sharing="psug2" if seed % 4 == 2 else "none",
        block_size=2 if seed % 3 < 2 and seed % 2 else None,
    )
    x = random_sequences(rng, model, 3, 6)
    lengths = np.array([6, 1, 4])
    session = runtime.Session(model, os.environ["BACKEND"])
    assert np.array_equal(session.run(x, lengths), model.run(x, lengths)), seed
    if session.kernel != "plain":
        # Small matrices are unpacked to bytes unless told otherwise; both ways here, and enough sequences for blocks.
        engine = runtime.simd.SimdEngine(model, session.kernel, 0)
        many = random_sequences(rng, model, 13, 3)
        assert np.array_equal(engine.run(many, None), model.run(many)), seed
        engine = engine.with_threads(2, least_units=1, patient=True)
        assert np.array_equal(engine.run(many, None), model.run(many)), seed
        for array in (np.zeros((1, 2), np.float32), np.zeros(3), "x"):
            assert seed % 5 == 0 or engine.streams(2).step(array) is NotImplemented
    if seed % 5:
        for batch in (1, 3):
            session.reset()
            for t in range(6):
                session.step(x[:batch, t])
                session.state = session.state
native = runtime.binding.import_native()
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
    folders = [package / "csrc", package / "runtime", package / "runtime" / "csrc"]
    sources = [
        path for folder, name in zip(folders, ("bg_*.c", "native*.c", "*.c"), strict=True) for path in folder.glob(name)
    ]
    includes = [f"-I{path}" for path in (*folders, sysconfig.get_path("include"))]
    flags = [
        "-std=gnu11",
        "-Wno-psabi",
        "-ffp-contract=off",
        "-shared",
        "-fPIC",
        "-pthread",
        "-DPy_LIMITED_API=0x030B0000",
        *includes,
        *SANITIZE,
    ]
    command = ["gcc", *flags, "-o", str(package / "_native.abi3.so"), *map(str, sources)]
    subprocess.run(command, check=True, capture_output=True)


def run_sanitized(package: Path, backend: str) -> subprocess.CompletedProcess[str]:
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
        "BACKEND": "plain" if backend == "plain" else "native",
        "BITGATE_SIMD": "" if backend == "plain" else backend,
    }
    command = [sys.executable, "-c", RUN]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)


def test_the_native_runtime_is_clean(package: Path) -> None:
    build(package)
    for backend in ("plain", *supported_paths()):
        done = run_sanitized(package, backend)
        assert done.stdout.strip() == "clean", (backend, done.stderr)


def test_an_overrun_would_be_found(package: Path) -> None:
    """The same with a plain kernel that reads far beyond its row, and a vector kernel that reads behind its words."""
    kernel = package / "csrc" / "bg_row_levels.c"
    text = kernel.read_text()
    kernel.write_text(text.replace("= matrix->columns;", "= matrix->columns + 4096;"))
    assert kernel.read_text() != text
    vectors = package / "runtime" / "csrc" / "bg_simd_product.h"
    text = vectors.read_text()
    for right, wrong in (
        ("q < m->row_words;", "q < m->row_words + 64;"),
        ("rows = m->blocks * BG_SIMD_ROWS;", "rows = (m->blocks + 1) * BG_SIMD_ROWS;"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    vectors.write_text(text)
    build(package)
    for backend in ("plain", *supported_paths()):
        done = run_sanitized(package, backend)
        assert done.returncode != 0, backend
        assert "AddressSanitizer" in done.stderr, backend
