"""Gumbel-Softmax draws of discrete weights and their gradients, as functions of the noise."""

from typing import Any

import torch
from torch import Tensor

from bitgate.weights.levels import Levels


def draw_weights(
    logits: Tensor, levels: Levels, noise: Tensor, *, temperature: float = 1.0, straight_through: bool = True
) -> Tensor:
    """Draws weights from ``softmax(logits)`` by the Gumbel-Softmax trick.

    With exponential noise ``E``, ``-log E`` is Gumbel noise, and the relaxed one-hot vector is
    ``y = softmax((logits - log E) / temperature)``.

    Pseudo-gradient: with ``straight_through`` the result is the exact draw ``levels[argmax y]`` and its gradient
    that of the relaxation, ``dw/dlogits_k = y_k (levels_k - sum_j y_j levels_j) / temperature``. Without, the result
    is the relaxed weight ``sum_k y_k levels_k`` and its gradient is exact.

    Source: [DLSTM] section 1.2; Jang et al. 2017; Maddison et al. 2017.

    Args:
        logits: ``(K, ...)``.
        levels: the K values.
        noise: standard exponential noise of the shape of ``logits``.
        temperature: positive.
        straight_through: exact draw forward, relaxation backward.
    """
    return _GumbelWeights.apply(logits, noise, levels, temperature, straight_through)  # type: ignore[no-untyped-call]


def relax(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """The relaxed one-hot vector ``y``, shape ``(K, ...)``."""
    perturbed = logits - noise.log()
    return torch.softmax(perturbed / temperature if temperature != 1.0 else perturbed, dim=0)


def _most_probable(y: Tensor, levels: Levels) -> Tensor:
    """``levels[argmax y]`` along the first axis, by comparisons: many times faster than argmax over so few values."""
    best = y[0]
    weight = torch.full_like(best, levels[0])
    for candidate, level in zip(y[1:], levels[1:], strict=True):
        weight.masked_fill_(candidate > best, level)
        best = torch.maximum(best, candidate)
    return weight


class _GumbelWeights(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, noise: Tensor, levels: Levels, temperature: float, straight_through: bool
    ) -> Tensor:
        y = relax(logits, noise, temperature)
        values = torch.tensor(levels, dtype=y.dtype, device=y.device)
        relaxed = torch.tensordot(values, y, dims=1)
        ctx.save_for_backward(y, relaxed, values)
        ctx.temperature = temperature
        return _most_probable(y, levels) if straight_through else relaxed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        y, relaxed, values = ctx.saved_tensors
        distance = values.view(-1, *[1] * relaxed.dim()) - relaxed
        return y * distance * (grads[0] / ctx.temperature), None, None, None, None
