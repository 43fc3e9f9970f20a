"""Stored files and integers, which every version of every engine must reproduce (tests/golden/make_models.py)."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitgate import export
from bitgate.frozen import load
from bitgate.runtime import Session
from tests.export.build import COMPILERS

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("engine", ["interpreter", "native", "c"])
def test_stored_integers(tmp_path: Path, engine: str, version: int) -> None:
    model = load(GOLDEN / f"version{version}.model")
    told = json.loads((GOLDEN / f"version{version}.json").read_text())
    sequences = [np.array(rows, np.float32) for rows in told["x"]]
    if engine == "c":
        if not COMPILERS:
            pytest.skip("no C compiler")
        export.c99(model, tmp_path)
        found = export.trace_program(export.compile_host(tmp_path), sequences)
        logits = [trace.output.tolist() for trace in found]
    else:
        session = Session(model, engine if engine == "interpreter" else None)
        traces = [session.trace(x[None]) for x in sequences]
        found = [type(t)(tuple(h[0] for h in t.h), tuple(c[0] for c in t.c), None) for t in traces]
        logits = [trace.logits[0].tolist() for trace in traces]
    assert logits == told["logits"]
    for trace, states in zip(found, told["states"], strict=True):
        assert len(trace.h) == len(states)
        for h, c, steps in zip(trace.h, trace.c, states, strict=True):
            assert [[a, b] for a, b in zip(h.tolist(), c.tolist(), strict=True)] == steps
