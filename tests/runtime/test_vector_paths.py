"""The vector kernels without Python against the plain ones, on one to three threads.

With gcc and clang here, NEON in an emulator (QEMU).
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bitgate
from bitgate.runtime.simd import PATHS, supported_paths

pytestmark = pytest.mark.slow

PACKAGE = Path(bitgate.__file__).parent
STUB = Path(__file__).parent / "stubs" / "vector_paths.c"
FLAGS = ["-std=gnu11", "-O2", "-pthread", "-Wall", "-Wextra", "-Wno-psabi", "-ffp-contract=off"]
ARM = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static"]
NO_PATH = 2


def build(compiler: list[str], target: Path, *options: str, package: Path = PACKAGE) -> Path:
    folders = [package / "csrc", package / "runtime" / "csrc"]
    sources = [STUB, *sorted(folders[0].glob("bg_*.c")), *sorted(folders[1].glob("*.c"))]
    includes = [f"-I{folder}" for folder in folders]
    command = [*compiler, *FLAGS, *options, *includes, *map(str, sources), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    return target


def compare(program: list[str], path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*program, str(PATHS.index(path))], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_paths_of_this_processor(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    program = build([compiler], tmp_path / "paths")
    for path in PATHS:
        done = compare([str(program)], path)
        if path in supported_paths():
            assert (done.returncode, done.stdout) == (0, "240 models equal\n"), path
        else:
            assert done.returncode == NO_PATH, path


def test_one_wrong_bit_would_be_found(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    program = build(["gcc"], tmp_path / "paths", "-DSABOTAGE")
    for path in supported_paths():
        done = compare([str(program)], path)
        assert done.returncode == 1, path
        assert "differs" in done.stdout


def test_threads_do_not_race(tmp_path: Path) -> None:
    """Under ThreadSanitizer; and where members do not wait until the others have read the states, it must tell."""
    if shutil.which("gcc") is None or sys.platform != "linux":
        pytest.skip("needs gcc on Linux")
    program = build(["gcc"], tmp_path / "paths", "-fsanitize=thread", "-g")
    for path in supported_paths():
        done = compare(["setarch", "-R", str(program)], path)
        assert (done.returncode, done.stdout) == (0, "240 models equal\n"), done.stderr
    copy = shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("*.so", "*.py", "__pycache__"))
    share = copy / "runtime" / "csrc" / "bg_simd_share.h"
    text = share.read_text()
    share.write_text(text.replace("bg_crew_await(share->crew, arrivals);", "(void)arrivals;"))
    assert share.read_text() != text
    program = build(["gcc"], tmp_path / "race", "-fsanitize=thread", "-g", package=copy)
    assert "data race" in compare(["setarch", "-R", str(program)], "portable").stderr


@pytest.mark.skipif(
    shutil.which("qemu-aarch64") is None or importlib.util.find_spec("ziglang") is None,
    reason="needs ziglang and Debian's qemu-user",
)
def test_neon_in_an_emulator(tmp_path: Path) -> None:
    """With the dot product; and on a core without it, where the path must be refused before its first instruction."""
    program = build(ARM, tmp_path / "paths")
    for path in ("neon", "portable"):
        done = compare(["qemu-aarch64", "-cpu", "max", str(program)], path)
        assert (done.returncode, done.stdout) == (0, "240 models equal\n"), path
    assert compare(["qemu-aarch64", "-cpu", "cortex-a53", str(program)], "neon").returncode == NO_PATH
