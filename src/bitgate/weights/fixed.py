"""Weights that were drawn and stay."""

from typing import Any

import torch
from torch import Tensor

from bitgate.errors import ArgumentError
from bitgate.weights.distribution import WeightDistribution
from bitgate.weights.levels import Levels


class FixedWeights(WeightDistribution):
    """One draw (or the mode) of another distribution, kept as a constant: what evaluation and freezing work on."""

    values: Tensor

    def __init__(self, values: Tensor, levels: Levels | None) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("values", values.detach().clone())

    def reset_parameters(self) -> None:
        """Nothing: there are no parameters."""

    def sample(self, *, generator: torch.Generator | None = None) -> Tensor:
        """The weights."""
        return self.values

    def mode(self) -> Tensor:
        """The weights."""
        return self.values

    def mean(self) -> Tensor:
        """The weights."""
        return self.values

    def var(self) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.values)

    def entropy_bits(self) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.values)

    def kl(self, prior: Any = None) -> Tensor:
        """Refused: a point has no divergence from a prior."""
        raise ArgumentError("kl: these weights were drawn already; ask the distribution they came from")
