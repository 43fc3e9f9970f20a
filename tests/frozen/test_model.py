"""Frozen models refuse what the arithmetic cannot hold, and say what they cost."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bitgate.errors import ArgumentError, ShapeError
from bitgate.frozen import FrozenLayer, FrozenModel
from tests.frozen.compare import assert_equal_to_scalar
from tests.frozen.make import random_frozen_model, random_layer, random_sequences


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
    ],
)
def test_bad_layers_are_refused(model: FrozenModel, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        replace(model.layers[0][0], **changes)


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


def test_cost_counts() -> None:
    model = random_frozen_model(np.random.default_rng(0), input_size=3, hidden_sizes=(5,), classes=4)
    cost = model.cost()
    assert cost.n_weights == 20 * 3 + 20 * 5 + 4 * 5
    assert cost.n_biases == 20 + 4
    assert cost.paper_bits == 2 * cost.n_weights + 32 * cost.n_biases
    assert cost.weight_bytes == 20 * 1 + 20 * 2 + 4 * 2
    assert cost.ram_bytes == 2 * (5 + 5 + 5)
