"""Latent weights rounded to the nearest level, as an operator of torch: ``bitgate::rounded_weights``.

Scales are multiplied in and slopes written as in ops/sampler.py, which has the same backward pass (ops/discrete.py).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bitgate.ops import discrete, native_kernel
from bitgate.ops.direct import directly, is_plain
from bitgate.ops.discrete import MOST_LEVELS, check_scale, exponential, multiply_blocks


def round_by_torch(latent: Tensor, levels: Sequence[float]) -> Tensor:
    """Nearest level of every element; ties go to the level of larger magnitude, and to + at 0: the oracle."""
    values = torch.tensor(levels, dtype=latent.dtype, device=latent.device)
    middles = (values[1:] + values[:-1]) / 2
    above = torch.bucketize(latent.detach(), middles, right=True)
    below = torch.bucketize(latent.detach(), middles, right=False)
    return values[torch.where(latent.detach() >= 0, above, below)]


def _round(
    latent: Tensor, levels: Sequence[float], keep: bool, log_scale: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Weights and their slopes: 1 within the outer levels, 0 outside; no slopes unless ``keep``.

    Args:
        latent: ``(rows, ...)``.
        levels: ascending.
        keep: whether to compute the slopes, of the weights without scale.
        log_scale: ``(G,)``: the weights of G equal blocks of rows are multiplied by its exponentials; None: by 1.
    """
    return _round_to(latent, levels, keep, exponential(log_scale))


def _round_to(latent: Tensor, levels: Sequence[float], keep: bool, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    check_scale(scale, latent.shape, latent)
    latent = latent.contiguous()
    if native_kernel.runs_on(latent) and len(levels) <= MOST_LEVELS:
        weights, slopes = torch.empty_like(latent), latent.new_empty(latent.shape if keep else (0,))
        discrete.run_kernel(latent, weights, slopes, levels, scale)
        return weights, slopes
    weights = multiply_blocks(round_by_torch(latent, levels), scale)
    inside = (latent >= levels[0]) & (latent <= levels[-1]) if keep else latent.new_empty(0)
    return weights, inside.to(latent.dtype)


rounded_weights = torch.library.custom_op("bitgate::rounded_weights", _round, mutates_args=())


@rounded_weights.register_fake
def _(latent: Tensor, levels: Sequence[float], keep: bool, log_scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return latent.new_empty(latent.shape), latent.new_empty(latent.shape if keep else (0,))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    discrete.save(ctx, *output, inputs[3])


@torch.autograd.function.once_differentiable
def _backward(ctx: Any, grad: Tensor | None, _: Tensor) -> tuple[Tensor | None, ...]:
    needs = (*ctx.needs_input_grad, False)  # torch's dispatcher leaves out an argument that has its default
    d_latent, d_log_scale = discrete.gradients(ctx, grad, (needs[0], needs[3]))
    return d_latent, None, None, d_log_scale


rounded_weights.register_autograd(_backward, setup_context=_setup_context)

round_latent = directly(rounded_weights, _round, _setup_context, _backward)
"""The operator's function, by the shortest way; all arguments by position."""


def round_together(latents: Sequence[Tensor], levels: Sequence[float], log_scale: Tensor | None) -> list[Tensor]:
    """Several matrices with the same scales, rounded; see ``draw_together``."""
    if is_plain((*latents, log_scale)):
        keep = [discrete.needs_gradient(each) for each in latents]
        return discrete.make_together(
            lambda k, each, scale: _round_to(each, levels, keep[k], scale), latents, log_scale
        )
    return [rounded_weights(each, list(levels), discrete.needs_gradient(each), log_scale)[0] for each in latents]
