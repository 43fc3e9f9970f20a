"""Gumbel-Softmax draws of discrete weights, as an operator of torch: ``bitgate::gumbel_weights``.

Its forward pass writes the pseudo-gradients too, in closed form, so that the backward pass is one product. A C kernel
computes float32 and float64 on the CPU, torch everything else. There is no second derivative.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bitgate.errors import ArgumentError, ShapeError
from bitgate.ops import native_kernel
from bitgate.ops.noise import fill

MOST_LEVELS = 256  # BG_TRAIN_MAX_LEVELS in csrc/bg_train.h


@torch.library.custom_op("bitgate::gumbel_weights", mutates_args=())
def gumbel_weights(
    logits: Tensor,
    noise: Tensor | None,
    seed: Tensor | None,
    levels: Sequence[float],
    temperature: float,
    straight_through: bool,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Weights and their slopes (weights/gumbel.py gives the formulas); no slopes unless ``keep``.

    Args:
        logits: ``(K, ...)``.
        noise: standard exponential, of the shape of ``logits``; None: drawn from the seed as ``bitgate::noise`` does.
        seed: int64; None beside noise.
        levels: the K values.
        temperature: positive.
        straight_through: exact draws instead of relaxed weights.
        keep: whether to compute the slopes, ``(K, ...)``.
    """
    _check(logits, noise, seed, levels)
    logits = logits.contiguous()
    if seed is not None:
        noise = fill(torch.empty_like(logits), seed, is_normal=False)
    assert noise is not None
    run = _draw_natively if native_kernel.runs_on(logits) else draw_by_torch
    return run(logits, noise.contiguous(), levels, temperature, straight_through, keep)


def _check(logits: Tensor, noise: Tensor | None, seed: Tensor | None, levels: Sequence[float]) -> None:
    if (noise is None) == (seed is None):
        raise ArgumentError("noise, seed: give one of them")
    shape = tuple(logits.shape)
    if not 1 <= len(levels) <= MOST_LEVELS or shape[:1] != (len(levels),):
        raise ShapeError(
            f"logits: expected {len(levels)} levels (at most {MOST_LEVELS}) on the first axis, got {shape}"
        )
    if noise is not None and (noise.shape, noise.dtype, noise.device) != (logits.shape, logits.dtype, logits.device):
        found = f"{noise.dtype} of shape {tuple(noise.shape)}"
        raise ShapeError(f"noise: expected {logits.dtype} of shape {shape} like the logits, got {found}")


@gumbel_weights.register_fake
def _(
    logits: Tensor,
    noise: Tensor | None,
    seed: Tensor | None,
    levels: Sequence[float],
    temperature: float,
    straight_through: bool,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    return logits.new_empty(logits.shape[1:]), logits.new_empty(logits.shape if keep else (0,))


def _draw_natively(
    logits: Tensor, noise: Tensor, levels: Sequence[float], temperature: float, straight_through: bool, keep: bool
) -> tuple[Tensor, Tensor]:
    weights, slopes = logits.new_empty(logits.shape[1:]), logits.new_empty(logits.shape if keep else (0,))
    values = torch.tensor(levels, dtype=logits.dtype)
    native_kernel.extension.sample(
        *native_kernel.options(logits.dtype),
        *(len(levels), weights.numel(), temperature, straight_through),
        *(array.data_ptr() for array in (logits, noise, values, weights)),
        slopes.data_ptr() if keep else 0,
    )
    return weights, slopes


def draw_by_torch(
    logits: Tensor, noise: Tensor, levels: Sequence[float], temperature: float, straight_through: bool, keep: bool
) -> tuple[Tensor, Tensor]:
    """The same in plain operations of torch: the oracle, and the way of every other type and device."""
    y = torch.softmax((logits - noise.log()) / temperature, dim=0)
    values = torch.tensor(levels, dtype=y.dtype, device=y.device)
    relaxed = torch.tensordot(values, y, dims=1)
    distance = values.view(-1, *[1] * relaxed.dim()) - relaxed
    slopes = y * distance / temperature if keep else y.new_empty(0)
    return _most_probable(y, levels) if straight_through else relaxed, slopes


def _most_probable(y: Tensor, levels: Sequence[float]) -> Tensor:
    """``levels[argmax y]`` along the first axis, by comparisons: many times faster than argmax over so few values."""
    best = y[0]
    weight = torch.full_like(best, levels[0])
    for candidate, level in zip(y[1:], levels[1:], strict=True):
        weight.masked_fill_(candidate > best, level)
        best = torch.maximum(best, candidate)
    return weight


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


@torch.autograd.function.once_differentiable
def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    (slopes,) = ctx.saved_tensors
    return slopes * grad, *[None] * 6


gumbel_weights.register_autograd(_backward, setup_context=_setup_context)
