"""Quantization-aware training: latent continuous weights, rounded in the forward pass."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bitgate.errors import ArgumentError
from bitgate.ops.rounding import round_latent
from bitgate.weights.distribution import WeightDistribution, Weights
from bitgate.weights.levels import TERNARY, Levels, check_levels


@dataclass(frozen=True)
class Quantized(Weights):
    """Latent weights, quantized to ``levels`` in the forward pass (QAT).

    Rules:
        ``"nearest"``: the level nearest to the latent weight, ties to the larger magnitude: the sign for two levels
        (+1 at 0), rounding of the clipped latent for three, uniform K levels alike.
        ``"threshold"``: for ternary levels, ``sign(w)`` where ``|w| > 0.7 mean|w|``, else 0 (Li et al. 2016,
        Ternary Weight Networks, equation 6).

    Pseudo-gradient, for both rules: straight through where the latent lies within the outer levels, 0 outside. So a
    latent that a step takes outside gets no gradient any more; ``bitgate.nn.clip_latents`` brings it back.
    [DLSTM] does not name its quantizer; this choice is ours (Courbariaux et al. 2016).

    Args:
        levels: ascending values.
        rule: "nearest" or "threshold".
    """

    levels: Levels = TERNARY
    rule: Literal["nearest", "threshold"] = "nearest"

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", check_levels(self.levels))
        if self.rule not in ("nearest", "threshold"):
            raise ArgumentError(f"rule: {self.rule!r}, expected 'nearest' or 'threshold'")
        if self.rule == "threshold" and self.levels != TERNARY:
            raise ArgumentError(f"rule: 'threshold' is defined for the levels {TERNARY} only, got {self.levels}")

    def make(self, rows: int, columns: int, bound: float, **factory: Any) -> "QuantizedWeights":
        """Latent weights uniform over the range of the levels."""
        return QuantizedWeights(self, rows, columns, **factory)


def quantize_threshold(latent: Tensor) -> Tensor:
    """Ternary by the threshold ``0.7 mean|w|``."""
    magnitude = latent.detach().abs()
    return torch.sign(latent.detach()) * (magnitude > 0.7 * magnitude.mean())


class _StraightThrough(torch.autograd.Function):
    """Forward the quantized value, exactly; backward the identity within ``[lowest, highest]``."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, quantized: Tensor, lowest: float, highest: float) -> Tensor:
        ctx.save_for_backward((latent >= lowest) & (latent <= highest))
        return quantized

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None, None


class QuantizedWeights(WeightDistribution):
    """A matrix of quantized weights: a distribution without randomness."""

    levels: Levels

    def __init__(self, spec: Quantized, rows: int, columns: int, **factory: Any) -> None:
        super().__init__()
        self.levels = spec.levels
        self.rule = spec.rule
        self.latent = nn.Parameter(torch.empty(rows, columns, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the latent weights uniformly between the outer levels."""
        with torch.no_grad():
            self.latent.uniform_(self.levels[0], self.levels[-1])

    def clip_(self) -> None:
        """Puts latent weights outside the outer levels on them: the same weights, which can move again."""
        with torch.no_grad():
            self.latent.clamp_(self.levels[0], self.levels[-1])

    def sample(self, *, generator: torch.Generator | None = None) -> Tensor:
        """The quantized weights, with the straight-through gradient."""
        if self.rule == "nearest":
            return self._nearest()
        return _StraightThrough.apply(self.latent, self.mode(), self.levels[0], self.levels[-1])  # type: ignore[no-untyped-call]

    def mode(self) -> Tensor:
        """The quantized weights."""
        with torch.no_grad():
            if self.rule == "threshold":
                return quantize_threshold(self.latent)
            return self._nearest()

    def _nearest(self) -> Tensor:
        keep = torch.is_grad_enabled() and self.latent.requires_grad
        weights: Tensor = round_latent(self.latent, list(self.levels), keep, None)[0]
        return weights

    def mean(self) -> Tensor:
        """The quantized weights, with the straight-through gradient."""
        return self.sample()

    def var(self) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.latent)

    def entropy_bits(self) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.latent)

    def kl(self, prior: Any = None) -> Tensor:
        """Refused: a point has no divergence from a prior."""
        raise ArgumentError("kl: quantized weights are a point, not a distribution; use Categorical weights")

    def extra_repr(self) -> str:
        """Shape, levels and rule."""
        return f"{tuple(self.latent.shape)}, levels={self.levels}, rule={self.rule!r}"
