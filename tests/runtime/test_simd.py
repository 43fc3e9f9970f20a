"""The vector kernels against the interpreter, on every path of this processor: all states of all steps, exactly."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitgate import runtime
from bitgate.errors import ArgumentError
from bitgate.frozen import FrozenLayer, FrozenModel, InputMap, Trace
from bitgate.frozen.interpreter import LayerState
from bitgate.runtime import Session, simd
from bitgate.runtime.plain import zero_states
from tests.frozen.make import (
    BINARY,
    CELL_GATES,
    EIGHT_BITS,
    FOUR,
    SHARINGS,
    SIXTEEN,
    TERNARY,
    random_frozen_model,
    random_layer,
    random_matrix,
    random_sequences,
)

pytestmark = pytest.mark.skipif(not runtime.native_available(), reason=runtime.native_status())

PATHS = runtime.supported_paths() if runtime.native_available() else ("portable",)
LEVELS = [BINARY, TERNARY, FOUR, SIXTEEN, EIGHT_BITS, (-2, 0, 5), (-3, 4)]
UNPACKED, PACKED = None, 0  # int8_weights: as tuned, and nothing unpacked to bytes


def test_the_portable_path_and_another_are_tested() -> None:
    assert "portable" in PATHS
    assert len(PATHS) > 1


def assert_equal_traces(found: Trace, expected: Trace) -> None:
    assert len(found.h) == len(expected.h)
    for a, b in zip((*found.h, *found.c), (*expected.h, *expected.c), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (found.logits is None) == (expected.logits is None)
    if expected.logits is not None:
        np.testing.assert_array_equal(found.logits, expected.logits)


@st.composite
def models(draw: st.DrawFn) -> tuple[FrozenModel, np.random.Generator]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell = draw(st.sampled_from(list(CELL_GATES)))
    gates = st.lists(st.sampled_from([0, 0, 2, 3, 33, 34, 256]), min_size=CELL_GATES[cell], max_size=CELL_GATES[cell])
    may_skip = cell in ("lstm", "coupled_lstm")
    model = random_frozen_model(
        rng,
        cell=cell,
        sharing=draw(st.sampled_from(["none", *SHARINGS])),
        block_size=draw(st.sampled_from([None, 1, 2, 3])) if may_skip else None,
        range_bits=draw(st.integers(0, 4)),
        input_size=draw(st.integers(1, 70)),
        hidden_sizes=draw(st.lists(st.integers(1, 70), max_size=2)),
        classes=draw(st.integers(1, 40)),
        state_bits=draw(st.sampled_from([8, 9, 13, 16])),
        product_bits=draw(st.sampled_from([32, 64])),
        levels=draw(st.sampled_from(LEVELS)),
        gate_levels=draw(gates),
        per_row=draw(st.booleans()),
        bidirectional=draw(st.booleans()),
    )
    if model.layers and draw(st.booleans()):
        model = replace(model, readout=None)
    return model, rng


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=60, deadline=None)
@given(models(), st.integers(1, 11), st.integers(1, 9), st.sampled_from([UNPACKED, PACKED]), st.booleans())
def test_sequences(
    path: str,
    pair: tuple[FrozenModel, np.random.Generator],
    batch: int,
    steps: int,
    int8_weights: int | None,
    extensions: bool,
) -> None:
    model, rng = pair
    engine = simd.SimdEngine(model, path, int8_weights, extensions)
    x = random_sequences(rng, model, batch, steps)
    lengths = rng.integers(1, steps + 1, batch)
    for given_lengths in (None, lengths):
        assert_equal_traces(engine.trace(x, given_lengths), model.trace(x, given_lengths))
        np.testing.assert_array_equal(engine.run(x, given_lengths), model.run(x, given_lengths))


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=30, deadline=None)
@given(models(), st.integers(1, 70), st.sampled_from([UNPACKED, PACKED]), st.booleans())
def test_steps(
    path: str,
    pair: tuple[FrozenModel, np.random.Generator],
    batch: int,
    int8_weights: int | None,
    extensions: bool,
) -> None:
    model, rng = pair
    if model.layers:  # one direction of the first: the rest would not fit it
        model = replace(model, layers=(model.layers[0][:1],), readout=None)
    streams = simd.SimdEngine(model, path, int8_weights, extensions).streams(batch)
    state = model.init_state(batch)
    x = random_sequences(rng, model, batch, 4)
    states = zero_states(model, batch)
    for t in range(4):
        state, output = model.step(state, x[:, t])
        np.testing.assert_array_equal(streams.step(np.ascontiguousarray(x[:, t])), output)
        if state:
            streams.save(states)
            parts = [state[0].h, state[0].c]
            if state[0].anchor is not None and state[0].position is not None:
                parts += [state[0].anchor, state[0].position[:, None]]
            np.testing.assert_array_equal(states, np.concatenate(parts, axis=1))
            streams = simd.SimdEngine(model, path, int8_weights, extensions).streams(batch)
            streams.restore(states)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("levels", [BINARY, TERNARY, EIGHT_BITS])
@pytest.mark.parametrize("state_bits", [8, 13, 16])
@pytest.mark.parametrize("extensions", [True, False])
def test_wide_layers(path: str, levels: Any, state_bits: int, extensions: bool) -> None:
    """Sizes at which the kernels choose packed codes themselves, with odd tails."""
    rng = np.random.default_rng(state_bits)
    model = random_frozen_model(
        rng, input_size=331, hidden_sizes=(97, 130), state_bits=state_bits, levels=levels, product_bits=64
    )
    engine = simd.SimdEngine(model, path, None, extensions)
    for steps in (3, 7, 15):  # products of 15, 35 and 64 vectors
        x = random_sequences(rng, model, 5, steps)
        lengths = [steps, 2, steps, 1, steps]
        assert_equal_traces(engine.trace(x, lengths), model.trace(x, lengths))


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cell=st.sampled_from(list(CELL_GATES)),
    sizes=st.tuples(st.integers(1, 300), st.integers(1, 260)),
    state_bits=st.sampled_from([8, 16]),
    product_bits=st.sampled_from([32, 64]),
    steps=st.integers(1, 70),
    int8_weights=st.sampled_from([UNPACKED, PACKED, 1 << 20]),
    extensions=st.booleans(),
)
def test_long_sequences_of_wide_ternary_layers(
    path: str,
    seed: int,
    cell: str,
    sizes: tuple[int, int],
    state_bits: int,
    product_bits: int,
    steps: int,
    int8_weights: int | None,
    extensions: bool,
) -> None:
    """Blocks with and without a neighbour, groups of units with every rest, and any number of vectors at once."""
    rng = np.random.default_rng(seed)
    model = random_frozen_model(
        rng,
        cell=cell,
        input_size=sizes[0],
        hidden_sizes=sizes[1:],
        state_bits=state_bits,
        product_bits=product_bits,
        levels=TERNARY,
    )
    x = random_sequences(rng, model, 1, steps)
    assert_equal_traces(simd.SimdEngine(model, path, int8_weights, extensions).trace(x, None), model.trace(x))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("int8_weights", [UNPACKED, PACKED])
def test_extreme_sums(path: str, int8_weights: int | None) -> None:
    """All weights and states as large as they may be, of one sign: the largest sums that the bounds allow."""
    rng = np.random.default_rng(0)
    for levels in (BINARY, TERNARY, EIGHT_BITS):
        for state_bits in (8, 16):
            model = random_frozen_model(
                rng, input_size=60, hidden_sizes=(40,), levels=levels, state_bits=state_bits, product_bits=64
            )
            layer = model.layers[0][0]
            codes = np.zeros((160, 60), np.uint8)
            codes[::2] = len(levels) - 1
            w_ih = replace(random_matrix(rng, 160, 60, levels), packed=_pack(codes, layer.w_ih.bits))
            model = replace(model, layers=((replace(layer, w_ih=w_ih, mult_ih=np.ones(4, np.int32)),),))
            x = np.where(np.arange(8)[:, None, None] % 2, 1e6, -1e6) * np.ones((8, 3, 60), np.float32)
            assert_equal_traces(simd.SimdEngine(model, path, int8_weights).trace(x, None), model.trace(x))


def _pack(codes: np.ndarray, bits: int) -> np.ndarray:
    from bitgate.frozen.packing import pack

    return pack(codes, bits)


def _coupled(rng: np.random.Generator, biases: np.ndarray) -> FrozenModel:
    """c becomes the candidate, whose pre-activation is x + bias, whole: the input gate is open."""
    size = len(biases)
    layer = random_layer(rng, 1, size, cell="coupled_lstm", gate_levels=[2, 0, 2])
    ones = random_matrix(rng, 3 * size, 1, TERNARY)  # its first column holds the largest level, 1
    layer = replace(
        layer,
        w_ih=ones,
        mult_ih=np.array([0, 2, 0], np.int32),
        mult_hh=np.zeros(3, np.int32),
        shift=np.ones(3, np.int32),
        bias=np.concatenate([np.zeros(size), biases, np.zeros(size)]).astype(np.int32),
    )
    input_map = InputMap(np.zeros(1, np.float32), np.ones(1, np.float32))
    return FrozenModel(16, input_map, ((layer,),), None)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("extensions", [True, False])
def test_every_argument_of_the_sigmoid(path: str, extensions: bool) -> None:
    """All u from -12.9 to 12.9, where S is constant beyond 12, as the candidate of a coupled cell."""
    codes = np.arange(-32767, 32768)
    biases = 65535 * np.arange(-6, 7)
    model = _coupled(np.random.default_rng(0), biases)
    x = codes[:, None, None].astype(np.float32)
    found, expected = simd.SimdEngine(model, path, None, extensions).trace(x, None), model.trace(x)
    reached = codes[:, None] + biases
    assert reached.min() < -12.9 * 32768
    assert reached.max() > 12.9 * 32768
    assert len(np.unique(reached)) == reached.size == reached.max() - reached.min() + 1
    np.testing.assert_array_equal(found.c[0], expected.c[0])
    assert len(np.unique(found.c[0])) == 32769, "2 S - 1 takes every even value, and saturates at the odd ends"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", ["lstm", "coupled_lstm"])
@pytest.mark.parametrize("state_bits", [8, 11, 16])
@pytest.mark.parametrize("extensions", [True, False])
def test_every_cell_state_gives_its_output(path: str, cell: str, state_bits: int, extensions: bool) -> None:
    """All values of c, kept by a closed input gate, through tanh to h."""
    rng = np.random.default_rng(0)
    layer = random_layer(rng, 1, 1, cell=cell, state_bits=state_bits, gate_levels=[2] * CELL_GATES[cell])
    bias = np.full(CELL_GATES[cell], 1 << 20, np.int32)
    bias[0] = -(1 << 20)
    layer = replace(layer, bias=bias, mult_ih=layer.mult_ih * 0, mult_hh=layer.mult_hh * 0)
    model = FrozenModel(state_bits, InputMap(np.zeros(1, np.float32), np.ones(1, np.float32)), ((layer,),), None)
    c = np.arange(-32767, 32768).astype(np.int16)[:, None]
    state = (LayerState(np.zeros_like(c), c),)
    streams = simd.SimdEngine(model, path, None, extensions).streams(len(c))
    streams.restore(np.concatenate([state[0].h, c], axis=1))
    _, expected = model.step(state, np.zeros((len(c), 1), np.float32))
    np.testing.assert_array_equal(streams.step(np.zeros((len(c), 1), np.float32)), expected)
    assert len(np.unique(expected)) > (150 if state_bits == 8 else 1500)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("int8_weights", [UNPACKED, PACKED])
@pytest.mark.parametrize("extensions", [True, False])
@pytest.mark.parametrize("change", ["code", "swap", "bias", "sharing", "skip"])
def test_the_comparison_turns_red(path: str, int8_weights: int | None, extensions: bool, change: str) -> None:
    rng = np.random.default_rng(1)
    model = random_frozen_model(
        rng, input_size=20, hidden_sizes=(20,), product_bits=64, state_bits=8, sharing="odd", block_size=2
    )
    broken = replace(model, layers=((break_layer(model.layers[0][0], change),),))
    x = random_sequences(rng, model, 6, 5)
    with pytest.raises(AssertionError):
        assert_equal_traces(simd.SimdEngine(broken, path, int8_weights, extensions).trace(x, None), model.trace(x))


def break_layer(layer: FrozenLayer, change: str) -> FrozenLayer:
    if change == "code":
        packed = layer.w_hh.packed.copy()
        packed[5, 4] ^= 0x40 if packed[5, 4] >> 6 else 0x80
        return replace(layer, w_hh=replace(layer.w_hh, packed=packed))
    if change == "sharing":
        assert layer.sharing is not None
        return replace(layer, sharing=layer.sharing[::-1])
    if change == "skip":
        assert layer.skip is not None
        return replace(layer, skip=replace(layer.skip, block_size=3))
    if change == "bias":
        return replace(layer, bias=layer.bias + np.int32(1 << 12))
    packed = layer.w_ih.packed.copy()
    packed[[0, 1]] = packed[[1, 0]]
    return replace(layer, w_ih=replace(layer.w_ih, packed=packed))


@pytest.mark.parametrize("path", PATHS)
def test_quantization_is_that_of_the_document(path: str) -> None:
    """Features near halves, beyond the range, and where t * gain overflows float32."""
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, input_size=8, hidden_sizes=(), classes=3, state_bits=8)
    gain = np.array([1, 0.5, 3e38, 1e-38, 0, 127, 0.1, 3], np.float32)
    mean = np.array([0, 0.25, 1e30, -1, 3e38, 0.1, 0.3, -0.7], np.float32)
    model = replace(model, input_map=InputMap(mean, gain))
    x = np.concatenate([rng.normal(size=(200, 8)), 3e38 * rng.choice([-1, 0, 1], (50, 8)), np.full((1, 8), 0.5)])
    x = np.concatenate([x, np.arange(-300, 300).repeat(8).reshape(-1, 8) / 2]).astype(np.float32)
    streams = simd.SimdEngine(model, path).streams(len(x))
    streams.step(x)
    states = np.empty((len(x), 8), np.int16)
    streams.save(states)
    np.testing.assert_array_equal(states, model.quantize(x))


@pytest.mark.parametrize("path", PATHS)
def test_a_path_can_be_forced(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.SIMD_VARIABLE, path)
    model = random_frozen_model(np.random.default_rng(0))
    session = Session(model)
    assert session.kernel == path
    x = random_sequences(np.random.default_rng(0), model, 2, 3)
    np.testing.assert_array_equal(session.run(x), model.run(x))


def test_unknown_and_missing_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.SIMD_VARIABLE, "mmx")
    with pytest.raises(ArgumentError, match=r"BITGATE_SIMD: 'mmx', expected one of .*portable"):
        runtime.simd_path()
    missing = next(path for path in simd.PATHS if path not in PATHS)
    monkeypatch.setenv(runtime.SIMD_VARIABLE, missing)
    with pytest.raises(ArgumentError, match="this processor runs"):
        Session(random_frozen_model(np.random.default_rng(0)))
    monkeypatch.delenv(runtime.SIMD_VARIABLE)
    assert runtime.simd_path() == PATHS[-1]
