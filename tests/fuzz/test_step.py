"""The step fuzzer: it builds, the kept corpus passes, and a single wrong weight is found."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export.build import can_sanitize

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "fuzz" / "corpus" / "step"
FLAGS = ["-std=c99", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]

ENTRY = "#include <stddef.h>\n#include <stdint.h>\nint LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) {return 0;}"
needs_fuzzer = pytest.mark.skipif(
    not can_sanitize("clang", "fuzzer", ENTRY), reason="needs clang with libFuzzer (Debian's libclang-rt-dev)"
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, "fuzz/models.py", "--out", str(folder)]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True)
    return folder


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    sources = [path.name for path in sorted(folder.glob("*.c"))]
    subprocess.run(["clang", *FLAGS, "-o", "fuzz_step", *sources], cwd=folder, check=True, capture_output=True)
    return subprocess.run(
        [folder / "fuzz_step", "-runs=0", CORPUS], cwd=folder, capture_output=True, text=True, check=False
    )


@needs_fuzzer
def test_the_corpus_finds_nothing(models: Path) -> None:
    assert len(list(CORPUS.iterdir())) > 50
    done = run(models)
    assert done.returncode == 0, done.stderr


@needs_fuzzer
def test_the_corpus_finds_one_wrong_weight(models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models, tmp_path / "models")
    data = folder / "data_m0_table.c"
    text = data.read_text()
    # Of the hidden state, whose four units fill a group: a weight of padding would change nothing.
    code = re.search(r"w_hh_codes\[\d+\] = \{\s*(0x[0-9a-f]+|\d+)", text)
    assert code is not None
    value = int(code[1], base=0)
    changed = value - 2 if value >= 2 else value + 2
    data.write_text(text[: code.start(1)] + str(changed) + text[code.end(1) :])
    done = run(folder)
    assert done.returncode != 0
    assert "m0_plain and m0_table compute different integers" in done.stderr
