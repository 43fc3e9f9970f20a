"""The Triton kernels pass its compiler for two generations of GPUs, without one, and fit their shared memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed (pip install 'bitgate[gpu]')")

SHARED_BYTES = {80: 163 * 1024, 90: 227 * 1024}  # of one program, by compute capability


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "cell"), [(80, "coupled_lstm"), (90, "lstm"), (90, "gru")])
def test_kernels_compile(capability: int, cell: str) -> None:
    """In a process of its own: in this one triton interprets."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    script = Path(__file__).parent / "compile_triton.py"
    command = [sys.executable, str(script), str(capability), cell]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 8
    for row in rows:
        assert row["products"] > 0, f"no tensor cores: {row}"
        assert row["shared_bytes"] <= SHARED_BYTES[capability], row
