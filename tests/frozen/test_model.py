"""Frozen models refuse what the arithmetic cannot hold, and say what they cost."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitgate.errors import ArgumentError, ShapeError
from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel
from bitgate.frozen.record import SKIP_CELLS
from tests.frozen.compare import assert_equal_to_scalar
from tests.frozen.make import CELL_GATES, SHARINGS, random_frozen_model, random_layer, random_sequences


@pytest.fixture
def model() -> FrozenModel:
    return random_frozen_model(np.random.default_rng(0), cell="gru")


def with_layer(model: FrozenModel, **changes: Any) -> FrozenModel:
    return replace(model, layers=((replace(model.layers[0][0], **changes),),))


def test_products_that_overflow_are_refused(model: FrozenModel) -> None:
    mult = np.full(3, 1 << 20, dtype=np.int32)
    with pytest.raises(ShapeError, match="which 32 bits cannot hold"):
        with_layer(model, mult_ih=mult)
    with_layer(model, mult_ih=mult, product_bits=64, shift=np.full(3, 30, dtype=np.int32))


def test_preactivations_that_overflow_are_refused(model: FrozenModel) -> None:
    with pytest.raises(ShapeError, match="pre-activations reach"):
        with_layer(model, bias=np.full(15, 2**31 - 1, dtype=np.int32))
    bias = np.zeros(15, dtype=np.int32)
    bias[-1] = 1 << 30
    with pytest.raises(ShapeError, match="pre-activations reach"):
        with_layer(model, bias=bias, bias_hn=np.full(5, 1 << 30, dtype=np.int32))


def test_largest_products_are_accepted_and_exact() -> None:
    """At the bound itself nothing wraps: the scalar test's own checks run on such a model."""
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, input_size=1, hidden_sizes=(1,), levels=(-1, 1), classes=None)
    limit = 32767
    mult = np.full(4, ((1 << 31) - 1 - (1 << 12)) // (2 * limit), dtype=np.int32)
    model = with_layer(model, mult_ih=mult, mult_hh=mult, shift=np.full(4, 13, dtype=np.int32))
    with pytest.raises(ShapeError, match="which 32 bits cannot hold"):
        with_layer(model, mult_ih=mult + 1, mult_hh=mult + 1)
    x = np.full((1, 9, 1), 1e6, dtype=np.float32)
    assert_equal_to_scalar(model, model.trace(x), x, np.array([9]))


def test_logits_that_overflow_are_refused(model: FrozenModel) -> None:
    assert model.readout is not None
    with pytest.raises(ShapeError, match="logits reach"):
        replace(model, readout=replace(model.readout, mult=np.array([1 << 20], dtype=np.int32)))


def test_shapes_that_do_not_chain_are_refused(model: FrozenModel) -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(ShapeError, match="takes 4 inputs, but 3 reach it"):
        replace(model, layers=((random_layer(rng, 4, 5),),))
    with pytest.raises(ShapeError, match="readout: takes 5 inputs, but 6 reach it"):
        replace(model, layers=((random_layer(rng, 3, 6),),))
    with pytest.raises(ShapeError, match="at most one reverse"):
        replace(model, layers=((replace(model.layers[0][0], reverse=True),),))
    with pytest.raises(ShapeError, match="a layer or a readout"):
        replace(model, layers=(), readout=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "rnn"}, "cell: 'rnn'"),
        ({"gate_levels": (0, 0)}, "gate_levels"),
        ({"gate_levels": (0, 1, 0)}, "gate_levels"),
        ({"bias": np.zeros(15, dtype=np.int64)}, "bias: expected int32"),
        ({"bias_hn": None}, "bias_hn: given exactly for a GRU"),
        ({"shift": np.array([0, 1, 1], dtype=np.int32)}, "shift"),
        ({"product_bits": 48}, "product_bits: 48"),
        ({"sharing": (0, 0)}, "sharing: .*expected 3 projections"),
        ({"sharing": (0, 2, 2)}, "without gaps"),
        ({"sharing": (0, 0, 1)}, "gru: 2 projections of 5 units need 10 rows, got 15"),
        ({"skip": BlockSkip(16, np.zeros(1, np.int32), 1)}, "skip: gru has none, only coupled_lstm and lstm"),
    ],
)
def test_bad_layers_are_refused(model: FrozenModel, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        replace(model.layers[0][0], **changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, [1], 0), "block_size: 0, expected 1 to 32767"),
        ((32768, [1], 0), "block_size: 32768"),
        ((1, [1], 13), "range_bits: 13, expected 0 to 12"),
        ((1, [-1], 0), r"alpha: -1 to -1, expected 0 to 32768 \(Q15\)"),
        ((1, [0, 32769], 0), "alpha: 0 to 32769"),
    ],
)
def test_bad_skips_are_refused(arguments: tuple[int, list[int], int], message: str) -> None:
    block_size, alpha, range_bits = arguments
    with pytest.raises(ShapeError, match=message):
        BlockSkip(block_size, np.array(alpha, np.int32), range_bits)


def test_ranges_of_skips_are_checked() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ShapeError, match="range_bits: 5, at most 4 are possible with 8 state bits"):
        random_frozen_model(rng, state_bits=8, block_size=2, range_bits=5)
    model = random_frozen_model(rng, block_size=2, range_bits=1, bidirectional=True)
    forward, backward = model.layers[0]
    assert backward.skip is not None
    other = replace(backward, skip=replace(backward.skip, range_bits=2))
    with pytest.raises(ShapeError, match="layer 0: its directions have hidden states of different ranges"):
        replace(model, layers=((forward, other),))


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(list(CELL_GATES)),
    st.sampled_from(list(SHARINGS)),
    st.sampled_from([32, 64]),
    st.booleans(),
)
def test_accepted_layers_never_overflow(seed: int, cell: str, sharing: str, product_bits: int, per_row: bool) -> None:
    """Multipliers of both signs at the bound of the proof, the largest inputs: the oracle checks each sum."""
    rng = np.random.default_rng(seed)
    block_size = int(rng.integers(1, 4)) if cell in SKIP_CELLS else None
    options: dict[str, Any] = {"cell": cell, "sharing": sharing, "product_bits": product_bits, "per_row": per_row}
    options |= {"block_size": block_size, "range_bits": int(rng.integers(0, 5)), "classes": None}
    model = random_frozen_model(rng, input_size=2, hidden_sizes=(3,), state_bits=int(rng.choice([8, 16])), **options)
    layer = model.layers[0][0]
    grown = model
    for _ in range(40):  # doubles multipliers and biases until the proof says no
        layer = replace(layer, mult_ih=grow(layer.mult_ih), mult_hh=grow(layer.mult_hh), bias=grow(layer.bias))
        try:
            grown = replace(model, layers=((layer,),))
        except ShapeError:
            break
    x = (rng.choice([-1e6, 1e6], (1, 9, 2)) + 0 * model.input_map.mean).astype(np.float32)
    assert_equal_to_scalar(grown, grown.trace(x), x, np.array([9]))


def grow(values: np.ndarray) -> np.ndarray:
    return np.clip(values.astype(np.int64) * 2, -(1 << 31) + 1, (1 << 31) - 1).astype(np.int32)


def test_inputs_are_checked(model: FrozenModel) -> None:
    x = random_sequences(np.random.default_rng(0), model, 2, 3)
    with pytest.raises(ShapeError, match="expected 3 features"):
        model.run(x[..., :2])
    bad = x.copy()
    bad[0, 1, 2] = np.nan
    with pytest.raises(ShapeError, match=r"value at \(0, 1, 2\) is nan"):
        model.run(bad)
    with pytest.raises(ShapeError, match="found 0 to 3"):
        model.run(x, [0, 3])
    with pytest.raises(ShapeError, match="expected 2 integers"):
        model.run(x, [1.0, 2.0])
    with pytest.raises(ShapeError, match="at least one sequence and step"):
        model.run(x[:, :0])


def test_bidirectional_models_have_no_steps() -> None:
    model = random_frozen_model(np.random.default_rng(0), bidirectional=True)
    with pytest.raises(ArgumentError, match="bidirectional model needs whole sequences"):
        model.init_state()


def test_arrays_are_read_only(model: FrozenModel) -> None:
    layer: FrozenLayer = model.layers[0][0]
    with pytest.raises(ValueError, match="read-only"):
        layer.bias[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        layer.w_ih.packed[0, 0] = 1


def test_cost_of_shared_projections_and_skips() -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, hidden_sizes=(5,), classes=None, sharing="psug2", block_size=16, per_row=True)
    cost, layer = model.cost(), model.layers[0][0]
    assert layer.skip is not None
    n_alpha = layer.skip.alpha.size
    assert cost.n_weights == 10 * 3 + 10 * 5  # two projections instead of four
    assert cost.paper_bits == 2 * cost.n_weights + 32 * 20
    assert cost.n_scales == 20 + n_alpha
    assert cost.flash_bytes == 10 * 1 + 10 * 2 + 4 * (20 + 20 + 20) + 4 + 4 + 2 * n_alpha + 360
    assert cost.ram_bytes == 2 * (5 + 5 + 5 + 1 + 5)


def test_cost_counts() -> None:
    model = random_frozen_model(np.random.default_rng(0), input_size=3, hidden_sizes=(5,), classes=4)
    cost = model.cost()
    assert cost.n_weights == 20 * 3 + 20 * 5 + 4 * 5
    assert cost.n_biases == 20 + 4
    assert cost.paper_bits == 2 * cost.n_weights + 32 * cost.n_biases
    assert cost.weight_bytes == 20 * 1 + 20 * 2 + 4 * 2
    assert cost.ram_bytes == 2 * (5 + 5 + 5)
