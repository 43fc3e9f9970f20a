"""Facts about the tables of the integer arithmetic."""

import math

import numpy as np
import pytest

from bitgate.frozen import interpreter, tables

LAST = tables.SIGMOID_RANGE * tables.ONE_Q15
EVERY = np.arange(-LAST - 40000, LAST + 40001, 13, dtype=np.int64)


def test_sigmoid_table() -> None:
    table = tables.sigmoid_table()
    assert len(table) == 193
    assert table[0] == 16384
    assert table[-1] == 32768
    assert (np.diff(table) >= 0).all()
    assert (np.diff(table, 2) <= 1).all()  # concave but for rounding


def test_smooth_is_monotone_and_symmetric() -> None:
    dense = np.arange(-LAST - 5, LAST + 6, dtype=np.int64)
    values = interpreter.smooth(dense)
    assert (np.diff(values) >= 0).all()
    np.testing.assert_array_equal(interpreter.smooth(-dense[dense != 0]), 32768 - values[dense != 0])
    assert values[0] == 0
    assert values[-1] == 32768


def test_smooth_error_is_below_its_bound() -> None:
    """Chord error h^2/8 max|s''| for steps h = 1/16, half a unit in two table values, half a unit in rounding."""
    steepest = 1 / (6 * math.sqrt(3))  # max |sigmoid''|
    bound = 32768 * steepest / (8 * 16**2) + 0.5 + 0.5
    exact = 32768 / (1 + np.exp(-EVERY / 32768))
    error = np.abs(interpreter.smooth(EVERY) - exact).max()
    assert error <= bound
    assert error > 0.5  # beyond 12 alone the table's end costs 0.2; a smaller error would mean a wrong comparison


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 16, 255, 256])
def test_gate_levels(levels: int) -> None:
    thresholds, values = tables.gate_thresholds(levels), tables.gate_values(levels)
    assert len(thresholds) == levels - 1
    assert (np.diff(thresholds) > 0).all()
    np.testing.assert_array_equal(thresholds, -thresholds[::-1])
    assert values[0] == 0
    assert values[-1] == 32768
    assert abs(values + values[::-1] - 32768).max() <= 1  # halves go up on both sides
    # Each threshold is where the exact sigmoid passes the middle between two values.
    middle = 32768 / (1 + np.exp(-thresholds / 32768))
    np.testing.assert_allclose(middle, (np.arange(1, levels) - 0.5) * 32768 / (levels - 1), atol=0.5)


def test_step_and_sign_are_one_at_zero() -> None:
    u = np.array([-1, 0, 1])
    assert interpreter.activate(u, "i", 2).tolist() == [0, 32768, 32768]
    assert interpreter.activate(u, "g", 2).tolist() == [-32768, 32768, 32768]


def test_rounding_halves_go_away_from_zero() -> None:
    assert [tables.round_half_away(v) for v in (-2.5, -1.5, -0.4, 0.5, 1.5, 2.5)] == [-3, -2, 0, 1, 2, 3]
