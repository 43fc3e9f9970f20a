"""Inputs as the codes of a frozen network: in training for few bits, and where freezing looks for their step."""

from typing import Any

import torch
from torch import Tensor, nn

from bitgate.frozen.bounds import code_limit
from bitgate.nn.matrix import check_state_bits

DEFAULT_INPUT_RANGE = 8.0
"""Largest standardized input that can be told apart where no data have been seen, in standard deviations."""


def least_error_step(values: Tensor, bits: int) -> float:
    """Size of one code of ``bits`` bits: the one of least squared error on ``values``, which may then be clipped.

    Args:
        values: standardized inputs, of any shape.
        bits: 8 to 16.

    Returns:
        The step in the unit of ``values``, one of 17 from the largest value's down to 1/16 of it.
    """
    limit = code_limit(bits)
    exact = values.double()
    largest = float(exact.abs().max()) or 1.0
    candidates = [largest * 2 ** (-k / 4) / limit for k in range(17)]
    return min(candidates, key=lambda step: float((_to_codes(exact, step, limit) * step - exact).square().mean()))


class RoundInput(nn.Module):
    """Standardized inputs as multiples of one step, clipped, as a frozen network takes them.

    The gradient passes as if they were not rounded. The step belongs to the model, so that freezing with as many bits
    takes the one of the training.

    Args:
        bits: 8 to 16.
        device: device of the step.
        dtype: type of the step.
    """

    step: Tensor

    def __init__(self, bits: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        check_state_bits(bits)
        self.bits = bits
        self.register_buffer("step", torch.tensor(DEFAULT_INPUT_RANGE / code_limit(bits), device=device, dtype=dtype))

    def calibrate(self, values: Tensor) -> None:
        """Takes the step of least squared error on ``values``, standardized inputs of any shape."""
        self.step.fill_(least_error_step(values, self.bits))

    def forward(self, x: Tensor) -> Tensor:
        """Standardized inputs of any shape, rounded."""
        rounded = _to_codes(x.detach(), self.step, code_limit(self.bits)) * self.step
        return rounded + (x - x.detach()) if x.requires_grad else rounded

    def extra_repr(self) -> str:
        """For printing."""
        return f"bits={self.bits}"


def _to_codes(values: Tensor, step: Tensor | float, limit: int) -> Tensor:
    return (values / step + 0.5).floor().clamp(-limit, limit)
