"""The NumPy interpreter against plain Python integers (tests/frozen/scalar.py): every state of every step, exactly."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bitgate.frozen.record import SKIP_CELLS
from tests.frozen.compare import assert_equal_to_scalar
from tests.frozen.make import (
    BINARY,
    CELL_GATES,
    EIGHT_BITS,
    FOUR,
    SIXTEEN,
    TERNARY,
    random_frozen_model,
    random_sequences,
)

LEVELS = (BINARY, TERNARY, FOUR, SIXTEEN, EIGHT_BITS)
GATES = {"smooth": [0, 0, 0, 0], "step": [2, 2, 2, 2], "mixed": [0, 2, 3, 5], "many": [256, 7, 2, 0]}


CASES = list(itertools.product(CELL_GATES, (8, 13, 16), (32, 64), GATES))


@pytest.mark.parametrize(("cell", "bits", "product_bits", "gates"), CASES)
def test_every_state_equals_plain_integers(cell: str, bits: int, product_bits: int, gates: str) -> None:
    seed = CASES.index((cell, bits, product_bits, gates))
    rng = np.random.default_rng(seed)
    model = random_frozen_model(
        rng,
        cell=cell,
        state_bits=bits,
        product_bits=product_bits,
        levels=LEVELS[seed % len(LEVELS)],
        gate_levels=GATES[gates][: CELL_GATES[cell]],
        per_row=seed % 3 == 0,
        hidden_sizes=[(4,), (3, 5), (1,)][seed % 3],
        input_size=1 + seed % 4,
        bidirectional=seed % 4 == 0,
        classes=None if seed % 7 == 0 else 3,
    )
    x = random_sequences(rng, model, batch=3, steps=7)
    lengths = np.array([7, 1, 4])
    assert_equal_to_scalar(model, model.trace(x, lengths), x, lengths)


FORMS = list(itertools.product(CELL_GATES, ("psug2", "psug1", "odd"), (8, 13, 16)))


@pytest.mark.parametrize(("cell", "sharing", "bits"), FORMS)
def test_shared_projections_and_skips_equal_plain_integers(cell: str, sharing: str, bits: int) -> None:
    seed = FORMS.index((cell, sharing, bits))
    rng = np.random.default_rng(seed)
    model = random_frozen_model(
        rng,
        cell=cell,
        state_bits=bits,
        product_bits=[32, 64][seed % 2],
        levels=LEVELS[seed % len(LEVELS)],
        gate_levels=list(GATES.values())[seed % 4][: CELL_GATES[cell]],
        per_row=seed % 3 != 0,
        hidden_sizes=[(4,), (3, 5), (1,)][seed % 3],
        bidirectional=seed % 4 == 0,
        sharing=sharing,
        block_size=[1, 2, 3, 5][seed % 4] if cell in SKIP_CELLS else None,
        range_bits=seed % 5,
    )
    x = random_sequences(rng, model, batch=3, steps=13)
    lengths = np.array([13, 1, 7])
    assert_equal_to_scalar(model, model.trace(x, lengths), x, lengths)


def test_skips_use_their_range_and_saturate() -> None:
    """Open gates and alpha 1: h grows by about 1 at every boundary, to the end of its range."""
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, hidden_sizes=(2,), gate_levels=[2] * 4, block_size=3, range_bits=2, classes=None)
    layer = model.layers[0][0]
    skip = replace(layer.skip, alpha=np.array([32768, 16384], dtype=np.int32))  # type: ignore[type-var]
    model = replace(model, layers=((replace(layer, bias=np.full(8, 1 << 30, dtype=np.int32), skip=skip),),))
    assert model.output_scale == 2 / 2**14
    x = random_sequences(rng, model, batch=1, steps=60)
    trace = model.trace(x)
    assert_equal_to_scalar(model, trace, x, np.array([60]))
    real = trace.h[0][0] * model.output_scale
    ends = real[2::3]
    assert ends[:, 0].max() == 32767 * model.output_scale  # saturated at 4
    assert np.all(np.diff(ends[:4, 0]) > 0.9)
    assert 1.9 < ends[-1, 1] < 2  # 1 / (1 - alpha)
    between = np.delete(real, slice(2, None, 3), axis=0)
    assert between.max() <= 1


@pytest.mark.parametrize("block_size", [1, 4, 5])
def test_chunks_of_any_length_equal_the_whole(block_size: int) -> None:
    rng = np.random.default_rng(1)
    model = random_frozen_model(rng, hidden_sizes=(4, 3), sharing="psug2", block_size=block_size)
    x = random_sequences(rng, model, batch=2, steps=11)
    trace = model.trace(x)
    state = model.init_state(2)
    for t in range(11):
        state, output = model.step(state, x[:, t])
        for k, part in enumerate(state):
            assert part.position is not None
            assert part.anchor is not None
            np.testing.assert_array_equal(part.h, trace.h[k][:, t])
            assert part.position.tolist() == [(t + 1) % block_size] * 2
            last = t - (t + 1) % block_size
            np.testing.assert_array_equal(part.anchor, trace.h[k][:, last] if last >= 0 else 0)
    np.testing.assert_array_equal(output, trace.logits)


def test_long_smooth_runs_stay_equal_and_alive() -> None:
    rng = np.random.default_rng(5)
    for cell in CELL_GATES:
        model = random_frozen_model(rng, cell=cell, hidden_sizes=(6,), product_bits=64)
        x = random_sequences(rng, model, batch=1, steps=120)
        trace = model.trace(x)
        assert_equal_to_scalar(model, trace, x, np.array([120]))
        assert len(np.unique(trace.h[0])) > 300  # a dead model would make the comparison empty


def test_lstm_cell_state_saturates() -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, cell="lstm", hidden_sizes=(2,), gate_levels=[2, 2, 2, 2])
    layer = model.layers[0][0]
    open_gates = replace(layer, bias=np.full(8, 1 << 30, dtype=np.int32))
    model = replace(model, layers=((open_gates,),))
    x = random_sequences(rng, model, batch=1, steps=40)
    trace = model.trace(x)
    assert trace.c[0][0, -1].tolist() == [32767, 32767]
    assert_equal_to_scalar(model, trace, x, np.array([40]))


@pytest.mark.parametrize("change", ["swap gates", "flip code", "drop bias", "shift"])
def test_the_comparison_turns_red(change: str) -> None:
    rng = np.random.default_rng(3)
    model = random_frozen_model(rng, cell="lstm", hidden_sizes=(4,), product_bits=64)
    x = random_sequences(rng, model, batch=1, steps=6)
    layer = model.layers[0][0]
    if change == "swap gates":
        order = [2, 1, 0, 3]
        bias = layer.bias.reshape(4, -1)[order].reshape(-1)
        broken = replace(layer, bias=bias, gate_levels=layer.gate_levels)
    elif change == "flip code":
        packed = layer.w_ih.packed.copy()
        packed[0, 0] ^= 2
        broken = replace(layer, w_ih=replace(layer.w_ih, packed=packed))
    elif change == "drop bias":
        bias = layer.bias.copy()
        bias[1] = 0
        broken = replace(layer, bias=bias)
    else:
        broken = replace(layer, shift=layer.shift + 1)
    trace = replace(model, layers=((broken,),)).trace(x)
    with pytest.raises(AssertionError):
        assert_equal_to_scalar(model, trace, x, np.array([6]))


@pytest.mark.parametrize("change", ["gate map", "alpha", "block", "range", "row"])
def test_the_comparison_of_skips_turns_red(change: str) -> None:
    rng = np.random.default_rng(3)
    model = random_frozen_model(rng, hidden_sizes=(4,), sharing="psug2", block_size=3, per_row=True, product_bits=64)
    x = random_sequences(rng, model, batch=1, steps=8)
    layer = model.layers[0][0]
    assert layer.skip is not None
    layer = replace(layer, skip=replace(layer.skip, alpha=np.full(1, 25000, np.int32)))
    model = replace(model, layers=((layer,),))
    assert layer.skip is not None
    if change == "gate map":
        broken = replace(layer, sharing=(0, 1, 0, 0))
    elif change == "row":
        broken = replace(layer, mult_hh=np.roll(layer.mult_hh, 4))
    elif change == "alpha":
        broken = replace(layer, skip=replace(layer.skip, alpha=np.full(4, 20000, np.int32)))
    elif change == "block":
        broken = replace(layer, skip=replace(layer.skip, block_size=4))
    else:
        broken = replace(layer, skip=replace(layer.skip, range_bits=2))
    trace = replace(model, layers=((broken,),)).trace(x)
    with pytest.raises(AssertionError):
        assert_equal_to_scalar(model, trace, x, np.array([8]))


@pytest.mark.parametrize("cell", CELL_GATES)
def test_steps_equal_whole_run(cell: str) -> None:
    rng = np.random.default_rng(1)
    model = random_frozen_model(rng, cell=cell, hidden_sizes=(4, 3))
    x = random_sequences(rng, model, batch=2, steps=9)
    trace = model.trace(x)
    state = model.init_state(2)
    for t in range(9):
        before = [part.h.copy() for part in state]
        new, output = model.step(state, x[:, t])
        for part, h in zip(state, before, strict=True):
            np.testing.assert_array_equal(part.h, h)  # the given state is a value
        state = new
        for k, part in enumerate(state):
            np.testing.assert_array_equal(part.h, trace.h[k][:, t])
            np.testing.assert_array_equal(part.c, trace.c[k][:, t])
    np.testing.assert_array_equal(output, trace.logits)


def test_what_lies_behind_an_end_is_ignored() -> None:
    rng = np.random.default_rng(2)
    model = random_frozen_model(rng, bidirectional=True)
    x = random_sequences(rng, model, batch=2, steps=6)
    other = x.copy()
    other[1, 3:] = 99
    lengths = [6, 3]
    np.testing.assert_array_equal(model.run(x, lengths), model.run(other, lengths))
    np.testing.assert_array_equal(model.run(x[1, :3]), model.run(x, lengths)[1])


def test_input_map_rounds_halves_up_and_clips() -> None:
    model = random_frozen_model(np.random.default_rng(0), input_size=1, state_bits=8)
    model = replace(
        model, input_map=replace(model.input_map, mean=np.zeros(1, np.float32), gain=np.ones(1, np.float32))
    )
    values = np.array([[-200.0], [-1.5], [-0.5], [0.49999997], [0.5], [1.5], [200.0], [3e38], [-3e38]])
    # 0.49999997 + 0.5 rounds to 1.0 in float32: the document says so, and C must do the same.
    assert model.quantize(values)[:, 0].tolist() == [-127, -1, 0, 1, 1, 2, 127, 127, -127]
