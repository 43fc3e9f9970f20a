"""The sampler and its noise: against torch's own distributions, the oracle in torch, and themselves from one seed."""

import math
from typing import Any

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitgate.errors import ArgumentError, ShapeError
from bitgate.ops import SIMD_PATHS, native_kernel
from bitgate.ops.noise import draw_seed, noise, normal_noise
from bitgate.ops.sampler import draw_by_torch, gumbel_weights
from bitgate.weights import TERNARY, draw_weights
from tests.tolerances import (
    CLOSED_FORM,
    EXACT,
    FLOAT32_ROUNDING,
    SIGMAS,
    SMALLEST_P_VALUE,
    assert_near,
)

N = 60_000
HERE = [
    p for k, p in enumerate(SIMD_PATHS) if native_kernel.extension is not None and native_kernel.extension.supports(k)
]
WAYS = [*HERE, "torch"]
DTYPES = [torch.float32, torch.float64]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test on every path of the kernel, and in torch."""
    if request.param == "torch":
        monkeypatch.setattr(native_kernel, "extension", None)
    else:
        monkeypatch.setenv("BITGATE_SIMD", request.param)
    return str(request.param)


def seed(value: int = 0) -> Tensor:
    return torch.tensor(value)


# Noise


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_normal", [False, True])
def test_noise_has_its_distribution(way: str, dtype: torch.dtype, is_normal: bool) -> None:
    drawn = noise(torch.empty(0, dtype=dtype), [N], seed(), is_normal)
    assert drawn.dtype == dtype
    law, other = (
        (scipy.stats.norm, scipy.stats.norm(scale=1.05))
        if is_normal
        else (scipy.stats.expon, scipy.stats.expon(scale=1.05))
    )
    assert scipy.stats.kstest(drawn.numpy(), law.cdf).pvalue > SMALLEST_P_VALUE
    assert scipy.stats.kstest(drawn.numpy(), other.cdf).pvalue < SMALLEST_P_VALUE


@pytest.mark.parametrize("is_normal", [False, True])
def test_noise_is_independent_over_every_short_distance(way: str, is_normal: bool) -> None:
    """Among them the 8 and 16 numbers that are drawn side by side, and both numbers of a pair of normal ones."""
    drawn = noise(torch.empty(0, dtype=torch.float64), [N], seed(1), is_normal)
    for values in (drawn, drawn.square()):
        centred = (values - values.mean()) / values.std()
        for distance in range(1, 40):
            correlation = float((centred[distance:] * centred[:-distance]).mean())
            assert abs(correlation) < SIGMAS / math.sqrt(N - distance), f"numbers {distance} apart are correlated"


@pytest.mark.skipif(len(HERE) < 2, reason="this processor has one path")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_normal", [False, True])
def test_every_path_draws_the_same(dtype: torch.dtype, is_normal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for path in HERE:
        monkeypatch.setenv("BITGATE_SIMD", path)
        drawn.append(noise(torch.empty(0, dtype=dtype), [1000], seed(5), is_normal))
    tolerance = FLOAT32_ROUNDING if dtype == torch.float32 else CLOSED_FORM
    for other in drawn[1:]:
        assert_near(other, drawn[0], tolerance, "noise")


@given(shape=st.lists(st.integers(0, 9), max_size=3), value=st.integers(0, 2**63 - 1), is_normal=st.booleans())
@settings(max_examples=40)
def test_noise_is_fixed_by_its_seed(shape: list[int], value: int, is_normal: bool) -> None:
    like = torch.empty(0)
    first, again, other = (noise(like, shape, seed(s), is_normal) for s in (value, value, value ^ 1))
    assert tuple(first.shape) == tuple(shape)
    assert_near(again, first, EXACT, "noise")
    assert first.isfinite().all()
    assert is_normal or (first > 0).all()
    assert first.numel() == 0 or not torch.equal(first, other)


def test_seeds_come_from_torch() -> None:
    torch.manual_seed(3)
    first = normal_noise(torch.empty(0, requires_grad=True), [5])
    assert not first.requires_grad
    assert not torch.equal(normal_noise(torch.empty(0), [5]), first)
    torch.manual_seed(3)
    assert_near(normal_noise(torch.empty(0), [5]), first, EXACT, "noise")
    before = torch.get_rng_state()
    seeds = {int(draw_seed(torch.Generator().manual_seed(k))) for k in (1, 1, 2)}
    assert len(seeds) == 2
    assert_near(torch.get_rng_state(), before, EXACT, "random state")


# Draws


def arguments(
    levels: int = 3, count: int = 37, dtype: torch.dtype = torch.float64, temperature: float = 0.7, **changes: Any
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(levels)
    logits = 3 * torch.randn(levels, count, generator=generator, dtype=dtype)
    found: dict[str, Any] = {
        "logits": logits.requires_grad_(),
        "noise": torch.empty_like(logits).exponential_(generator=generator),
        "seed": None,
        "levels": [k - 1.0 for k in range(levels)],
        "temperature": temperature,
        "straight_through": True,
        "keep": True,
    }
    return found | changes


@given(
    levels=st.sampled_from([1, 2, 3, 5, 256]),
    count=st.integers(0, 40),
    temperature=st.floats(0.05, 20),
    straight_through=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=80)
def test_kernel_equals_torch(
    levels: int, count: int, temperature: float, straight_through: bool, dtype: torch.dtype
) -> None:
    args = arguments(levels, count, dtype, temperature, straight_through=straight_through)
    seedless = {name: value for name, value in args.items() if name != "seed"}
    with torch.no_grad():
        expected = draw_by_torch(**seedless)
        for path in HERE:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("BITGATE_SIMD", path)
                found = gumbel_weights(**args)
            # Relative to the levels and slopes there can be, up to 256 / temperature.
            scale = max(1, levels) * max(1.0, 1 / temperature)
            tolerance = FLOAT32_ROUNDING if dtype == torch.float32 else CLOSED_FORM
            for name, a, b in zip(("weights", "slopes"), found, expected, strict=True):
                assert_near(a / scale, b / scale, tolerance, name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_draws_have_the_probabilities_of_torch_distributions(way: str, dtype: torch.dtype) -> None:
    logits = torch.tensor([0.3, -1.0, 1.2, 0.0, -3.0], dtype=dtype)
    law = torch.distributions.Categorical(logits=logits.double())
    levels = [-2.0, -1.0, 0.0, 1.0, 2.0]
    drawn, _ = gumbel_weights(logits.view(5, 1).expand(5, N), None, seed(2), levels, 1.0, True, False)
    counts = torch.bincount((drawn + 2).long(), minlength=5)
    assert scipy.stats.chisquare(counts, N * law.probs).pvalue > SMALLEST_P_VALUE
    assert scipy.stats.chisquare(counts, N * law.probs.roll(1)).pvalue < SMALLEST_P_VALUE


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_relaxed_draws_are_distributed_as_those_of_torch(way: str, temperature: float) -> None:
    logits = torch.tensor([0.3, -1.0, 1.2], dtype=torch.float64)
    torch.manual_seed(7)
    law = torch.distributions.RelaxedOneHotCategorical(torch.tensor(temperature, dtype=torch.float64), logits=logits)
    expected = law.sample((N,)) @ torch.tensor(TERNARY, dtype=torch.float64)
    wide = logits.view(3, 1).expand(3, N)
    drawn, _ = gumbel_weights(wide, None, seed(3), list(TERNARY), temperature, False, False)
    other, _ = gumbel_weights(wide, None, seed(3), list(TERNARY), 1.2 * temperature, False, False)
    assert scipy.stats.ks_2samp(drawn.numpy(), expected.numpy()).pvalue > SMALLEST_P_VALUE
    assert scipy.stats.ks_2samp(other.numpy(), expected.numpy()).pvalue < SMALLEST_P_VALUE


def test_a_seed_gives_the_draws_of_its_noise(way: str) -> None:
    args = arguments(count=100)
    drawn, slopes = gumbel_weights(**args | {"noise": None, "seed": seed(4)})
    same, same_slopes = gumbel_weights(**args | {"noise": noise(args["logits"], [3, 100], seed(4), False)})
    assert_near(same, drawn, EXACT, "draw")
    assert_near(same_slopes, slopes, EXACT, "slopes")


@pytest.mark.parametrize("change", [{}, {"straight_through": False}, {"noise": None, "seed": seed(1)}])
def test_opcheck(change: dict[str, Any]) -> None:
    found = torch.library.opcheck(gumbel_weights, tuple(arguments(**change).values()))
    assert len(found) == 4
    assert set(found.values()) == {"SUCCESS"}
    found = torch.library.opcheck(noise, (torch.empty(0), [3, 4], seed(), True))
    assert set(found.values()) == {"SUCCESS"}


def test_relaxed_draws_have_an_exact_gradient_and_no_second_one(way: str) -> None:
    args = arguments(count=5)
    logits, fixed = args["logits"], args["noise"]

    def relaxed(z: Tensor) -> Tensor:
        return draw_weights(z, TERNARY, fixed, temperature=0.7, straight_through=False)

    assert torch.autograd.gradcheck(relaxed, logits)
    (first,) = torch.autograd.grad(relaxed(logits).square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_other_types_are_drawn_by_torch() -> None:
    logits = torch.zeros(3, 50, dtype=torch.bfloat16, requires_grad=True)
    drawn = draw_weights(logits, TERNARY)
    drawn.float().square().sum().backward()
    assert drawn.dtype == logits.grad.dtype == torch.bfloat16  # type: ignore[union-attr]
    assert set(drawn.tolist()) == {-1.0, 0.0, 1.0}


def test_nothing_is_kept_without_gradients() -> None:
    args = arguments()
    with torch.no_grad():
        drawn, slopes = gumbel_weights(**args | {"keep": False})
        assert_near(drawn, gumbel_weights(**args)[0], EXACT, "draw")
    assert slopes.numel() == 0


def test_what_does_not_fit_is_refused() -> None:
    args = arguments()
    with pytest.raises(ShapeError, match=r"logits: expected 2 levels .at most 256. on the first axis, got .3, 37."):
        gumbel_weights(**args | {"levels": [0.0, 1.0]})
    with pytest.raises(ShapeError, match=r"noise: expected torch.float64 of shape .3, 37. like the logits, got"):
        gumbel_weights(**args | {"noise": args["noise"][:, 1:]})
    with pytest.raises(ArgumentError, match="noise, seed: give one of them"):
        gumbel_weights(**args | {"seed": seed()})
