"""Gumbel-Softmax draws of discrete weights, as an operator of torch: ``bitgate::gumbel_weights``.

Its forward pass multiplies scales in and writes the pseudo-gradients too, in closed form, so that the backward pass is
one product (ops/discrete.py). A C kernel computes float32 and float64 on the CPU, torch everything else. There is no
second derivative.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bitgate.errors import ArgumentError, ShapeError
from bitgate.ops import discrete, native_kernel
from bitgate.ops.direct import directly, is_plain
from bitgate.ops.discrete import MOST_LEVELS, check_scale, exponential, multiply_blocks
from bitgate.ops.noise import draw_seed, draw_seeds, fill


def _draw(
    logits: Tensor,
    noise: Tensor | None,
    seed: Tensor | None,
    levels: Sequence[float],
    temperature: float,
    straight_through: bool,
    keep: bool,
    log_scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Weights and their slopes (weights/gumbel.py gives the formulas); no slopes unless ``keep``.

    Args:
        logits: ``(K, ...)``.
        noise: standard exponential, of the shape of ``logits``; None: drawn from the seed as ``bitgate::noise`` does.
        seed: int64; None beside noise.
        levels: the K values.
        temperature: positive.
        straight_through: exact draws instead of relaxed weights.
        keep: whether to compute the slopes, ``(K, ...)``, of the weights without scale.
        log_scale: ``(G,)``: the weights of G equal blocks of rows are multiplied by its exponentials; None: by 1.
    """
    return _draw_from(logits, noise, seed, levels, temperature, straight_through, keep, exponential(log_scale))


def _draw_from(
    logits: Tensor,
    noise: Tensor | None,
    seed: Tensor | int | None,
    levels: Sequence[float],
    temperature: float,
    straight_through: bool,
    keep: bool,
    scale: Tensor | None,
) -> tuple[Tensor, Tensor]:
    _check(logits, noise, seed, levels)
    check_scale(scale, logits.shape[1:], logits)
    logits, noise = logits.contiguous(), None if noise is None else noise.contiguous()
    if native_kernel.runs_on(logits):
        weights, slopes = logits.new_empty(logits.shape[1:]), logits.new_empty(logits.shape if keep else (0,))
        discrete.run_kernel(
            logits,
            weights,
            slopes,
            levels,
            scale,
            noise=noise,
            seed=seed,
            temperature=temperature,
            straight_through=straight_through,
        )
        return weights, slopes
    if seed is not None:
        noise = fill(torch.empty_like(logits), seed, is_normal=False)
    assert noise is not None
    weights, slopes = draw_by_torch(logits, noise, levels, temperature, straight_through, keep)
    return multiply_blocks(weights, scale), slopes


gumbel_weights = torch.library.custom_op("bitgate::gumbel_weights", _draw, mutates_args=())


def _check(logits: Tensor, noise: Tensor | None, seed: Tensor | int | None, levels: Sequence[float]) -> None:
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
    log_scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    return logits.new_empty(logits.shape[1:]), logits.new_empty(logits.shape if keep else (0,))


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
    discrete.save(ctx, *output, inputs[7])


@torch.autograd.function.once_differentiable
def _backward(ctx: Any, grad: Tensor | None, _: Tensor) -> tuple[Tensor | None, ...]:
    needs = (*ctx.needs_input_grad, False)  # torch's dispatcher leaves out an argument that has its default
    d_logits, d_log_scale = discrete.gradients(ctx, grad, (needs[0], needs[7]))
    return d_logits, *[None] * 6, d_log_scale


gumbel_weights.register_autograd(_backward, setup_context=_setup_context)

draw_gumbel = directly(gumbel_weights, _draw, _setup_context, _backward)
"""The operator's function, by the shortest way; all arguments by position."""


def draw_together(
    logits: Sequence[Tensor],
    levels: Sequence[float],
    temperature: float,
    straight_through: bool,
    log_scale: Tensor | None,
) -> list[Tensor]:
    """Draws of several matrices with the same scales, from seeds of torch's global generator.

    One step of autograd where nothing listens to operators, else ``bitgate::gumbel_weights`` for each matrix.
    """
    options = (list(levels), temperature, straight_through)
    if is_plain((*logits, log_scale)):
        seeds = draw_seeds((len(logits),)).tolist()
        keep = [discrete.needs_gradient(each) for each in logits]
        return discrete.make_together(
            lambda k, each, scale: _draw_from(each, None, seeds[k], *options, keep[k], scale), logits, log_scale
        )
    return [
        gumbel_weights(each, None, draw_seed(), *options, discrete.needs_gradient(each), log_scale)[0]
        for each in logits
    ]
