"""Sessions on both backends against the frozen model itself: outputs and every state, exactly."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitgate import runtime
from bitgate.errors import ArgumentError, ShapeError, ToolError
from bitgate.frozen import BlockSkip, FrozenModel
from bitgate.frozen.interpreter import LayerState
from bitgate.frozen.record import SKIP_CELLS
from bitgate.runtime import Session, binding
from tests.frozen.make import (
    BINARY,
    CELL_GATES,
    EIGHT_BITS,
    FOUR,
    SHARINGS,
    TERNARY,
    random_frozen_model,
    random_sequences,
)

needs_native = pytest.mark.skipif(not runtime.native_available(), reason=runtime.native_status())
BACKENDS = [pytest.param("native", marks=needs_native), "interpreter"]


@st.composite
def models(draw: st.DrawFn) -> tuple[FrozenModel, np.random.Generator]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell = draw(st.sampled_from(list(CELL_GATES)))
    levels = st.lists(st.sampled_from([0, 2, 3, 17]), min_size=CELL_GATES[cell], max_size=CELL_GATES[cell])
    model = random_frozen_model(
        rng,
        cell=cell,
        input_size=draw(st.integers(1, 9)),
        hidden_sizes=draw(st.lists(st.integers(1, 9), max_size=3)),
        classes=draw(st.integers(1, 5)),
        state_bits=draw(st.integers(8, 16)),
        product_bits=draw(st.sampled_from([32, 64])),
        levels=draw(st.sampled_from([BINARY, TERNARY, FOUR, EIGHT_BITS])),
        gate_levels=draw(levels),
        per_row=draw(st.booleans()),
        bidirectional=draw(st.booleans()),
        sharing=draw(st.sampled_from(list(SHARINGS))),
        block_size=draw(st.sampled_from([None, 1, 3, 5])) if cell in SKIP_CELLS else None,
        range_bits=draw(st.integers(0, 4)),
    )
    if model.layers and draw(st.booleans()):
        model = replace(model, readout=None)
    return model, rng


def assert_traces_equal(session: Session, model: FrozenModel, x: np.ndarray, lengths: Any) -> None:
    expected, found = model.trace(x, lengths), session.trace(x, lengths)
    assert len(found.h) == len(expected.h)
    for a, b in zip((*expected.h, *expected.c), (*found.h, *found.c), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert (found.logits is None) == (expected.logits is None)
    if expected.logits is not None:
        np.testing.assert_array_equal(found.logits, expected.logits)


@needs_native
@settings(max_examples=60, deadline=None)
@given(models(), st.integers(1, 4), st.integers(1, 12), st.booleans())
def test_native_equals_interpreter(
    pair: tuple[FrozenModel, np.random.Generator], batch: int, steps: int, ragged: bool
) -> None:
    model, rng = pair
    session = Session(model, "native")
    x = random_sequences(rng, model, batch, steps)
    lengths = rng.integers(1, steps + 1, batch) if ragged else None
    assert_traces_equal(session, model, x, lengths)
    result, expected = session.run(x, lengths), model.run(x, lengths)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(session.run(x[0]), model.run(x[0]))
    if all(len(directions) == 1 for directions in model.layers):
        state = model.init_state(batch)
        for t in range(steps):
            state, output = model.step(state, x[:, t])
            np.testing.assert_array_equal(session.step(x[:, t]), output)
            for part, other in zip(session.state, state, strict=True):
                np.testing.assert_array_equal(part.h, other.h)
                np.testing.assert_array_equal(part.c, other.c)
                assert (part.anchor is None) == (other.anchor is None)
                if part.anchor is not None and other.anchor is not None:
                    np.testing.assert_array_equal(part.anchor, other.anchor)
                    np.testing.assert_array_equal(part.position, other.position)


@needs_native
@pytest.mark.parametrize("change", ["bias", "code", "gates"])
def test_the_comparison_turns_red(change: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, hidden_sizes=(4,), product_bits=64)
    layer = model.layers[0][0]
    if change == "bias":
        bias = layer.bias.copy()
        bias[0] = 0
        layer = replace(layer, bias=bias)
    elif change == "code":
        packed = layer.w_hh.packed.copy()
        packed[0, 0] ^= 2
        layer = replace(layer, w_hh=replace(layer.w_hh, packed=packed))
    else:
        layer = replace(layer, bias=layer.bias.reshape(4, -1)[[1, 0, 2, 3]].reshape(-1))
    session = Session(replace(model, layers=((layer,),)), "native")
    with pytest.raises(AssertionError):
        assert_traces_equal(session, model, random_sequences(rng, model, 2, 8), None)


@pytest.fixture
def model() -> FrozenModel:
    return random_frozen_model(np.random.default_rng(0), hidden_sizes=(5, 3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_streams_keep_their_state(model: FrozenModel, backend: Any) -> None:
    session = Session(model, backend)
    assert session.backend == backend
    x = random_sequences(np.random.default_rng(1), model, 3, 6)
    first = [session.step(x[:, t]) for t in range(6)]
    np.testing.assert_array_equal(first[-1], model.run(x))
    session.run(x)  # does not touch the streams
    again = session.step(x[:, 0])
    assert not np.array_equal(again, first[0])
    session.reset()
    np.testing.assert_array_equal(session.step(x[:, 0]), first[0])
    session.reset()
    one = [session.step(x[1, t]) for t in range(6)]
    assert one[0].shape == (4,)
    np.testing.assert_array_equal(np.stack(one), np.stack(first)[:, 1])


@pytest.mark.parametrize("block_size", [None, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_state_is_saved_and_restored(backend: Any, block_size: int | None) -> None:
    model = random_frozen_model(np.random.default_rng(0), hidden_sizes=(5, 3), block_size=block_size)
    session, other = Session(model, backend), Session(model, "interpreter")
    x = random_sequences(np.random.default_rng(1), model, 2, 6)
    assert [part.h.shape for part in session.state] == [(1, 5), (1, 3)]
    for t in range(3):
        session.step(x[:, t])
    saved = session.state
    copies = [part.h.copy() for part in saved]
    rest = [session.step(x[:, t]) for t in range(3, 6)]
    for part, copy in zip(saved, copies, strict=True):
        np.testing.assert_array_equal(part.h, copy)  # a saved state is a copy
    for target in (session, other):
        target.state = saved
        for t in range(3, 6):
            np.testing.assert_array_equal(target.step(x[:, t]), rest[t - 3])


@pytest.mark.parametrize("backend", BACKENDS)
def test_bad_inputs(model: FrozenModel, backend: Any) -> None:
    session = Session(model, backend)
    x = random_sequences(np.random.default_rng(1), model, 2, 6)
    with pytest.raises(ShapeError, match="expected 3 features"):
        session.step(x[0, 0, :2])
    with pytest.raises(ShapeError, match=r"expected \(3,\) or \(B, 3\)"):
        session.step(x)
    with pytest.raises(ShapeError, match="found 1 to 7"):
        session.run(x, [1, 7])
    with pytest.raises(ShapeError, match="is nan"):
        session.run(x * np.nan)
    session.step(x[:, 0])
    with pytest.raises(ShapeError, match="1 rows for 2 streams"):
        session.step(x[0, 0])


def test_bad_states(model: FrozenModel) -> None:
    session = Session(model, "interpreter")
    good = session.state
    h, c = good[0].h, good[0].c
    with pytest.raises(ShapeError, match="expected 2 layers, got 1"):
        session.state = good[:1]
    with pytest.raises(ShapeError, match=r"h of layer 0: expected int16 of shape \(1, 5\)"):
        session.state = (LayerState(h[:, :2], c), good[1])
    with pytest.raises(ShapeError, match="c of layer 0: expected int16"):
        session.state = (LayerState(h, c.astype(np.float32)), good[1])
    with pytest.raises(ShapeError, match="h of layer 0: a value is beyond -32767 to 32767"):
        session.state = (LayerState(h + np.int16(-32768), c), good[1])


@needs_native
@pytest.mark.slow
@pytest.mark.parametrize("alpha", [16384, 32768])
def test_skips_stay_within_their_range_for_10000_steps(alpha: int) -> None:
    """Also with alpha 1, where the real network has no bound: the integers saturate, equally in both backends."""
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, hidden_sizes=(6,), classes=None, sharing="psug2", block_size=16, range_bits=1)
    layer = model.layers[0][0]
    skip = BlockSkip(16, np.full(1, alpha, np.int32), 1)
    model = replace(model, layers=((replace(layer, skip=skip, bias=layer.bias + np.int32(1 << 16)),),))
    x = random_sequences(rng, model, 1, 10_000)
    h = Session(model, "native").run(x)
    np.testing.assert_array_equal(h, model.run(x))
    assert (np.abs(h.astype(int)).max() == 32767) == (alpha == 32768)
    assert len(np.unique(h[0, 9000:])) > 100


def test_bad_states_of_a_skip() -> None:
    session = Session(random_frozen_model(np.random.default_rng(0), block_size=4), "interpreter")
    (good,) = session.state
    assert good.position is not None
    with pytest.raises(ShapeError, match=r"anchor of layer 0: expected int16 of shape \(1, 5\)"):
        session.state = (LayerState(good.h, good.c),)
    with pytest.raises(ShapeError, match="position of layer 0: a value is beyond 0 to 3"):
        session.state = (replace(good, position=good.position + np.int16(4)),)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bidirectional_models_only_run(backend: Any) -> None:
    model = random_frozen_model(np.random.default_rng(0), bidirectional=True)
    session = Session(model, backend)
    x = random_sequences(np.random.default_rng(0), model, 2, 4)
    np.testing.assert_array_equal(session.run(x, [4, 2]), model.run(x, [4, 2]))
    with pytest.raises(ArgumentError, match="step: a bidirectional model"):
        session.step(x[:, 0])
    with pytest.raises(ArgumentError, match="state: a bidirectional model"):
        session.state = ()


@needs_native
def test_threads_share_a_session(model: FrozenModel) -> None:
    session = Session(model, "native")
    inputs = [random_sequences(np.random.default_rng(seed), model, 4, 30) for seed in range(8)]
    expected = [model.run(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, right in zip(pool.map(session.run, inputs), expected, strict=True):
                np.testing.assert_array_equal(found, right)


def test_without_the_library(model: FrozenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "_MODULE", "bitgate._no_such_library")
    assert not runtime.native_available()
    assert "the NumPy interpreter runs instead" in runtime.native_status()
    session = Session(model)
    assert session.backend == "interpreter"
    x = random_sequences(np.random.default_rng(0), model, 2, 4)
    np.testing.assert_array_equal(session.run(x), model.run(x))
    with pytest.raises(ToolError, match="native backend: not available"):
        Session(model, "native")


@needs_native
def test_the_library_is_chosen_where_it_is_built(model: FrozenModel) -> None:
    assert Session(model).backend == "native"
    assert runtime.native_status() == "native"


def test_unknown_backend(model: FrozenModel) -> None:
    with pytest.raises(ArgumentError, match="backend: 'cuda'"):
        Session(model, "cuda")  # type: ignore[arg-type]
