"""Ordinary continuous weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bitgate.weights.distribution import Weights


@dataclass(frozen=True)
class Continuous(Weights):
    """Plain parameters, initialized uniformly in ``[-bound, bound]`` as torch.nn does: the default."""

    def make(self, rows: int, columns: int, bound: float, **factory: Any) -> nn.Parameter:
        """A plain parameter."""
        return nn.Parameter(torch.empty(rows, columns, **factory).uniform_(-bound, bound))
