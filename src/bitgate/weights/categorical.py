"""Categorical weights: probabilities over a few levels, trained by reparametrization."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bitgate.errors import ArgumentError
from bitgate.weights.distribution import Trick, WeightDistribution, Weights
from bitgate.weights.gumbel import draw_weights
from bitgate.weights.levels import TERNARY, Levels, check_levels


@dataclass(frozen=True)
class Categorical(Weights):
    """Discrete weights with a categorical posterior each, ``p = softmax(logits)`` ([DLSTM] section 1.2).

    Args:
        levels: ascending values: ``BINARY``, ``TERNARY`` or any tuple.
        trick: "r" draws the weights once per forward pass by Gumbel-Softmax; "lr" draws Gaussian pre-activations with
            the moments of the weights, afresh at every time step.
        temperature: of the Gumbel-Softmax relaxation (r-trick).
        straight_through: exact draws forward, the relaxation's gradient backward; without it the relaxed weights
            are used in both directions (r-trick).
        concentration: every probability vector is first drawn from a Dirichlet distribution with this concentration.
    """

    levels: Levels = TERNARY
    trick: Trick = "r"
    temperature: float = 1.0
    straight_through: bool = True
    concentration: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", check_levels(self.levels))
        if self.trick not in ("r", "lr"):
            raise ArgumentError(f"trick: {self.trick!r}, expected 'r' or 'lr'")
        for name in ("temperature", "concentration"):
            if not 0 < getattr(self, name) < math.inf:
                raise ArgumentError(f"{name}: {getattr(self, name)}, expected a positive number")

    def make(self, rows: int, columns: int, bound: float, **factory: Any) -> "CategoricalWeights":
        """Categorical weights with Dirichlet-distributed probabilities."""
        return CategoricalWeights(self, rows, columns, **factory)


class CategoricalWeights(WeightDistribution):
    """A matrix of independent categorical weights."""

    levels: Levels

    def __init__(self, spec: Categorical, rows: int, columns: int, **factory: Any) -> None:
        super().__init__()
        self.levels = spec.levels
        self.trick = spec.trick
        self.temperature = spec.temperature
        self.straight_through = spec.straight_through
        self.concentration = spec.concentration
        self.logits = nn.Parameter(torch.empty(len(spec.levels), rows, columns, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every probability vector from the Dirichlet distribution."""
        k, rows, columns = self.logits.shape
        if self.logits.is_meta:
            return
        concentration = torch.full((rows, columns, k), self.concentration, dtype=torch.float64)
        probs = torch.distributions.Dirichlet(concentration).sample().clamp_min(1e-12)
        with torch.no_grad():
            self.logits.copy_(probs.log().movedim(-1, 0))

    def probs(self) -> Tensor:
        """Probabilities ``(K, rows, columns)`` in the order of the levels."""
        return torch.softmax(self.logits, dim=0)

    def _values(self) -> Tensor:
        return torch.tensor(self.levels, dtype=self.logits.dtype, device=self.logits.device)

    def sample(self, *, generator: torch.Generator | None = None) -> Tensor:
        """One Gumbel-Softmax draw (``draw_weights`` states the pseudo-gradient)."""
        return draw_weights(
            self.logits,
            self.levels,
            temperature=self.temperature,
            straight_through=self.straight_through,
            generator=generator,
        )

    def mode(self) -> Tensor:
        """The most probable level of every weight."""
        return self._values()[self.logits.detach().argmax(dim=0)]

    def mean(self) -> Tensor:
        """``sum_k p_k levels_k``."""
        return torch.tensordot(self._values(), self.probs(), dims=1)

    def var(self) -> Tensor:
        """``sum_k p_k (levels_k - mean)**2``."""
        probs = self.probs()
        values = self._values()
        distance = values.view(-1, 1, 1) - torch.tensordot(values, probs, dims=1)
        return (probs * distance.square()).sum(dim=0)

    def entropy_bits(self) -> Tensor:
        """``-sum_k p_k log2 p_k``."""
        log_probs = torch.log_softmax(self.logits, dim=0)
        return -(log_probs.exp() * log_probs).sum(dim=0) / math.log(2)

    def kl(self, prior: Sequence[float] | None = None) -> Tensor:
        """``sum p log(p / prior)``; ``prior`` gives one probability a level, uniform where None.

        A prior such as ``(0.1, 0.8, 0.1)`` favours zero, for sparsity.
        """
        k = len(self.levels)
        shares = [1 / k] * k if prior is None else list(prior)
        if len(shares) != k or min(shares) <= 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise ArgumentError(f"prior: {prior!r}, expected {k} positive probabilities that sum to 1")
        log_prior = torch.tensor(shares, dtype=self.logits.dtype, device=self.logits.device).log()
        log_probs = torch.log_softmax(self.logits, dim=0)
        return (log_probs.exp() * (log_probs - log_prior.view(-1, 1, 1))).sum()

    def extra_repr(self) -> str:
        """Shape, levels and trick."""
        return f"{tuple(self.logits.shape[1:])}, levels={self.levels}, trick={self.trick!r}"
