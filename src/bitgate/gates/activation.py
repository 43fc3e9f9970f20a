"""Smooth and staircase activations.

A gate of L levels takes the values ``k / (L - 1)`` (sigmoid) or ``2 k / (L - 1) - 1`` (tanh), where ``k`` counts the
thresholds at or below the pre-activation: the smooth activation rounded to the nearest level, halves up. Two levels
are the step and the sign, both 1 at 0. The thresholds, not the rounded activation, define it, so that the
integer arithmetic (docs/arithmetic.md) decides alike.
"""

import math
from typing import Any

import torch
from torch import Tensor

TANH_GATES = frozenset("gn")
"""Gates with values in [-1, 1]: the LSTM's candidate g and the GRU's n."""


def level_thresholds(levels: int) -> list[float]:
    """Ascending thresholds of a sigmoid gate: ``logit((k - 1/2) / (L - 1))``. A tanh gate has half of each."""
    middles = [(k - 0.5) / (levels - 1) for k in range(1, levels)]
    return [math.log(p / (1 - p)) for p in middles]


class _Staircase(torch.autograd.Function):
    """Forward the staircase, backward the derivative of the smooth activation."""

    @staticmethod
    def forward(ctx: Any, preact: Tensor, levels: int, is_tanh: bool) -> Tensor:
        smooth = torch.tanh(preact) if is_tanh else torch.sigmoid(preact)
        ctx.save_for_backward(smooth)
        ctx.is_tanh = is_tanh
        if levels == 2:
            unit = (preact >= 0).to(preact.dtype)
        else:
            factor = 0.5 if is_tanh else 1.0
            thresholds = [factor * t for t in level_thresholds(levels)]
            edges = torch.tensor(thresholds, dtype=preact.dtype, device=preact.device)
            unit = torch.bucketize(preact.contiguous(), edges, right=True).to(preact.dtype) / (levels - 1)
        return 2 * unit - 1 if is_tanh else unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (smooth,) = ctx.saved_tensors
        slope = 1 - smooth * smooth if ctx.is_tanh else smooth * (1 - smooth)
        return grads[0] * slope, None, None


def sigmoid_levels(preact: Tensor, levels: int) -> Tensor:
    """Sigmoid gate of ``levels`` values in [0, 1]; pseudo-gradient ``sigmoid'(preact)`` ([DLSTM] section 1.2)."""
    return _Staircase.apply(preact, levels, False)  # type: ignore[no-untyped-call]


def tanh_levels(preact: Tensor, levels: int) -> Tensor:
    """Tanh gate of ``levels`` values in [-1, 1]; pseudo-gradient ``tanh'(preact)`` ([DLSTM] section 1.2)."""
    return _Staircase.apply(preact, levels, True)  # type: ignore[no-untyped-call]


def activate(preact: Tensor, gate: str, levels: int) -> Tensor:
    """Value of the gate named ``gate``; ``levels`` 0 is the smooth activation."""
    if gate in TANH_GATES:
        return tanh_levels(preact, levels) if levels else torch.tanh(preact)
    return sigmoid_levels(preact, levels) if levels else torch.sigmoid(preact)
