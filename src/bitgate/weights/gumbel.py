"""Gumbel-Softmax draws of discrete weights and their gradients, from noise or from a generator."""

import torch
from torch import Tensor

from bitgate.ops.noise import draw_seed
from bitgate.ops.sampler import draw_gumbel
from bitgate.weights.levels import Levels


def draw_weights(
    logits: Tensor,
    levels: Levels,
    noise: Tensor | None = None,
    *,
    temperature: float = 1.0,
    straight_through: bool = True,
    generator: torch.Generator | None = None,
    log_scale: Tensor | None = None,
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
        noise: standard exponential noise of the shape of ``logits``; drawn where None.
        temperature: positive.
        straight_through: exact draw forward, relaxation backward.
        generator: where the noise's seed comes from, torch's global generator where None.
        log_scale: ``(G,)``: the result's G equal blocks of rows are multiplied by ``exp(log_scale)``; None: by 1.

    Raises:
        ShapeError: levels, logits, noise and scales do not fit each other.
    """
    seed = draw_seed(generator) if noise is None else None
    keep = torch.is_grad_enabled() and logits.requires_grad
    options = (list(levels), temperature, straight_through, keep)
    weights: Tensor = draw_gumbel(logits, noise, seed, *options, log_scale)[0]
    return weights
