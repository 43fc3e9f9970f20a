"""Discrete weights with scales: draws and roundings of the kernel against the same in plain operations of torch."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitgate.errors import ShapeError
from bitgate.ops import SIMD_PATHS, native_kernel
from bitgate.ops.discrete import discrete_backward, multiply_blocks
from bitgate.ops.rounding import round_by_torch, round_latent, rounded_weights
from bitgate.ops.sampler import draw_by_torch, draw_gumbel, gumbel_weights
from bitgate.weights import TERNARY
from tests.tolerances import CLOSED_FORM, EXACT, FLOAT32_ROUNDING, Tolerance, assert_near

HERE = [
    p for k, p in enumerate(SIMD_PATHS) if native_kernel.extension is not None and native_kernel.extension.supports(k)
]
WAYS = [*HERE, "torch"]
Weigh = Callable[[Tensor, Tensor | None], Tensor]


def tolerance(dtype: torch.dtype) -> Tolerance:
    return FLOAT32_ROUNDING if dtype == torch.float32 else CLOSED_FORM


def take(way: str, patch: pytest.MonkeyPatch) -> None:
    if way == "torch":
        patch.setattr(native_kernel, "extension", None)
    else:
        patch.setenv("BITGATE_SIMD", way)


class StraightThrough(torch.autograd.Function):
    """The oracle: any weights, with given slopes."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, source: Tensor, weights: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(slopes)
        return weights

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor
    ) -> tuple[Tensor, None, None]:
        return ctx.saved_tensors[0] * grad, None, None  # type: ignore[attr-defined]


def scaled_by_torch(weights: Tensor, log_scale: Tensor) -> Tensor:
    return weights * log_scale.exp().repeat_interleave(weights.shape[0] // len(log_scale)).unsqueeze(1)


def problem(
    kind: str, rows: int, columns: int, levels: list[float], dtype: torch.dtype, seed: int = 0
) -> tuple[Tensor, Weigh, Weigh]:
    """What the weights come from, how the operator makes them of it, and how the oracle does."""
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, columns) if kind == "round" else (len(levels), rows, columns)
    source = torch.randn(shape, generator=generator, dtype=dtype)
    if kind == "round":
        slopes = ((source >= levels[0]) & (source <= levels[-1])).to(dtype)
        rounded = round_by_torch(source, levels)
        return (
            source,
            lambda s, scale: round_latent(s, levels, True, scale)[0],
            lambda s, _: StraightThrough.apply(s, rounded, slopes),  # type: ignore[no-untyped-call]
        )
    noise = torch.empty(shape, dtype=dtype).exponential_(generator=generator)
    exact = kind == "draw"
    drawn = draw_by_torch(source, noise, levels, 0.8, exact, True)
    return (
        source,
        lambda s, scale: draw_gumbel(s, noise, None, levels, 0.8, exact, True, scale)[0],
        lambda s, _: StraightThrough.apply(s, *drawn),  # type: ignore[no-untyped-call]
    )


def compare(kind: str, rows: int, columns: int, n_scales: int, levels: list[float], dtype: torch.dtype) -> None:
    source, weigh, oracle = problem(kind, rows, columns, levels, dtype)
    log_scale = torch.linspace(-2, 1, n_scales, dtype=dtype)
    upstream = torch.randn(rows, columns, dtype=dtype, generator=torch.Generator().manual_seed(1))
    leaves = [t.clone().requires_grad_() for t in (source, log_scale)]
    expected = scaled_by_torch(oracle(leaves[0], None), leaves[1])
    expected_grads = torch.autograd.grad(expected, leaves, upstream)
    for way in WAYS:
        with pytest.MonkeyPatch.context() as patch:
            take(way, patch)
            found = weigh(*leaves)
            grads = torch.autograd.grad(found, leaves, upstream)
        assert_near(found, expected, tolerance(dtype), f"{way}: weights")
        for name, a, b in zip(("source", "log_scale"), grads, expected_grads, strict=True):
            size = max(1.0, math.sqrt(rows * columns))  # a sum of so many terms that may cancel
            assert_near(a / size, b / size, tolerance(dtype), f"{way}: gradient of {name}")


@pytest.mark.parametrize("kind", ["draw", "relaxed", "round"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(6, 5), (3, 1), (6, 64), (33, 7), (12, 16)])
def test_scales_of_blocks_are_multiplied_in(kind: str, dtype: torch.dtype, shape: tuple[int, int]) -> None:
    for n_scales in (1, 3, shape[0]):
        compare(kind, *shape, n_scales, list(TERNARY), dtype)


@given(
    kind=st.sampled_from(["draw", "round"]),
    rows=st.integers(1, 9),
    columns=st.integers(1, 40),
    levels=st.sampled_from([[-1.0, 1.0], [-1.5, -0.2, 0.1], [k / 4 for k in range(-4, 5)]]),
)
@settings(max_examples=40)
def test_any_shape_and_levels(kind: str, rows: int, columns: int, levels: list[float]) -> None:
    compare(kind, rows, columns, rows, levels, torch.float64)


def test_a_wrong_order_of_scales_is_noticed() -> None:
    source, weigh, oracle = problem("draw", 6, 5, list(TERNARY), torch.float64)
    log_scale = torch.linspace(-2, 1, 3, dtype=torch.float64)
    with pytest.raises(AssertionError, match="weights differs"):
        assert_near(
            weigh(source, log_scale.flip(0)), scaled_by_torch(oracle(source, None), log_scale), EXACT, "weights"
        )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ties_zeros_and_nan_are_rounded_alike(way: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = [-1.0, -0.5, 0.0, 0.5, 1.0]
    values = [k / 8 for k in range(-12, 13)] + [-0.0, math.inf, -math.inf, math.nan]
    latent = torch.tensor([values], dtype=dtype)
    expected = round_by_torch(latent, levels)
    take(way, monkeypatch)
    weights, slopes = round_latent(latent, levels, True, None)
    assert_near(weights, expected, EXACT, "weights")
    assert_near(slopes, ((latent >= -1) & (latent <= 1)).to(dtype), EXACT, "slopes")
    assert round_latent(latent, levels, False, None)[1].numel() == 0
    assert_near(
        round_latent(latent, [-1.0, 1.0], False, None)[0][0, 24:26], torch.tensor([1.0, 1.0], dtype=dtype), EXACT
    )


def test_many_levels_are_rounded_too() -> None:
    levels = [k / 500 for k in range(-500, 501)]
    latent = torch.linspace(-1.2, 1.2, 997).unsqueeze(0)
    assert_near(round_latent(latent, levels, False, None)[0], round_by_torch(latent, levels), EXACT)


@pytest.mark.parametrize("needs", [(True, False), (False, True), (True, True)])
def test_only_needed_gradients_are_made(needs: tuple[bool, bool]) -> None:
    source, weigh, _ = problem("draw", 6, 5, list(TERNARY), torch.float64)
    leaves = [source, torch.zeros(3, dtype=torch.float64)]
    for leaf, need in zip(leaves, needs, strict=True):
        leaf.requires_grad_(need)
    weigh(*leaves).sum().backward()
    assert [leaf.grad is not None for leaf in leaves] == list(needs)


def test_opcheck() -> None:
    latent = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    log_scale = torch.randn(3, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(3, 6, 5, dtype=torch.float64, requires_grad=True)
    noise = torch.empty_like(logits).exponential_()
    plain = [t.detach() for t in (latent, latent, latent, log_scale)]
    calls = [
        (rounded_weights, (latent, [-1.0, 1.0], True, log_scale)),
        (rounded_weights, (latent, [-1.0, 1.0], True)),
        (rounded_weights, (latent.detach(), [-1.0, 1.0], False, log_scale.detach())),
        (gumbel_weights, (logits, noise, None, [-1.0, 0.0, 1.0], 1.0, True, True, log_scale)),
        (discrete_backward, (*plain, [True, True])),
        (discrete_backward, (plain[0], None, logits.detach(), None, [True, False])),
    ]
    for operator, arguments in calls:
        found = torch.library.opcheck(operator, arguments)
        assert len(found) == 4
        assert set(found.values()) == {"SUCCESS"}


@pytest.mark.parametrize("shape", [(2,), (0,), (), (3, 1)])
def test_scales_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"log_scale: expected torch.float32, one value .* equal blocks of 3 rows"):
        round_latent(torch.zeros(3, 4), [-1.0, 1.0], True, torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"got torch\.float64"):
        round_latent(torch.zeros(3, 4), [-1.0, 1.0], True, torch.zeros(3, dtype=torch.float64))


def test_blocks_are_multiplied_by_their_factor() -> None:
    value = torch.arange(12.0).view(4, 3)
    assert_near(multiply_blocks(value, torch.tensor([2.0, 3.0])), torch.cat([2 * value[:2], 3 * value[2:]]), EXACT)
    assert multiply_blocks(value, None) is value


def test_a_backward_pass_with_other_shapes_is_refused() -> None:
    grad, scale = torch.zeros(6, 5), torch.ones(3)
    for weights, slopes, name in (
        (None, torch.zeros(3, 6, 5), "weights"),
        (torch.zeros(6, 4), torch.zeros(3, 6, 5), "weights"),
        (grad, torch.zeros(3, 6, 4), "slopes"),
        (grad, torch.zeros(0), "slopes"),
        (grad, torch.zeros(3, 5, 6).transpose(1, 2), "slopes"),
        (grad, torch.zeros(2, 3, 6, 5), "slopes"),
        (grad, torch.zeros(6, 5, dtype=torch.float64), "slopes"),
    ):
        with pytest.raises(ShapeError, match=f"{name}: expected torch.float32 of shape"):
            discrete_backward(grad, weights, slopes, scale, [True, True])
    found = discrete_backward(grad, None, torch.zeros(0), None, [False, False])
    assert [value.numel() for value in found] == [0, 0]
