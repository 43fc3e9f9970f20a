"""``weights=``: names, descriptions, and weights that were drawn already."""

from typing import Any

import pytest
import torch
from torch import nn

from bitgate.errors import ArgumentError
from bitgate.weights import BINARY, TERNARY, Categorical, Continuous, FixedWeights, Quantized, resolve_weights
from tests.tolerances import EXACT, assert_near


def test_names_mean_categorical_weights_with_the_r_trick() -> None:
    assert resolve_weights("continuous") == Continuous()
    assert resolve_weights("ternary") == Categorical(TERNARY, trick="r")
    assert resolve_weights("binary") == Categorical(BINARY, trick="r")
    spec = Quantized()
    assert resolve_weights(spec) is spec


@pytest.mark.parametrize("weights", ["quaternary", "", None, 2, Categorical, (-1.0, 1.0)])
def test_an_unknown_description_is_refused_by_name(weights: Any) -> None:
    with pytest.raises(ArgumentError, match=r"weights: .*, expected one of \['binary', 'continuous', 'ternary'\]"):
        resolve_weights(weights)


def test_continuous_weights_are_a_plain_uniform_parameter() -> None:
    weights = Continuous().make(30, 40, 0.2)
    assert type(weights) is nn.Parameter
    assert 0.19 < weights.abs().max() <= 0.2


def test_fixed_weights_are_a_constant_copy() -> None:
    values = torch.tensor([[1.0, -1.0]], requires_grad=True)
    fixed = FixedWeights(values, BINARY)
    with torch.no_grad():
        values.neg_()
    for name in ("sample", "mode", "mean"):
        assert_near(getattr(fixed, name)(), torch.tensor([[1.0, -1.0]]), EXACT, name)
    assert_near(fixed.var(), torch.zeros(1, 2), EXACT)
    assert_near(fixed.entropy_bits(), torch.zeros(1, 2), EXACT)
    assert not list(fixed.parameters())
    assert set(fixed.state_dict()) == {"values"}
    with pytest.raises(ArgumentError, match="kl: these weights were drawn already"):
        fixed.kl()
    fixed.reset_parameters()
    assert_near(fixed.mode(), torch.tensor([[1.0, -1.0]]), EXACT)
