"""Linear: a drop-in for torch.nn.Linear whose weights may be discrete."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from bitgate.errors import ShapeError
from bitgate.nn.matrix import discrete_scale, draw, initial_log_scale, require_size
from bitgate.ops import product, realize
from bitgate.weights import WeightDistribution, Weights, resolve_weights


class Linear(nn.Module):
    """``y = s W x + b``; with the defaults it equals torch.nn.Linear.

    Discrete weights have one learned positive scale ``s``, are drawn once per call while training, and are the most
    probable ones (MAP) in ``eval()``.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        bias: whether to add a bias.
        device: device of the parameters.
        dtype: type of the parameters.
        weights: "continuous", "ternary", "binary" or an object of bitgate.weights.

    Raises:
        ArgumentError: an argument out of range.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        weights: str | Weights = "continuous",
    ) -> None:
        super().__init__()
        self.in_features = require_size("in_features", in_features)
        self.out_features = require_size("out_features", out_features)
        self.weights = resolve_weights(weights)
        bound = 1 / math.sqrt(in_features)
        factory = {"device": device, "dtype": dtype}
        self.weight = self.weights.make(out_features, in_features, bound, **factory)
        self.bias = nn.Parameter(torch.empty(out_features, **factory).uniform_(-bound, bound)) if bias else None
        log_scale = torch.full((1,), initial_log_scale(in_features), **factory)
        self.log_scale = nn.Parameter(log_scale) if discrete_scale(self.weight) else None

    def reset_parameters(self) -> None:
        """Draws all parameters anew and sets the scale back."""
        bound = 1 / math.sqrt(self.in_features)
        if isinstance(self.weight, WeightDistribution):
            self.weight.reset_parameters()
        else:
            nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)
        if self.log_scale is not None:
            nn.init.constant_(self.log_scale, initial_log_scale(self.in_features))

    def scale(self) -> Tensor | None:
        """The learned scale ``(1,)``, None for continuous weights."""
        return None if self.log_scale is None else self.log_scale.exp()

    def forward(self, input: Tensor) -> Tensor:
        """``(..., in_features)`` to ``(..., out_features)``."""
        if input.shape[-1] != self.in_features:
            raise ShapeError(f"input: expected {self.in_features} features on the last axis, got {tuple(input.shape)}")
        (weight,) = draw([self.weight], self.log_scale, training=self.training)
        return realize(product(input, weight, self.bias))

    def extra_repr(self) -> str:
        """Sizes and weights."""
        text = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        return text if self.weights == resolve_weights("continuous") else f"{text}, weights={self.weights}"
