"""Gaussian weights against torch.distributions and the statistics of their draws."""

import math

import pytest
import scipy.stats
import torch

from bitgate.errors import ArgumentError
from bitgate.weights import Gaussian, GaussianWeights
from tests.tolerances import CLOSED_FORM, EXACT, SMALLEST_P_VALUE, assert_near


def make(rows: int = 3, columns: int = 4) -> GaussianWeights:
    weights = Gaussian(init_std=0.3).make(rows, columns, 0.5, dtype=torch.float64)
    with torch.no_grad():
        weights.log_var.add_(torch.randn(rows, columns, dtype=torch.float64))
    return weights


def reference(weights: GaussianWeights) -> torch.distributions.Normal:
    return torch.distributions.Normal(weights.loc.detach(), (weights.log_var.detach() / 2).exp())


def test_moments_entropy_mode_and_divergence_equal_torch_distributions() -> None:
    weights = make()
    expected = reference(weights)
    assert_near(weights.mean().detach(), expected.mean, CLOSED_FORM, "mean")
    assert_near(weights.mode(), expected.mode, CLOSED_FORM, "mode")
    assert_near(weights.var().detach(), expected.variance, CLOSED_FORM, "variance")
    assert_near(weights.entropy_bits().detach() * math.log(2), expected.entropy(), CLOSED_FORM, "entropy")
    for prior in (None, 0.1, 3.0):
        centred = torch.distributions.Normal(torch.zeros(3, 4, dtype=torch.float64), prior or 1.0)
        divergence = torch.distributions.kl_divergence(expected, centred).sum()
        assert_near(weights.kl(prior).detach(), divergence, CLOSED_FORM, "kl")
    assert not weights.mode().requires_grad


def test_draws_have_the_distribution() -> None:
    weights = Gaussian(init_std=0.3).make(1, 20_000, 0.5, dtype=torch.float64)
    noise = (weights.sample().detach() - weights.loc.detach()).flatten().numpy() / 0.3
    assert scipy.stats.kstest(noise, "norm").pvalue > SMALLEST_P_VALUE
    assert scipy.stats.kstest(1.1 * noise, "norm").pvalue < SMALLEST_P_VALUE


def test_gradient_is_that_of_the_reparametrization() -> None:
    weights = make()
    drawn = weights.sample(generator=torch.Generator().manual_seed(3))
    upstream = torch.randn(3, 4, dtype=torch.float64)
    drawn.backward(upstream)
    deviation = drawn.detach() - weights.loc.detach()  # std * eps, whose derivative in log_var is half of itself
    assert_near(weights.loc.grad, upstream, CLOSED_FORM, "gradient of the mean")
    assert_near(weights.log_var.grad, upstream * deviation / 2, CLOSED_FORM, "gradient of the log-variance")


def test_a_generator_makes_draws_reproducible() -> None:
    weights = make()
    a, b, c = (weights.sample(generator=torch.Generator().manual_seed(s)).detach() for s in (1, 1, 2))
    assert_near(a, b, EXACT, "draw")
    assert not torch.equal(a, c)


def test_initial_means_fill_the_bound_and_variances_are_equal() -> None:
    weights = Gaussian(init_std=0.2).make(50, 80, 0.25, dtype=torch.float64)
    uniform = scipy.stats.uniform(-0.25, 0.5)
    assert scipy.stats.kstest(weights.loc.detach().numpy().ravel(), uniform.cdf).pvalue > SMALLEST_P_VALUE
    assert_near(weights.var().detach(), torch.full((50, 80), 0.04, dtype=torch.float64), CLOSED_FORM, "variance")
    assert weights.levels is None
    assert "(50, 80), trick='r'" in repr(weights)


def test_what_makes_no_sense_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="trick: 'q', expected 'r' or 'lr'"):
        Gaussian(trick="q")  # type: ignore[arg-type]
    for std in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ArgumentError, match=f"init_std: {std}, expected a positive number"):
            Gaussian(init_std=std)
        with pytest.raises(ArgumentError, match=f"prior: {std}, expected a positive standard deviation"):
            make().kl(std)
