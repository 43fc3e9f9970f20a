"""Staircase activations: their values, thresholds, ties and pseudo-gradients."""

import math

import numpy as np
import pytest
import torch

from bitgate.gates import activate, level_thresholds, sigmoid_levels, tanh_levels
from tests.tolerances import CLOSED_FORM, EXACT, assert_near

LEVELS = [2, 3, 4, 8]
GRID = torch.linspace(-6, 6, 4001, dtype=torch.float64)


def rounded(smooth: np.ndarray, lowest: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """``smooth`` rounded to equally spaced values in [lowest, 1], and whether it is no tie."""
    position = (smooth - lowest) / (1 - lowest) * (levels - 1)
    return lowest + (1 - lowest) * np.floor(position + 0.5) / (levels - 1), np.abs(position % 1 - 0.5) > 1e-9


@pytest.mark.parametrize("levels", LEVELS)
def test_sigmoid_staircase_is_the_rounded_sigmoid(levels: int) -> None:
    expected, clear = rounded(1 / (1 + np.exp(-GRID.numpy())), 0.0, levels)
    assert clear.sum() > 3990
    assert_near(sigmoid_levels(GRID, levels)[clear], torch.from_numpy(expected)[clear], CLOSED_FORM)


@pytest.mark.parametrize("levels", LEVELS)
def test_tanh_staircase_is_the_rounded_tanh(levels: int) -> None:
    expected, clear = rounded(np.tanh(GRID.numpy()), -1.0, levels)
    assert clear.sum() > 3990
    assert_near(tanh_levels(GRID, levels)[clear], torch.from_numpy(expected)[clear], CLOSED_FORM)


@pytest.mark.parametrize("levels", LEVELS)
def test_a_staircase_takes_exactly_its_values(levels: int) -> None:
    units = [k / (levels - 1) for k in range(levels)]
    assert_near(sigmoid_levels(GRID, levels).unique(), torch.tensor(units, dtype=GRID.dtype), CLOSED_FORM)
    both = torch.tensor([2 * u - 1 for u in units], dtype=GRID.dtype)
    assert_near(tanh_levels(GRID, levels).unique(), both, CLOSED_FORM)


def test_another_level_count_is_noticed() -> None:
    expected, clear = rounded(np.tanh(GRID.numpy()), -1.0, 4)
    with pytest.raises(AssertionError, match="differs"):
        assert_near(tanh_levels(GRID, 3)[clear], torch.from_numpy(expected)[clear], CLOSED_FORM)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_step_and_sign_are_one_at_zero(dtype: torch.dtype) -> None:
    zeros = torch.tensor([0.0, -0.0], dtype=dtype)
    assert_near(sigmoid_levels(zeros, 2), torch.ones(2, dtype=dtype), EXACT)
    assert_near(tanh_levels(zeros, 2), torch.ones(2, dtype=dtype), EXACT)
    below = torch.tensor([-1e-30], dtype=dtype)
    assert_near(sigmoid_levels(below, 2), torch.tensor([0.0], dtype=dtype), EXACT)
    assert_near(tanh_levels(below, 2), torch.tensor([-1.0], dtype=dtype), EXACT)


@pytest.mark.parametrize("levels", LEVELS)
def test_a_gate_steps_up_at_its_threshold_not_behind_it(levels: int) -> None:
    thresholds = torch.tensor(level_thresholds(levels), dtype=torch.float64)
    assert len(thresholds) == levels - 1
    for factor, staircase in ((1.0, sigmoid_levels), (0.5, tanh_levels)):
        at = factor * thresholds
        below = torch.nextafter(at, torch.tensor(-math.inf, dtype=at.dtype))
        step = 1 / (levels - 1) if staircase is sigmoid_levels else 2 / (levels - 1)
        assert_near(staircase(at, levels) - staircase(below, levels), torch.full_like(at, step), CLOSED_FORM)


@pytest.mark.parametrize("levels", [3, 5])
def test_odd_level_counts_have_a_middle_value_at_zero(levels: int) -> None:
    assert float(sigmoid_levels(torch.zeros(1), levels)) == 0.5
    assert float(tanh_levels(torch.zeros(1), levels)) == 0.0


@pytest.mark.parametrize("levels", LEVELS)
def test_pseudo_gradient_is_the_derivative_of_the_smooth_activation(levels: int) -> None:
    upstream = torch.randn(len(GRID), dtype=torch.float64)
    x, y, slopes = GRID.numpy(), upstream.numpy(), []
    for staircase in (sigmoid_levels, tanh_levels):
        a = GRID.clone().requires_grad_()
        staircase(a, levels).backward(upstream)
        slopes.append(a.grad)
    s = 1 / (1 + np.exp(-x))
    assert_near(slopes[0], torch.from_numpy(y * s * (1 - s)), CLOSED_FORM, "pseudo-gradient of the sigmoid staircase")
    assert_near(slopes[1], torch.from_numpy(y / np.cosh(x) ** 2), CLOSED_FORM, "pseudo-gradient of the tanh staircase")
    with pytest.raises(AssertionError, match="differs"):
        assert_near(slopes[1], slopes[0], CLOSED_FORM)


@pytest.mark.parametrize("gate", "ifgorzn")
def test_gates_by_letter(gate: str) -> None:
    is_tanh = gate in "gn"
    assert_near(activate(GRID, gate, 0), GRID.tanh() if is_tanh else GRID.sigmoid(), EXACT)
    assert_near(activate(GRID, gate, 4), (tanh_levels if is_tanh else sigmoid_levels)(GRID, 4), EXACT)
