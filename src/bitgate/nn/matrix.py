"""How a layer holds a weight matrix and turns it into what the loop over time multiplies with."""

import math
import numbers
from collections.abc import Sequence

from torch import Tensor, nn

from bitgate.errors import ArgumentError
from bitgate.ops import Matrix, Moments
from bitgate.ops.discrete import multiply_blocks
from bitgate.weights import WeightDistribution, sample_together

WeightMatrix = nn.Parameter | WeightDistribution


def draw(matrices: Sequence[WeightMatrix], log_scale: Tensor | None, *, training: bool) -> list[Matrix]:
    """Matrices for one forward pass, their learned scales multiplied in.

    A distribution gives its draw (r-trick) or its moments (lr-trick) while training and its mode otherwise.

    Args:
        matrices: plain parameters or distributions.
        log_scale: ``(G,)``, logarithms of the scales of G equal blocks of rows; None where there are none.
        training: whether to draw.
    """
    if training and all(isinstance(matrix, WeightDistribution) and matrix.trick == "r" for matrix in matrices):
        return list(sample_together(matrices, log_scale))  # type: ignore[arg-type]
    scale = None if log_scale is None else log_scale.exp()
    return [_realize(matrix, scale, training) for matrix in matrices]


def _realize(matrix: WeightMatrix, scale: Tensor | None, training: bool) -> Matrix:
    if not isinstance(matrix, WeightDistribution):
        return matrix
    if training and matrix.trick == "lr":
        square = None if scale is None else scale.square()
        return Moments(multiply_blocks(matrix.mean(), scale), multiply_blocks(matrix.var(), square))
    return multiply_blocks(matrix.sample() if training else matrix.mode(), scale)


def discrete_scale(matrix: WeightMatrix) -> bool:
    """Whether a matrix needs a learned scale: its weights come from a fixed set of levels."""
    return isinstance(matrix, WeightDistribution) and matrix.levels is not None


STEP_SCALE = 2.0
"""What the scale of a gate of two levels starts at, relative to others.

A step has the same value at any scale, but a pseudo-gradient as wide as the scale is small: twice the scale learns
faster and ends lower, by QAT and by the r-trick (docs/decisions/0008-latents-and-steps.md).
"""


def initial_log_scale(fan_in: int) -> float:
    """Logarithm of the initial scale ``2 / sqrt(fan_in)``.

    Hidden states start well below 1, so with ``1 / sqrt(fan_in)`` gates hardly move at first and the r-trick stays on
    its initial plateau for about twice as many epochs (pen strokes, 64-32).
    """
    return math.log(2 / math.sqrt(fan_in))


def check_state_bits(state_bits: int | None) -> int | None:
    """Returns ``state_bits``.

    Raises:
        ArgumentError: neither None nor an integer from 8 to 16.
    """
    if state_bits is not None and (type(state_bits) is not int or not 8 <= state_bits <= 16):
        raise ArgumentError(f"state_bits: {state_bits!r}, expected 8 to 16, or None for states that are not rounded")
    return state_bits


def require_size(name: str, value: int, minimum: int = 1) -> int:
    """Returns ``value``.

    Raises:
        ArgumentError: it is no integer, or below ``minimum``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ArgumentError(f"{name}: {value!r}, expected an integer of at least {minimum}")
    return value


def check_forget_bias(value: float | None, *, has_bias: bool) -> float | None:
    """Returns the forget gate's initial bias, None where it is drawn.

    Raises:
        ArgumentError: not a finite number, or given where there are no biases.
    """
    if value is None:
        return None
    if not has_bias:
        raise ArgumentError(f"forget_bias: {value!r}, but bias=False; leave one of them out")
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ArgumentError(f"forget_bias: {value!r}, expected a finite number")
    return float(value)
