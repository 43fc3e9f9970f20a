"""Levels: the values that a discrete weight may take."""

import itertools
import math
from collections.abc import Sequence
from numbers import Real

from bitgate.errors import ArgumentError

Levels = tuple[float, ...]

BINARY: Levels = (-1.0, 1.0)
TERNARY: Levels = (-1.0, 0.0, 1.0)


def uniform_levels(n_levels: int) -> Levels:
    """``n_levels`` equally spaced values from -1 to 1.

    Raises:
        ArgumentError: fewer than 2 or more than 256 levels.
    """
    if not 2 <= n_levels <= 256:
        raise ArgumentError(f"n_levels: {n_levels}, expected 2 to 256")
    return tuple((2 * k - n_levels + 1) / (n_levels - 1) for k in range(n_levels))


def check_levels(levels: Sequence[float]) -> Levels:
    """Returns ``levels`` as a tuple of floats.

    Raises:
        ArgumentError: no sequence of numbers, fewer than 2 or more than 256, not ascending, or not finite.
    """
    if not isinstance(levels, Sequence) or not all(isinstance(level, Real) for level in levels):
        raise ArgumentError(f"levels: {levels!r}, expected a tuple of numbers")
    values = tuple(float(level) for level in levels)
    if not 2 <= len(values) <= 256 or not all(math.isfinite(v) for v in values):
        raise ArgumentError(f"levels: {levels!r}, expected 2 to 256 finite values")
    if any(a >= b for a, b in itertools.pairwise(values)):
        raise ArgumentError(f"levels: {values!r}, expected ascending values without repetition")
    return values
