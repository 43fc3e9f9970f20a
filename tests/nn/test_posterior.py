"""Whole models of random weights: one network out of the posterior, divergence, entropy, temperature."""

from typing import Any

import pytest
import torch

from bitgate.errors import ArgumentError
from bitgate.nn import (
    LSTM,
    Linear,
    SequenceClassifier,
    clip_latents,
    distributions,
    fix_weights,
    kl_divergence,
    mean_entropy_bits,
    set_temperature,
)
from bitgate.weights import Categorical, FixedWeights, Gaussian, Quantized, QuantizedWeights
from tests.tolerances import EXACT, FLOAT32_ROUNDING, assert_near


def make(**arguments: Any) -> SequenceClassifier:
    return SequenceClassifier(2, 3, (5, 4), **({"weights": "ternary", "coupled": True} | arguments))


def states(model: torch.nn.Module) -> list[torch.Tensor]:
    return [d.values for d in distributions(model) if isinstance(d, FixedWeights)]


def test_fixing_gives_a_copy_in_eval_and_leaves_the_model_alone() -> None:
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fixed = fix_weights(model, "sample")
    assert model.training
    assert not fixed.training
    assert all(isinstance(d, FixedWeights) for d in distributions(fixed))
    assert len(states(fixed)) == len(list(distributions(model))) == 5
    for name, value in model.state_dict().items():
        assert_near(value, before[name], EXACT, name)
    assert fixed.readout.bias.data_ptr() != model.readout.bias.data_ptr()  # type: ignore[union-attr]


def test_map_fixes_the_modes() -> None:
    model = make()
    for fixed, distribution in zip(states(fix_weights(model)), distributions(model), strict=True):
        assert_near(fixed, distribution.mode(), EXACT, "weights")


def test_samples_come_from_the_generator() -> None:
    model = make()
    a, b, c = (states(fix_weights(model, "sample", generator=torch.Generator().manual_seed(s))) for s in (1, 1, 2))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a, c, strict=True))


@pytest.mark.parametrize("spec", [Categorical(straight_through=False), Categorical(trick="lr"), Quantized(), "binary"])
@pytest.mark.parametrize("mode", ["map", "sample"])
def test_a_fixed_network_has_exact_levels_and_stays(spec: Any, mode: Any) -> None:
    fixed = fix_weights(make(weights=spec), mode)
    for weights in states(fixed):
        assert set(weights.unique().tolist()) <= {-1.0, 0.0, 1.0}
    x = torch.randn(3, 6, 2)
    assert_near(fixed(x), fixed(x), EXACT, "logits")
    assert_near(fixed.train()(x), fixed.eval()(x), EXACT, "logits while training")


def test_a_fixed_network_round_trips_through_its_state_dict() -> None:
    fixed, other = (fix_weights(make(), "sample") for _ in range(2))
    x = torch.randn(3, 6, 2)
    assert not torch.equal(fixed(x), other(x))
    other.load_state_dict(fixed.state_dict(), strict=True)
    assert_near(other(x), fixed(x), EXACT, "logits")


def test_divergence_and_entropy_sum_and_average_over_the_model() -> None:
    model = make()
    expected = sum(d.kl() for d in distributions(model))
    assert_near(kl_divergence(model), expected, FLOAT32_ROUNDING, "kl")
    prior = (0.1, 0.8, 0.1)
    assert_near(kl_divergence(model, prior), sum(d.kl(prior) for d in distributions(model)), FLOAT32_ROUNDING, "kl")
    entropies = torch.cat([d.entropy_bits().flatten() for d in distributions(model)])
    assert_near(mean_entropy_bits(model), entropies.mean(), FLOAT32_ROUNDING, "entropy")
    kl_divergence(model).backward()
    assert all(d.logits.grad.abs().max() > 0 for d in distributions(model))


def test_divergence_of_gaussian_weights_counts_and_points_do_not() -> None:
    model = torch.nn.Sequential(Linear(3, 3, weights=Gaussian()), Linear(3, 3, weights=Quantized()))
    (gaussian, _) = distributions(model)
    assert_near(kl_divergence(model), gaussian.kl(), EXACT, "kl")
    assert mean_entropy_bits(model) is None
    for module in (LSTM(2, 2), Linear(2, 2, weights=Quantized()), fix_weights(make())):
        with pytest.raises(ArgumentError, match="kl: this model has no probabilistic weights"):
            kl_divergence(module)


def test_temperature_reaches_every_categorical_weight() -> None:
    model = make()
    set_temperature(model, 0.25)
    assert {d.temperature for d in distributions(model)} == {0.25}
    for temperature in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ArgumentError, match=f"temperature: {temperature}, expected a positive number"):
            set_temperature(model, temperature)


def test_an_unknown_mode_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="mode: 'mean', expected 'map' or 'sample'"):
        fix_weights(make(), "mean")  # type: ignore[arg-type]


def test_clipped_latents_give_the_same_weights_and_move_again() -> None:
    model = make(weights=Quantized())
    latents = [d.latent for d in distributions(model) if isinstance(d, QuantizedWeights)]
    with torch.no_grad():
        for latent in latents:
            latent.mul_(3)
    before = states(fix_weights(model))
    clip_latents(model)
    assert all(float(latent.detach().abs().max()) == 1.0 for latent in latents)
    for a, b in zip(states(fix_weights(model)), before, strict=True):
        assert_near(a, b, EXACT, "weights")
    model(torch.randn(2, 3, 2), torch.tensor([3, 3])).square().sum().backward()
    ends = [latent.grad[latent.detach().abs() == 1] for latent in latents if latent.grad is not None]
    assert all(bool((end != 0).any()) for end in ends)
