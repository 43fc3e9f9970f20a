"""Every example runs, as a user runs it: a process of its own, in an empty folder, warnings being errors."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
KNOWN = {"drop_in", "export_c", "own_data", "ql_lstm", "streaming", "train_by_hand", "uncertainty"}


def test_all_examples_are_found():
    assert {path.stem for path in EXAMPLES} == KNOWN


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_says_what_it_shows(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 45
    module = ast.parse(text)
    assert ast.get_docstring(module)
    checks = [node for node in ast.walk(module) if isinstance(node, ast.Assert)]
    assert checks, "an example states what it promises, so that running it is a test"


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not list(tmp_path.iterdir()), "an example cleans up after itself"
