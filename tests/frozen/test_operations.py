"""Operations of a step against counts made by hand from docs/arithmetic.md."""

from dataclasses import replace

import numpy as np
import pytest

from bitgate.frozen import FrozenLayer, FrozenModel, InputMap, PackedMatrix
from bitgate.frozen.operations import Operations, activation, needed_operations, needed_sums
from tests.frozen.make import EIGHT_BITS, random_frozen_model

CODES = {-1: 0, 0: 1, 1: 2}


def ternary(rows: list[list[int]]) -> PackedMatrix:
    codes = np.array([[CODES[value] for value in row] for row in rows], dtype=np.uint8)
    return PackedMatrix.from_codes(codes, np.array([-1, 0, 1], dtype=np.int8))


def tiny(gate_levels: tuple[int, ...], cell: str = "coupled_lstm") -> FrozenLayer:
    """Two inputs, one unit; five of nine weights are not 0."""
    return FrozenLayer(
        cell=cell,
        gate_levels=gate_levels,
        w_ih=ternary([[1, 0], [-1, 1], [0, 0]]),
        w_hh=ternary([[1], [0], [-1]]),
        mult_ih=np.full(3, 100, np.int32),
        mult_hh=np.full(3, 100, np.int32),
        shift=np.full(3, 5, np.int32),
        bias=np.zeros(3, np.int32),
        bias_hn=np.zeros(1, np.int32) if cell == "gru" else None,
        product_bits=32,
    )


def model_of(layer: FrozenLayer, state_bits: int = 8) -> FrozenModel:
    ones = np.ones(layer.input_size, np.float32)
    return FrozenModel(state_bits, InputMap(0 * ones, ones), ((layer,),), None)


def test_coupled_lstm_with_smooth_gates() -> None:
    # Additions: 5 weights; 3 rows of 2; per unit 3 gates of a bias and an interpolation (1 + 4), 1 for 2 S - 1 of g,
    # 3 for c', 4 + 1 for the tanh, 1 for h'. Products: 3 rows of 2, 4 interpolations, 3 of the state.
    expected = Operations(5 + 6 + 15 + 1 + 3 + 5 + 1, 6 + 4 + 3, 4 * 2)
    assert needed_operations(tiny((0, 0, 0)), 8) == expected


def test_step_gates_need_no_table_and_no_product() -> None:
    # Gone: interpolations of g and o (2 x 4 additions, 2 products, 4 look-ups), the products i g and o tanh.
    smooth, step = needed_operations(tiny((0, 0, 0)), 8), needed_operations(tiny((0, 2, 2)), 8)
    assert step + Operations(8, 4, 4) == smooth
    assert step == Operations(28, 9, 4)


@pytest.mark.parametrize(("bits", "additions"), [(8, 5 + 6 + 16 + 7), (16, 5 + 6 + 16 + 6)])
def test_gru(bits: int, additions: int) -> None:
    # The unit: 3 gates (1 + 4), 2 N - 1, bias_hn, 2 for u, 3 for c', and the rounding of h unless it has 16 bits.
    assert needed_operations(tiny((0, 0, 0), "gru"), bits) == Operations(additions, 6 + 3 + 3, 6)


def test_gated_rnn() -> None:
    layer = random_frozen_model(np.random.default_rng(0), cell="gated_rnn", hidden_sizes=(1,)).layers[0][0]
    sums = needed_sums(layer.w_ih) + needed_sums(layer.w_hh)
    # Two rows of two; two gates (1 + 4), 2 N - 1, 3 for c'; at 16 bits h is c. Products: two interpolations, two of c'.
    assert needed_operations(layer, 16) == sums + Operations(4 + 10 + 1 + 3, 4 + 2 + 2, 4)
    assert needed_operations(layer, 8) == sums + Operations(4 + 10 + 1 + 3 + 1, 4 + 2 + 2, 4)


def test_shared_sums_are_made_once_and_scaled_for_every_gate() -> None:
    rng = np.random.default_rng(0)
    own, shared = (random_frozen_model(rng, hidden_sizes=(5,), sharing=s).layers[0][0] for s in ("none", "psug1"))
    sums = [needed_sums(layer.w_ih) + needed_sums(layer.w_hh) for layer in (own, shared)]
    assert sums[1].additions < sums[0].additions / 2
    rest = needed_operations(own, 16).additions - sums[0].additions
    assert needed_operations(shared, 16) == sums[1] + Operations(rest, 20 * 2 + 5 * (5 + 3), 5 * 5 * 2)


def test_a_skip_costs_a_product_and_two_additions_a_unit() -> None:
    layer = random_frozen_model(np.random.default_rng(0), hidden_sizes=(5,), block_size=16).layers[0][0]
    without = needed_operations(replace(layer, skip=None), 16)
    assert needed_operations(layer, 16) == without + Operations(5 * 2, 5)


@pytest.mark.parametrize(("levels", "lookups"), [(2, 0), (3, 3), (4, 3), (5, 4), (256, 9)])
def test_levels_are_found_by_bisection(levels: int, lookups: int) -> None:
    assert activation(levels) == Operations(lookups=lookups)


def test_weights_beyond_one_need_products() -> None:
    matrix = random_frozen_model(np.random.default_rng(0), levels=EIGHT_BITS).layers[0][0].w_ih
    values = matrix.values.astype(int)
    assert needed_sums(matrix) == Operations(int((values != 0).sum()), int((abs(values) > 1).sum()))


def test_cost_adds_layers_up_and_counts_the_readout_apart() -> None:
    model = random_frozen_model(np.random.default_rng(0), hidden_sizes=(5, 2), classes=4)
    cost = model.cost()
    layers = [needed_operations(layer, 16) for layer in model.flat_layers]
    assert cost.operations == layers[0] + layers[1]
    assert model.readout is not None
    nonzero = int((model.readout.weight.values != 0).sum())
    assert (cost.readout_additions, cost.readout_multiplications) == (nonzero + 4, 4)
    zeros = [m.values == 0 for layer in model.flat_layers for m in (layer.w_ih, layer.w_hh)]
    assert cost.zero_weights == sum(int(z.sum()) for z in zeros) + model.readout.weight.values.size - nonzero
