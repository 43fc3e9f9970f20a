"""No integer overflows: extreme inputs and states, compared with Python's unbounded integers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bitgate import freeze
from bitgate.errors import ShapeError
from bitgate.frozen.bounds import INT32_MAX, check_layer, code_limit, product_bound
from bitgate.frozen.interpreter import LayerState
from bitgate.nn import LSTM, Linear
from tests.freezing.nets import CELLS, WEIGHTS, recurrent
from tests.frozen import scalar
from tests.frozen.compare import assert_equal_to_scalar

HUGE = 1e30


@settings(max_examples=25)
@given(
    cell=st.sampled_from(sorted(CELLS)),
    weights=st.sampled_from(sorted(WEIGHTS)),
    bits=st.sampled_from([8, 13, 16]),
    scale=st.sampled_from([1e-3, 0.3, 3.0, 40.0]),
    bias=st.sampled_from([0.0, 30.0, -30.0]),
    seed=st.integers(0, 1000),
)
def test_extreme_inputs_give_the_integers_of_unbounded_arithmetic(cell, weights, bits, scale, bias, seed):
    """``scalar`` raises if a value leaves its width; inputs are clipped to the largest codes of every sign."""
    torch.manual_seed(seed)
    module = recurrent(cell, 3, 4, weights=WEIGHTS[weights])
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "log_scale" in name:
                parameter.fill_(np.log(scale))
            elif name.startswith("bias"):
                parameter.add_(bias)
    frozen = freeze(module, state_bits=bits)
    x = np.random.default_rng(seed).choice([-HUGE, HUGE, 0.0], size=(2, 4, 3)).astype(np.float32)
    x[0] = HUGE
    assert set(np.unique(frozen.quantize(x[0]))) == {code_limit(bits)}
    assert_equal_to_scalar(frozen, frozen.trace(x), x, np.array([4, 4]))


@pytest.mark.parametrize("bits", [8, 13, 16])
@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("sign", [1, -1])
def test_largest_codes_everywhere_do_not_overflow(cell, bits, sign):
    """All weights of one sign, input and state at their largest codes: the accumulator is as large as it can be."""
    torch.manual_seed(0)
    module = recurrent(cell, 5, 6, weights="binary")
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_hh_l0"):
            getattr(module, name).logits[1].fill_(9.0 * sign)
            getattr(module, name).logits[0].fill_(-9.0 * sign)
    frozen = freeze(module, state_bits=bits)
    layer, limit = frozen.flat_layers[0], code_limit(bits)
    assert (layer.w_hh.values == sign).all()
    x = np.full((1, 5), HUGE, np.float32)
    h = np.full((1, 6), limit, np.int16)
    c = np.full((1, 6), 32767, np.int16)
    at_end = layer.skip is not None  # of a block whose anchor is the largest too
    position = np.full(1, layer.skip.block_size - 1, np.int16) if at_end else None
    state, _ = frozen.step((LayerState(h, c, h if at_end else None, position),), x)
    by_hand = scalar.ScalarLayer(layer, bits)
    by_hand.h, by_hand.c = h[0].tolist(), c[0].tolist()
    if at_end:
        by_hand.anchor, by_hand.position = by_hand.h, layer.skip.block_size - 1
    by_hand.step([limit] * 5)
    assert state[0].h[0].tolist() == by_hand.h
    assert state[0].c[0].tolist() == by_hand.c


def test_unbounded_arithmetic_notices_an_overflow():
    """Sabotage twin: the same extreme state under multipliers twice as large must be caught, by oracle and checker."""
    torch.manual_seed(0)
    module = recurrent("lstm", 5, 6, weights="binary")
    layer = freeze(module).flat_layers[0]
    assert layer.product_bits == 32
    greedy = replace(layer, mult_ih=layer.mult_ih * 2, mult_hh=layer.mult_hh * 2)
    with pytest.raises(ShapeError, match="products reach"):
        check_layer(greedy, 16)
    signs = layer.w_ih.values[0].astype(int)
    by_hand = scalar.ScalarLayer(greedy, 16)
    by_hand.h = (layer.w_hh.values[0].astype(int) * 32767).tolist()
    with pytest.raises(AssertionError, match="left int32"):
        by_hand.step((signs * 32767).tolist())


def test_narrow_products_are_chosen_where_ten_bits_are_left():
    """32-bit products for small layers, 64 where a wide layer would leave fewer than ten bits to a multiplier."""
    torch.manual_seed(0)
    narrow = freeze(LSTM(3, 8, weights="ternary")).flat_layers[0]
    wide = freeze(LSTM(3, 300, weights="ternary")).flat_layers[0]
    wide_8bit = freeze(LSTM(3, 300, weights="ternary"), state_bits=8).flat_layers[0]
    assert (narrow.product_bits, wide.product_bits, wide_8bit.product_bits) == (32, 64, 32)
    for layer in (narrow, wide_8bit):
        assert min(layer.mult_ih.min(), layer.mult_hh.min()) > 0
        assert min(np.maximum(layer.mult_ih, layer.mult_hh)) >= 512
    assert wide.mult_hh.min() > 2**20, "64-bit products leave multipliers at full precision"


@pytest.mark.parametrize("state_bits", [8, 16])
def test_shift_is_the_largest_that_fits(state_bits):
    torch.manual_seed(0)
    layer = freeze(recurrent("lstm", 4, 12, weights="ternary"), state_bits=state_bits).flat_layers[0]
    check_layer(layer, state_bits)
    limit = code_limit(state_bits)
    reach = product_bound(layer, limit).reshape(4, -1).max(axis=1)
    for gate in range(4):
        doubled = [m.copy() for m in (layer.mult_ih, layer.mult_hh)]
        for m in doubled:
            m[gate] *= 2
        more = layer.shift.copy()
        more[gate] += 1
        assert reach[gate] < 2**31
        # One shift more would double this gate's products: too large, or within the slack that the proof keeps.
        tight = replace(layer, mult_ih=doubled[0], mult_hh=doubled[1], shift=more)
        if 2 * reach[gate] + 2 ** int(more[gate] - 1) >= 2**31:
            with pytest.raises(ShapeError, match="products reach"):
                check_layer(tight, state_bits)
        else:
            slack = (layer.w_ih.row_sums + layer.w_hh.row_sums).max() * limit
            assert 2 * reach[gate] + slack * 2 + 2 ** int(more[gate] - 1) >= 2**31


@pytest.mark.parametrize("weights", sorted(WEIGHTS))
@pytest.mark.parametrize("bias", [0.0, 100.0, -100.0])
def test_logits_of_extreme_inputs_fit(weights, bias):
    torch.manual_seed(0)
    layer = Linear(7, 3, weights=WEIGHTS[weights])
    with torch.no_grad():
        layer.bias.add_(bias)
    frozen = freeze(layer)
    readout = frozen.readout
    x = np.where(readout.weight.values >= 0, HUGE, -HUGE).astype(np.float32)[:, None, :]
    codes = frozen.quantize(x)[:, 0].tolist()
    mult = np.broadcast_to(readout.mult, 3).tolist()
    rows = readout.weight.values.tolist()
    logits = frozen.run(x)
    for b, code in enumerate(codes):
        exact = [
            m * sum(w * v for w, v in zip(row, code, strict=True)) + shift
            for m, row, shift in zip(mult, rows, readout.bias.tolist(), strict=True)
        ]
        assert logits[b].tolist() == exact
        assert max(map(abs, exact)) <= INT32_MAX


@pytest.mark.parametrize("weights", ["ternary", "continuous"])
def test_biases_beyond_all_logits_are_refused_and_not_clipped(weights):
    layer = Linear(7, 3, weights=weights)
    with torch.no_grad():
        layer.bias.add_(1e9)
    with pytest.raises(ShapeError, match=r"logits reach \d+, which int32 cannot hold"):
        freeze(layer)


def test_layer_of_zeros_can_be_frozen():
    module = recurrent("coupled", 2, 3, weights="ternary")
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_hh_l0"):
            getattr(module, name).logits[1].fill_(50.0)
    frozen = freeze(module)
    assert not frozen.flat_layers[0].w_hh.values.any()
    np.testing.assert_array_equal(frozen.run(np.ones((1, 3, 2))), frozen.run(np.zeros((1, 3, 2))))
