"""Exact comparison of a trace with plain Python integers."""

import numpy as np

from bitgate.frozen import FrozenModel, Trace
from tests.frozen import scalar


def assert_equal_to_scalar(model: FrozenModel, trace: Trace, x: np.ndarray, lengths: np.ndarray) -> None:
    for b, length in enumerate(lengths):
        states, logits = scalar.run(model, x[b, :length].tolist())
        assert len(states) == len(trace.h)
        for k, steps in enumerate(states):
            assert trace.h[k][b, :length].tolist() == [h for h, _ in steps]
            assert trace.c[k][b, :length].tolist() == [c for _, c in steps]
            assert not trace.h[k][b, length:].any()
            assert not trace.c[k][b, length:].any()
        assert (trace.logits is None) == (logits is None)
        if trace.logits is not None:
            assert trace.logits[b].tolist() == logits
