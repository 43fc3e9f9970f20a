"""The r-trick draws once for all time steps; the lr-trick draws pre-activations afresh, with the weights' moments."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import bitgate.nn
from bitgate.ops import Moments, product, realize
from bitgate.weights import Categorical, Gaussian, WeightDistribution, Weights
from tests.tolerances import EXACT, FLOAT64_PARITY, SIGMAS, assert_near

N = 20_000
BOTH = [Categorical(trick="lr"), Categorical((-1.0, 1.0), trick="lr"), Gaussian(trick="lr", init_std=0.5)]


def assert_moments(draws: Tensor, mean: Tensor, var: Tensor) -> None:
    """Sample mean and variance over the first axis lie within the bounds that ``len(draws)`` allows.

    The variance of the sample variance is (mu4 - var^2) / n; mu4 <= 3 var^2 for sums like ours, up to their kurtosis.
    """
    n = len(draws)
    mean_error = (draws.mean(0) - mean).abs() / (var / n).sqrt()
    var_error = (draws.var(0) - var).abs() / (var * math.sqrt(2 / n))
    assert mean_error.max() < SIGMAS, f"mean is off by {float(mean_error.max()):.1f} standard errors"
    assert var_error.max() < SIGMAS, f"variance is off by {float(var_error.max()):.1f} standard errors"


def moments_of_product(weights: WeightDistribution, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    mean, var = weights.mean().detach(), weights.var().detach()
    return (mean * x).sum(1) + bias, (var * x**2).sum(1)


@pytest.mark.parametrize("spec", BOTH)
def test_preactivations_have_the_moments_of_drawn_weights(spec: Weights) -> None:
    layer: Any = bitgate.nn.Linear(6, 5, weights=spec, dtype=torch.float64)
    x, scale = torch.randn(6, dtype=torch.float64), 1 if layer.scale() is None else layer.scale().detach()
    mean, var = moments_of_product(layer.weight, x * scale, layer.bias.detach())
    with torch.no_grad():
        local = layer(x.expand(N, 6))  # lr-trick: every row draws its own noise
        drawn = torch.stack([layer.weight.sample() @ (x * scale) + layer.bias for _ in range(N // 4)])
    assert_moments(local, mean, var)
    assert_moments(drawn, mean, var)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_moments(local, mean, 1.2 * var)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_moments(local, mean + 0.1 * var.sqrt(), var)


def readable_lstm(spec: Weights) -> Any:
    """An LSTM whose output tells its candidate's pre-activation: i = o = 1, f = 0 and no recurrence."""
    module: Any = bitgate.nn.LSTM(4, 1, weights=spec, dtype=torch.float64)
    with torch.no_grad():
        module.bias_hh_l0.zero_()
        module.bias_ih_l0.copy_(torch.tensor([60.0, -60.0, 0.0, 60.0]))
    return module


def preactivations(module: Any, x: Tensor) -> Tensor:
    output, _ = module(x)
    return torch.atanh(torch.atanh(output.squeeze(-1)))


def test_local_noise_is_fresh_at_every_step_and_for_every_sequence() -> None:
    module = readable_lstm(Categorical(trick="lr"))
    x = torch.full((2, N, 4), 0.2, dtype=torch.float64)
    with torch.no_grad():
        a = preactivations(module, x)
    centred = (a - a.mean(1, keepdim=True)) / a.std(1, keepdim=True)
    over_time = (centred[0] * centred[1]).mean()
    over_batch = (centred[0, ::2] * centred[0, 1::2]).mean()
    assert abs(over_time) < SIGMAS / math.sqrt(N), "noise at two steps is correlated"
    assert abs(over_batch) < SIGMAS / math.sqrt(N / 2), "noise of two sequences is correlated"


def test_drawn_weights_are_the_same_at_every_step_and_for_every_sequence() -> None:
    module = readable_lstm(Categorical())
    with torch.no_grad():
        module.weight_hh_l0.logits.copy_(torch.tensor([-99.0, 0.0, -99.0]).view(3, 1, 1))  # no recurrence
    x = torch.tensor([0.1, 0.2, 0.4, 0.8], dtype=torch.float64).expand(7, 5, 4)
    calls = []
    for _ in range(20):
        a = preactivations(module, x).detach()
        assert_near(a, a[:1, :1].expand_as(a), FLOAT64_PARITY, "pre-activation at another step")
        calls.append(round(float(a[0, 0]), 9))
    assert len(set(calls)) > 5, "calls must draw anew"


def test_a_layer_in_eval_draws_nothing() -> None:
    for spec in (Categorical(), Categorical(trick="lr"), Gaussian()):
        module = bitgate.nn.LSTM(3, 4, weights=spec).eval()
        x = torch.randn(5, 2, 3)
        before = torch.get_rng_state()
        first, second = module(x)[0], module(x)[0]
        assert_near(torch.get_rng_state(), before, EXACT, "random state")
        assert_near(first, second, EXACT, "output")


def test_product_and_draw_of_moments_equal_their_formulas() -> None:
    x, bias = torch.randn(3, 4, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    weight = Moments(torch.randn(2, 4, dtype=torch.float64), torch.rand(2, 4, dtype=torch.float64))
    found = product(x, weight, bias)
    assert isinstance(found, Moments)
    assert_near(found.mean, x @ weight.mean.T + bias, FLOAT64_PARITY, "mean")
    assert_near(found.var, (x**2) @ weight.var.T, FLOAT64_PARITY, "variance")
    torch.manual_seed(1)
    draw = realize(found)
    torch.manual_seed(1)
    noise = torch.randn(3, 2, dtype=torch.float64)
    assert_near(draw, found.mean + found.var.sqrt() * noise, FLOAT64_PARITY, "draw")


def test_the_gradient_stays_finite_where_all_weights_have_settled() -> None:
    layer: Any = bitgate.nn.Linear(3, 2, weights=Categorical(trick="lr"))
    with torch.no_grad():
        layer.weight.logits.copy_(torch.tensor([-200.0, 200.0, -200.0]).view(3, 1, 1))
    layer(torch.randn(4, 3)).sum().backward()
    assert torch.isfinite(layer.weight.logits.grad).all()


def test_local_gru_keeps_the_moments_of_both_parts_of_its_candidate() -> None:
    """With r = 0 only the input's part of n remains, with r = 1 both parts add."""
    for bias_r, parts in ((-60.0, 1), (60.0, 2)):
        module: Any = bitgate.nn.GRU(4, 4, weights=Categorical(trick="lr"), dtype=torch.float64)
        with torch.no_grad():
            for bias in (module.bias_ih_l0, module.bias_hh_l0):
                bias.zero_()
            module.bias_ih_l0[:4], module.bias_ih_l0[4:8] = bias_r, -60.0  # z = 0: h' = n
        x, h = 0.1 * torch.randn(2, 4, dtype=torch.float64)
        scale = module.scale("_l0").detach()[2]
        means, variances = zip(
            *(
                moments_of_product(w, scale * value, torch.zeros((), dtype=torch.float64))
                for w, value in ((module.weight_ih_l0, x), (module.weight_hh_l0, h))
            ),
            strict=True,
        )
        with torch.no_grad():
            n = torch.atanh(module(x.expand(1, N, 4), h.expand(1, N, 4).contiguous())[0][0])
        assert_moments(n, sum(m[8:] for m in means[:parts]), sum(v[8:] for v in variances[:parts]))  # type: ignore[arg-type]
