"""How a layer holds a weight matrix and turns it into what the loop over time multiplies with."""

import math
import numbers

from torch import Tensor, nn

from bitgate.errors import ArgumentError
from bitgate.ops import Matrix, Moments
from bitgate.weights import WeightDistribution

WeightMatrix = nn.Parameter | WeightDistribution


def draw(matrix: WeightMatrix, scale: Tensor | None, *, training: bool) -> Matrix:
    """The matrix for one forward pass, its learned scale multiplied in.

    A distribution gives its draw (r-trick) or its moments (lr-trick) while training and its mode otherwise.

    Args:
        matrix: a plain parameter or a distribution.
        scale: positive, ``(rows, 1)`` or a scalar; None where there is none.
        training: whether to draw.
    """
    if isinstance(matrix, WeightDistribution):
        if training and matrix.trick == "lr":
            mean, var = matrix.mean(), matrix.var()
            return Moments(mean, var) if scale is None else Moments(mean * scale, var * scale.square())
        value = matrix.sample() if training else matrix.mode()
        return value if scale is None else value * scale
    return matrix


def discrete_scale(matrix: WeightMatrix) -> bool:
    """Whether a matrix needs a learned scale: its weights come from a fixed set of levels."""
    return isinstance(matrix, WeightDistribution) and matrix.levels is not None


def initial_log_scale(fan_in: int) -> float:
    """Logarithm of the initial scale ``2 / sqrt(fan_in)``.

    Hidden states start well below 1, so with ``1 / sqrt(fan_in)`` gates hardly move at first and the r-trick stays on
    its initial plateau for about twice as many epochs (pen strokes, 64-32).
    """
    return math.log(2 / math.sqrt(fan_in))


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
