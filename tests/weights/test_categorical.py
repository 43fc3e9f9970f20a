"""Categorical weights against closed forms in NumPy, torch.distributions and the statistics of their draws."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitgate.errors import ArgumentError
from bitgate.weights import BINARY, TERNARY, Categorical, CategoricalWeights, Levels, draw_weights, uniform_levels
from tests.tolerances import CLOSED_FORM, EXACT, SIGMAS, SMALLEST_P_VALUE, assert_near

N = 40_000
LEVELS: list[Levels] = [BINARY, TERNARY, (-2.0, -0.5, 0.25, 3.0), uniform_levels(8)]


def make(levels: Levels, rows: int = 3, columns: int = 4, **options: Any) -> CategoricalWeights:
    return Categorical(levels, **options).make(rows, columns, 1.0, dtype=torch.float64)


def repeat_one_weight(levels: Levels, n: int = N, **options: Any) -> tuple[CategoricalWeights, np.ndarray]:
    """``n`` weights with the same probabilities, and these."""
    probs = np.arange(1.0, len(levels) + 1) / sum(range(len(levels) + 1))
    weights = make(levels, 1, n, **options)
    with torch.no_grad():
        weights.logits.copy_(torch.from_numpy(np.log(probs)).view(-1, 1, 1).expand_as(weights.logits))
    return weights, probs


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(0))
    return e / e.sum(0)


# Closed forms


@pytest.mark.parametrize("levels", LEVELS)
def test_moments_entropy_mode_and_divergence_equal_their_closed_forms(levels: Levels) -> None:
    weights = make(levels)
    p, v = softmax(weights.logits.detach().numpy()), np.array(levels).reshape(-1, 1, 1)
    mean = (p * v).sum(0)
    expected = {
        "probs": p,
        "mean": mean,
        "var": (p * v**2).sum(0) - mean**2,
        "entropy_bits": -(p * np.log2(p)).sum(0),
        "mode": np.array(levels)[p.argmax(0)],
        "kl": np.array((p * np.log(p * len(levels))).sum()),
    }
    for name, value in expected.items():
        assert_near(getattr(weights, name)().detach(), torch.from_numpy(value), CLOSED_FORM, name)
    reference = torch.distributions.Categorical(logits=weights.logits.detach().movedim(0, -1))
    assert_near(weights.entropy_bits().detach() * math.log(2), reference.entropy(), CLOSED_FORM, "entropy")


def test_divergence_from_a_prior() -> None:
    weights = make(TERNARY)
    p, prior = softmax(weights.logits.detach().numpy()), np.array([0.1, 0.8, 0.1]).reshape(-1, 1, 1)
    expected = torch.tensor((p * np.log(p / prior)).sum())
    assert_near(weights.kl((0.1, 0.8, 0.1)).detach(), expected, CLOSED_FORM, "kl")
    with pytest.raises(AssertionError, match="kl differs"):
        assert_near(weights.kl((0.8, 0.1, 0.1)).detach(), expected, CLOSED_FORM, "kl")


@pytest.mark.parametrize("name", ["mean", "var", "entropy_bits", "kl", "probs"])
def test_closed_forms_are_differentiable(name: str) -> None:
    weights = make((-1.0, 0.5, 2.0), 2, 2)

    def function(logits: Tensor) -> Tensor:
        return torch.func.functional_call(Call(weights, name), {"weights.logits": logits}, ())

    assert torch.autograd.gradcheck(function, weights.logits)


class Call(torch.nn.Module):
    """A method as a forward pass, for functional_call."""

    def __init__(self, weights: CategoricalWeights, name: str) -> None:
        super().__init__()
        self.weights, self.name = weights, name

    def forward(self) -> Tensor:
        return getattr(self.weights, self.name)()


def test_settled_weights_have_no_entropy_and_no_variance_and_no_nan() -> None:
    weights = make(TERNARY)
    with torch.no_grad():
        weights.logits.copy_(torch.tensor([-2000.0, 0.0, 2000.0]).view(3, 1, 1))
    for name, value in (("entropy_bits", 0.0), ("var", 0.0), ("mean", 1.0), ("mode", 1.0), ("sample", 1.0)):
        assert_near(getattr(weights, name)().detach(), torch.full((3, 4), value, dtype=torch.float64), EXACT, name)
    (weights.kl() + weights.sample().sum()).backward()
    assert torch.isfinite(weights.logits.grad).all()


# Draws


def assert_counts(draws: Tensor, levels: Levels, probs: np.ndarray) -> None:
    """Every level comes as often as its probability says, within ``SIGMAS`` of the binomial."""
    assert set(draws.unique().tolist()) <= set(levels), "a draw is no level"
    for level, p in zip(levels, probs, strict=True):
        error = abs(int((draws == level).sum()) - draws.numel() * p) / math.sqrt(draws.numel() * p * (1 - p))
        assert error < SIGMAS, f"count of {level} is off by {error:.1f} standard errors"


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_draws_are_levels_in_their_probabilities_at_any_temperature(levels: Levels, temperature: float) -> None:
    weights, probs = repeat_one_weight(levels, temperature=temperature)
    draws = weights.sample().detach()
    assert_counts(draws, levels, probs)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_counts(draws, levels, np.roll(probs, 1))


def test_torch_distributions_passes_the_same_bound() -> None:
    weights, probs = repeat_one_weight(TERNARY)
    index = torch.distributions.Categorical(logits=weights.logits.detach().movedim(0, -1)).sample()
    assert_counts(torch.tensor(TERNARY)[index], TERNARY, probs)


@pytest.mark.parametrize("levels", LEVELS)
def test_sample_mean_and_variance_are_those_of_the_distribution(levels: Levels) -> None:
    weights, probs = repeat_one_weight(levels)
    draws = weights.sample().detach()
    mean, var = weights.mean()[0, 0].item(), weights.var()[0, 0].item()
    fourth = float((probs * (np.array(levels) - mean) ** 4).sum())
    assert abs(float(draws.mean()) - mean) < SIGMAS * math.sqrt(var / N)
    assert abs(float(draws.var()) - var) < SIGMAS * math.sqrt((fourth - var**2) / N)


def test_weights_are_drawn_independently_of_each_other() -> None:
    draws = repeat_one_weight(BINARY)[0].sample().detach().flatten()
    centred = (draws - draws.mean()) / draws.std()
    assert abs(float((centred[::2] * centred[1::2]).mean())) < SIGMAS / math.sqrt(N / 2)


def test_a_generator_makes_draws_reproducible_and_leaves_the_global_state_alone() -> None:
    weights = make(TERNARY, 10, 10)
    before = torch.get_rng_state()
    a, b, c = (weights.sample(generator=torch.Generator().manual_seed(s)).detach() for s in (1, 1, 2))
    assert_near(torch.get_rng_state(), before, EXACT, "random state")
    assert_near(a, b, EXACT, "draw")
    assert not torch.equal(a, c)


@settings(max_examples=60)
@given(
    levels=st.lists(st.integers(-50, 50), min_size=2, max_size=9, unique=True).map(lambda v: tuple(sorted(v))),
    seed=st.integers(0, 9999),
    temperature=st.floats(0.05, 20),
)
def test_a_draw_is_the_level_of_the_largest_perturbed_logit(levels: Levels, seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    logits, noise = 3 * rng.normal(size=(len(levels), 3, 5)), rng.exponential(size=(len(levels), 3, 5))
    expected = np.array(levels, dtype=np.float64)[(logits - np.log(noise)).argmax(0)]
    drawn = draw_weights(torch.from_numpy(logits), levels, torch.from_numpy(noise), temperature=temperature)
    assert_near(drawn, torch.from_numpy(expected), EXACT, "draw")


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_relaxation_is_that_of_torch_distributions(temperature: float) -> None:
    logits = torch.randn(5, 4, 3)  # torch puts the levels last
    torch.manual_seed(2)
    expected = torch.distributions.RelaxedOneHotCategorical(torch.tensor(temperature), logits=logits).rsample()
    torch.manual_seed(2)
    noise = -torch.rand(5, 4, 3, dtype=torch.float32).log()
    levels = torch.tensor(TERNARY)
    arguments = [value.movedim(-1, 0).double() for value in (logits, noise)]
    relaxed = draw_weights(arguments[0], TERNARY, arguments[1], temperature=temperature, straight_through=False)
    assert (relaxed - expected.double() @ levels.double()).abs().max() < 1e-4 / temperature


# Gradients


def pseudo_gradient(logits: np.ndarray, levels: Levels, noise: np.ndarray, temperature: float) -> np.ndarray:
    y = softmax((logits - np.log(noise)) / temperature)
    values = np.array(levels).reshape(-1, 1, 1)
    return y * (values - (y * values).sum(0)) / temperature


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_pseudo_gradient_equals_its_closed_form_and_the_relaxations(levels: Levels, temperature: float) -> None:
    logits = torch.randn(len(levels), 3, 4, dtype=torch.float64, requires_grad=True)
    noise = torch.empty_like(logits).exponential_()
    upstream = torch.randn(3, 4, dtype=torch.float64)
    grads = []
    for straight_through in (True, False):
        drawn = draw_weights(logits, levels, noise, temperature=temperature, straight_through=straight_through)
        grads += torch.autograd.grad(drawn, logits, upstream)
    closed = pseudo_gradient(logits.detach().numpy(), levels, noise.numpy(), temperature) * upstream.numpy()
    y = torch.softmax((logits - noise.log()) / temperature, 0)
    relaxed = (y * torch.tensor(levels, dtype=torch.float64).view(-1, 1, 1)).sum(0)
    (by_autograd,) = torch.autograd.grad(relaxed, logits, upstream)
    for grad in grads:
        assert_near(grad, torch.from_numpy(closed), CLOSED_FORM, "pseudo-gradient")
        assert_near(grad, by_autograd, CLOSED_FORM, "pseudo-gradient")
    with pytest.raises(AssertionError, match="differs"):
        assert_near(grads[0].roll(1, 0), by_autograd, CLOSED_FORM)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_relaxed_draw_has_an_exact_gradient(levels: Levels) -> None:
    logits = torch.randn(len(levels), 2, 2, dtype=torch.float64, requires_grad=True)
    noise = torch.empty_like(logits).exponential_()
    assert torch.autograd.gradcheck(
        lambda z: draw_weights(z, levels, noise, temperature=0.7, straight_through=False), logits
    )


def test_without_straight_through_draws_lie_between_the_levels() -> None:
    weights, _ = repeat_one_weight(TERNARY, straight_through=False)
    draws = weights.sample().detach()
    assert draws.abs().max() <= 1
    assert ((draws != 0) & (draws.abs() != 1)).double().mean() > 0.99


def test_a_noise_of_infinity_means_never_drawn() -> None:
    noise = torch.tensor([1.0, math.inf, 1.0]).view(3, 1)
    logits = torch.tensor([0.0, 50.0, 1.0]).view(3, 1).requires_grad_()
    drawn = draw_weights(logits, TERNARY, noise)
    drawn.sum().backward()
    assert drawn.item() == 1.0
    assert torch.isfinite(logits.grad).all()


# Initialization and the description


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("concentration", [0.5, 1.0, 5.0])
def test_initial_probabilities_are_dirichlet(levels: Levels, concentration: float) -> None:
    k = len(levels)
    probs = make(levels, 50, 80, concentration=concentration).probs().detach().numpy().reshape(k, -1)
    for marginal in probs:
        test = scipy.stats.kstest(marginal, scipy.stats.beta(concentration, (k - 1) * concentration).cdf)
        assert test.pvalue > SMALLEST_P_VALUE
    wrong = scipy.stats.kstest(probs[0], scipy.stats.beta(2 * concentration, (k - 1) * concentration).cdf)
    assert wrong.pvalue < SMALLEST_P_VALUE


def test_reset_draws_anew_from_the_seed() -> None:
    weights = make(TERNARY)
    torch.manual_seed(5)
    weights.reset_parameters()
    first = weights.logits.detach().clone()
    weights.reset_parameters()
    assert not torch.equal(weights.logits, first)
    torch.manual_seed(5)
    weights.reset_parameters()
    assert_near(weights.logits.detach(), first, EXACT, "logits")


def test_equal_levels_have_equal_descriptions() -> None:
    assert Categorical([-1, 0, 1]) == Categorical(TERNARY)  # type: ignore[arg-type]
    assert hash(Categorical((-1, 1))) == hash(Categorical(BINARY))
    assert "levels=(-1.0, 1.0), trick='lr'" in repr(make(BINARY, trick="lr"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": (1.0,)}, r"levels: \(1\.0,\), expected 2 to 256 finite values"),
        ({"levels": tuple(range(257))}, "expected 2 to 256 finite values"),
        ({"levels": (0.0, math.inf)}, r"levels: \(0\.0, inf\), expected"),
        ({"levels": (1.0, -1.0)}, r"levels: \(1\.0, -1\.0\), expected ascending values"),
        ({"levels": (-1.0, -1.0)}, r"levels: \(-1\.0, -1\.0\), expected ascending values"),
        ({"levels": 3}, "levels: 3, expected"),
        ({"levels": "ternary"}, "levels: 'ternary', expected"),
        ({"trick": "rl"}, "trick: 'rl', expected 'r' or 'lr'"),
        ({"temperature": 0.0}, r"temperature: 0\.0, expected a positive number"),
        ({"temperature": math.nan}, "temperature: nan, expected a positive number"),
        ({"concentration": -1.0}, r"concentration: -1\.0, expected a positive number"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Categorical(**arguments)


@pytest.mark.parametrize("prior", [(0.5, 0.5), (0.0, 0.5, 0.5), (0.5, 0.5, 0.5)])
def test_a_prior_that_is_no_distribution_is_refused(prior: tuple[float, ...]) -> None:
    with pytest.raises(ArgumentError, match=r"prior: \(.*\), expected 3 positive probabilities that sum to 1"):
        make(TERNARY).kl(prior)


@pytest.mark.parametrize("n_levels", [1, 257])
def test_uniform_levels_refuses_counts_out_of_range(n_levels: int) -> None:
    with pytest.raises(ArgumentError, match=f"n_levels: {n_levels}, expected 2 to 256"):
        uniform_levels(n_levels)


def test_uniform_levels_hold_binary_and_ternary() -> None:
    assert (uniform_levels(2), uniform_levels(3)) == (BINARY, TERNARY)
    assert uniform_levels(5) == (-1.0, -0.5, 0.0, 0.5, 1.0)
