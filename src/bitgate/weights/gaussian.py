"""Gaussian weights: mean and log-variance."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bitgate.errors import ArgumentError
from bitgate.weights.distribution import Trick, WeightDistribution, Weights


@dataclass(frozen=True)
class Gaussian(Weights):
    """Continuous weights with a Gaussian posterior each ([DLSTM] section 1.2; Blundell et al. 2015).

    ``w = mean + exp(log_var / 2) * eps`` with standard normal ``eps``. The r-trick draws ``eps`` once per forward
    pass, the lr-trick draws pre-activations with the moments of ``w``.

    Args:
        trick: "r" or "lr".
        init_std: initial standard deviation of every weight.
    """

    trick: Trick = "r"
    init_std: float = 0.01

    def __post_init__(self) -> None:
        if self.trick not in ("r", "lr"):
            raise ArgumentError(f"trick: {self.trick!r}, expected 'r' or 'lr'")
        if not 0 < self.init_std < math.inf:
            raise ArgumentError(f"init_std: {self.init_std}, expected a positive number")

    def make(self, rows: int, columns: int, bound: float, **factory: Any) -> "GaussianWeights":
        """Gaussian weights with means uniform in ``[-bound, bound]``."""
        return GaussianWeights(self, rows, columns, bound, **factory)


class GaussianWeights(WeightDistribution):
    """A matrix of independent Gaussian weights."""

    def __init__(self, spec: Gaussian, rows: int, columns: int, bound: float, **factory: Any) -> None:
        super().__init__()
        self.trick = spec.trick
        self.bound = bound
        self.init_std = spec.init_std
        self.loc = nn.Parameter(torch.empty(rows, columns, **factory))
        self.log_var = nn.Parameter(torch.empty(rows, columns, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the means uniformly, sets the variances to ``init_std ** 2``."""
        with torch.no_grad():
            self.loc.uniform_(-self.bound, self.bound)
            self.log_var.fill_(2 * math.log(self.init_std))

    def sample(self, *, generator: torch.Generator | None = None) -> Tensor:
        """``mean + std * eps``."""
        noise = torch.empty_like(self.loc).normal_(generator=generator)
        return torch.addcmul(self.loc, noise, (0.5 * self.log_var).exp())

    def mode(self) -> Tensor:
        """The mean."""
        return self.loc.detach()

    def mean(self) -> Tensor:
        """The mean."""
        return self.loc

    def var(self) -> Tensor:
        """The variance."""
        return self.log_var.exp()

    def entropy_bits(self) -> Tensor:
        """Differential entropy ``(1 + ln(2 pi var)) / (2 ln 2)``."""
        return (1 + math.log(2 * math.pi) + self.log_var) / (2 * math.log(2))

    def kl(self, prior: float | None = None) -> Tensor:
        """Divergence from a centred Gaussian; ``prior`` is its standard deviation, 1 where None."""
        std = 1.0 if prior is None else prior
        if not 0 < std < math.inf:
            raise ArgumentError(f"prior: {std}, expected a positive standard deviation")
        ratio = (self.log_var.exp() + self.loc.square()) / std**2
        return 0.5 * (ratio - 1 - self.log_var + 2 * math.log(std)).sum()

    def extra_repr(self) -> str:
        """Shape and trick."""
        return f"{tuple(self.loc.shape)}, trick={self.trick!r}"
