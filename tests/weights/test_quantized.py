"""Quantized weights: nearest level, ties, threshold rule and the straight-through mask."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitgate.errors import ArgumentError
from bitgate.weights import BINARY, TERNARY, Levels, Quantized, QuantizedWeights, uniform_levels
from tests.tolerances import EXACT, assert_near

LEVELS: list[Levels] = [BINARY, TERNARY, uniform_levels(4), uniform_levels(9), (-3.0, -0.5, 0.25, 2.0)]


def holding(latent: Tensor, spec: Quantized) -> QuantizedWeights:
    weights = spec.make(*latent.shape, 1.0, dtype=latent.dtype)
    with torch.no_grad():
        weights.latent.copy_(latent)
    return weights


def nearest(latent: float, levels: Levels) -> float:
    """By brute force; a tie goes to the larger magnitude, and to + where that is equal too."""
    return min(levels, key=lambda level: (abs(latent - level), -abs(level), -level))


@settings(max_examples=100)
@given(
    levels=st.lists(st.integers(-20, 20), min_size=2, max_size=9, unique=True).map(
        lambda v: tuple(float(x) for x in sorted(v))
    ),
    latents=st.lists(st.integers(-100, 100).map(lambda k: k / 4), min_size=1, max_size=30),
)
def test_nearest_rule_equals_brute_force_ties_included(levels: Levels, latents: list[float]) -> None:
    weights = holding(torch.tensor([latents], dtype=torch.float64), Quantized(levels))
    expected = torch.tensor([[nearest(latent, levels) for latent in latents]], dtype=torch.float64)
    assert_near(weights.mode(), expected, EXACT, "weight")
    assert_near(weights.sample().detach(), expected, EXACT, "weight")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_levels_are_the_sign_and_three_round_the_clipped_latent(dtype: torch.dtype) -> None:
    latent = torch.tensor([[-1.7, -0.5, -0.3, -0.0, 0.0, 0.3, 0.5, 1.7]], dtype=dtype)
    sign = torch.tensor([[-1.0, -1, -1, 1, 1, 1, 1, 1]], dtype=dtype)
    rounded = torch.tensor([[-1.0, -1, 0, 0, 0, 0, 1, 1]], dtype=dtype)
    assert_near(holding(latent, Quantized(BINARY)).mode(), sign, EXACT)
    assert_near(holding(latent, Quantized(TERNARY)).mode(), rounded, EXACT)


def test_threshold_rule_is_that_of_ternary_weight_networks() -> None:
    latent = np.random.default_rng(0).normal(size=(20, 30))
    cut = 0.7 * np.abs(latent).mean()
    expected = torch.from_numpy(np.where(latent > cut, 1.0, np.where(latent < -cut, -1.0, 0.0)))
    found = holding(torch.from_numpy(latent), Quantized(rule="threshold")).mode()
    assert_near(found, expected, EXACT, "weight")
    with pytest.raises(AssertionError, match="weight differs"):
        assert_near(holding(torch.from_numpy(latent), Quantized()).mode(), expected, EXACT, "weight")


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("of", ["sample", "mean"])
def test_the_gradient_passes_within_the_outer_levels_only(levels: Levels, of: str) -> None:
    low, high = levels[0], levels[-1]
    latent = torch.tensor([[low - 1, low - 1e-9, low, 0.0, high, high + 1e-9, high + 1]], dtype=torch.float64)
    weights = holding(latent, Quantized(levels))
    upstream = torch.arange(1.0, 8.0, dtype=torch.float64).view(1, 7)
    getattr(weights, of)().backward(upstream)
    assert_near(weights.latent.grad, upstream * torch.tensor([[0.0, 0, 1, 1, 1, 0, 0]]), EXACT, "pseudo-gradient")


def test_the_threshold_rule_has_the_same_mask() -> None:
    weights = holding(torch.tensor([[-1.2, -0.9, 0.0, 0.1, 1.0, 1.2]]), Quantized(rule="threshold"))
    weights.sample().sum().backward()
    assert_near(weights.latent.grad, torch.tensor([[0.0, 1, 1, 1, 1, 0]]), EXACT, "pseudo-gradient")


@pytest.mark.parametrize("levels", LEVELS)
def test_initial_latents_reach_every_level_and_none_is_dead(levels: Levels) -> None:
    weights = Quantized(levels).make(40, 50, 0.1, dtype=torch.float64)
    assert set(weights.mode().unique().tolist()) == set(levels)
    weights.sample().sum().backward()
    assert (weights.latent.grad == 1).all()


def test_a_point_has_no_variance_no_entropy_and_no_divergence() -> None:
    weights = Quantized().make(2, 3, 1.0)
    assert_near(weights.var(), torch.zeros(2, 3), EXACT)
    assert_near(weights.entropy_bits(), torch.zeros(2, 3), EXACT)
    with pytest.raises(ArgumentError, match="kl: quantized weights are a point"):
        weights.kl()
    assert "rule='nearest'" in repr(weights)


def test_what_makes_no_sense_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="rule: 'stochastic', expected 'nearest' or 'threshold'"):
        Quantized(rule="stochastic")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"rule: 'threshold' is defined for .* only, got \(-1\.0, 1\.0\)"):
        Quantized(BINARY, rule="threshold")
    with pytest.raises(ArgumentError, match=r"levels: .* expected ascending"):
        Quantized((1.0, 0.0))
