"""What a session promises of its arguments: out=, states in and out, chunks, threads, other kinds of arrays."""

import gc
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from bitgate import runtime
from bitgate.errors import ShapeError
from bitgate.frozen import FrozenModel
from bitgate.runtime import Session
from tests.frozen.make import random_frozen_model, random_sequences

needs_native = pytest.mark.skipif(not runtime.native_available(), reason=runtime.native_status())
BACKENDS = [pytest.param("native", marks=needs_native), pytest.param("plain", marks=needs_native), "interpreter"]


@pytest.fixture
def model() -> FrozenModel:
    return random_frozen_model(np.random.default_rng(0), hidden_sizes=(5, 3))


@pytest.fixture
def x(model: FrozenModel) -> np.ndarray:
    return random_sequences(np.random.default_rng(1), model, 3, 7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_go_into_out(model: FrozenModel, x: np.ndarray, backend: Any) -> None:
    session, other = Session(model, backend), Session(model, backend)
    out, row = np.empty((3, 4), np.int32), np.empty(4, np.int32)
    for t in range(7):
        assert session.step(x[:, t], out) is out
        np.testing.assert_array_equal(out, other.step(x[:, t]))
    np.testing.assert_array_equal(out, model.run(x))
    session.reset()
    for t in range(7):
        assert session.step(x[0, t], out=row) is row
    np.testing.assert_array_equal(row, out[0])
    out[:] = 0
    assert session.run(x, out=out) is out
    np.testing.assert_array_equal(out, model.run(x))
    np.testing.assert_array_equal(session.run(x[1], out=row), out[1])
    np.testing.assert_array_equal(row, out[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_sequences_of_states_go_into_out(backend: Any, bidirectional: bool) -> None:
    model = random_frozen_model(np.random.default_rng(0), classes=None, bidirectional=bidirectional)
    x = random_sequences(np.random.default_rng(1), model, 3, 7)
    out = np.full((3, 7, model.output_size), 7, np.int16)
    np.testing.assert_array_equal(Session(model, backend).run(x, [7, 2, 5], out=out), model.run(x, [7, 2, 5]))
    np.testing.assert_array_equal(out, model.run(x, [7, 2, 5]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("out", [np.empty(4, np.int64), np.empty(3, np.int32), np.empty((1, 4), np.int32), [0] * 4])
def test_bad_out(model: FrozenModel, x: np.ndarray, backend: Any, out: Any) -> None:
    session = Session(model, backend)
    session.step(x[0, 0])
    before = session.state
    with pytest.raises(ShapeError, match=r"out: expected a writable, contiguous int32 array of shape \(4,\)"):
        session.step(x[0, 1], out)
    np.testing.assert_array_equal(session.state[0].h, before[0].h)
    read_only = np.zeros((3, 4), np.int32)
    read_only.setflags(write=False)
    with pytest.raises(ShapeError, match="out: expected a writable"):
        session.run(x, out=read_only)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bad_feature_changes_nothing(model: FrozenModel, x: np.ndarray, backend: Any) -> None:
    session = Session(model, backend)
    session.step(x[:, 0])
    before = session.state
    bad = x[:, 1].copy()
    bad[1, 2] = np.inf
    with pytest.raises(ShapeError, match=r"value at \(1, 2\) is inf"):
        session.step(bad)
    for a, b in zip(session.state, before, strict=True):
        np.testing.assert_array_equal(a.h, b.h)
        np.testing.assert_array_equal(a.c, b.c)
    with pytest.raises(ShapeError, match="is nan"):
        session.run(np.where(np.arange(7)[:, None] == 3, np.nan, x))


@pytest.mark.parametrize("backend", BACKENDS)
def test_states_in_and_out(model: FrozenModel, x: np.ndarray, backend: Any) -> None:
    session = Session(model, backend)
    kept = session.step(x[:, 0])
    state = model.init_state(3)
    for t in range(7):
        output, state = session.step(x[:, t], state=state)
    np.testing.assert_array_equal(output, model.run(x))
    session.reset()
    np.testing.assert_array_equal(session.step(x[:, 0]), kept)
    out = np.empty((3, 4), np.int32)
    assert session.step(x[:, 0], out, state=model.init_state(3))[0] is out
    np.testing.assert_array_equal(out, kept)
    with pytest.raises(ShapeError, match="2 rows for a state of 3 streams"):
        session.step(x[:2, 0], state=model.init_state(3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_cut_gives_the_whole(model: FrozenModel, x: np.ndarray, backend: Any) -> None:
    """A copy of the session carries on where the first one was, and neither touches the other."""
    session = Session(model, backend)
    expected = model.run(x)
    for t in range(7):
        branch = session.copy()
        for later in range(t, 7):
            result = branch.step(x[:, later])
        np.testing.assert_array_equal(result, expected)
        session.step(x[:, t])
    assert Session(model, backend).copy().step(x[0, 0]).shape == (4,)


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_arrays_are_converted(model: FrozenModel, x: np.ndarray, backend: Any) -> None:
    session = Session(model, backend)
    expected = session.step(x[:, 0])
    strided = np.repeat(x, 2, axis=-1)[..., ::2]
    for features in (x[:, 0].astype(np.float64), x[:, 0].tolist(), torch.tensor(x[:, 0]), strided[:, 0]):
        session.reset()
        np.testing.assert_array_equal(session.step(features), expected)
        session.reset()
        session.step(x[:, 1])
        second = session.state
        session.step(features)
        third = session.state
        session.state = second
        session.step(x[:, 0])
        np.testing.assert_array_equal(session.state[1].c, third[1].c)
    for sequences in (x.astype(np.float64), torch.tensor(x), strided):
        np.testing.assert_array_equal(session.run(sequences), model.run(x))
    big_endian = x[:, 0].astype(">f4")
    session.reset()
    np.testing.assert_array_equal(session.step(big_endian), expected)


@needs_native
def test_sessions_share_their_weights(model: FrozenModel) -> None:
    first, second = Session(model), Session(model)
    assert first._engine is second._engine
    assert first.copy()._engine is first._engine
    assert Session(random_frozen_model(np.random.default_rng(0)))._engine is not first._engine
    engine = weakref.ref(first._engine)
    del first, second
    gc.collect()
    assert engine() is None, "the packed weights outlive their last session"


@needs_native
def test_many_threads_with_sessions_of_their_own() -> None:
    """Large enough for the interpreter's lock to be released: threads really run side by side."""
    model = random_frozen_model(np.random.default_rng(0), input_size=300, hidden_sizes=(300,), state_bits=8)
    inputs = [random_sequences(np.random.default_rng(seed), model, 2, 20) for seed in range(8)]
    expected = [model.run(x) for x in inputs]

    def stream(x: np.ndarray) -> np.ndarray:
        session = Session(model)
        for t in range(x.shape[1]):
            result = session.step(np.ascontiguousarray(x[:, t]))
        return result

    shared = Session(model)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for run in (stream, shared.run):
                for found, right in zip(pool.map(run, inputs), expected, strict=True):
                    np.testing.assert_array_equal(found, right)


@needs_native
def test_two_threads_in_one_session_are_an_error_or_take_turns() -> None:
    model = random_frozen_model(np.random.default_rng(0), input_size=700, hidden_sizes=(700,), state_bits=8)
    session = Session(model)
    x = np.zeros(700, np.float32)
    session.step(x)

    def hammer(_: int) -> int:
        refused = 0
        end = time.perf_counter() + 0.4
        while time.perf_counter() < end:
            try:
                session.step(x)
            except RuntimeError as error:
                assert "give each its own session" in str(error)  # noqa: PT017
                refused += 1
        return refused

    with ThreadPoolExecutor(2) as pool:
        refused = sum(pool.map(hammer, range(2)))
    reference = session.copy()
    np.testing.assert_array_equal(session.step(x), reference.step(x))
    assert refused > 0, "the threads never met, so nothing was shown"


@needs_native
def test_the_call_costs_little() -> None:
    """At most 2 us for a whole small step; the best of many, for the machine may be busy."""
    model = random_frozen_model(np.random.default_rng(0), input_size=8, hidden_sizes=(16,), state_bits=8)
    session, x = Session(model), np.zeros(8, np.float32)
    session.step(x)
    best = np.inf
    for _ in range(200):
        start = time.perf_counter()
        for _ in range(50):
            session.step(x)
        best = min(best, (time.perf_counter() - start) / 50)
    assert best < 2e-6
