"""What every weight distribution offers, and what a description of weights must be able to make."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bitgate.weights.levels import Levels

Trick = Literal["r", "lr"]


class WeightDistribution(nn.Module, ABC):
    """A matrix of random weights with learned parameters, one independent distribution a weight (mean field).

    All tensors have the shape of the matrix. A layer draws it once per forward pass, so that every time step sees
    the same weights ([DLSTM] section 1.2, r-trick), or takes ``mean`` and ``var`` (lr-trick).
    """

    trick: Trick = "r"
    levels: Levels | None = None

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draws the initial parameters anew."""

    @abstractmethod
    def sample(self, *, generator: torch.Generator | None = None) -> Tensor:
        """One draw, differentiable in the parameters by the distribution's own estimator."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The most probable weights (MAP), without gradient."""

    @abstractmethod
    def mean(self) -> Tensor:
        """Expectation of every weight."""

    @abstractmethod
    def var(self) -> Tensor:
        """Variance of every weight."""

    @abstractmethod
    def entropy_bits(self) -> Tensor:
        """Entropy of every weight in bits."""

    @abstractmethod
    def kl(self, prior: Any = None) -> Tensor:
        """Kullback-Leibler divergence from the prior in nats, summed over the matrix (a scalar)."""


class Weights(ABC):
    """An immutable description of how a layer's weights are represented; ``weights=`` of every layer takes one."""

    levels: Levels | None = None
    """Values of a discrete weight; None where weights are continuous."""

    @abstractmethod
    def make(self, rows: int, columns: int, bound: float, **factory: Any) -> nn.Parameter | WeightDistribution:
        """A matrix of this kind, initialized; ``bound`` is the layer's uniform bound for continuous values."""
