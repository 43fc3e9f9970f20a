"""One time step of each cell by hand."""

import math

import pytest
import torch

from bitgate.cells import CELL_GATES, coupled_lstm_step, gru_step, lstm_step
from tests.tolerances import CLOSED_FORM, assert_near


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_lstm_step_by_hand() -> None:
    h, c = lstm_step(row(0.3, -0.2, 0.7, 1.1), row(0.5), (0, 0, 0, 0))
    expected = sigmoid(-0.2) * 0.5 + sigmoid(0.3) * math.tanh(0.7)
    assert_near(c, row(expected), CLOSED_FORM, "c")
    assert_near(h, row(sigmoid(1.1) * math.tanh(expected)), CLOSED_FORM, "h")


def test_coupled_lstm_step_by_hand() -> None:
    h, c = coupled_lstm_step(row(0.3, 0.7, 1.1), row(0.5), (0, 0, 0))
    expected = (1 - sigmoid(0.3)) * 0.5 + sigmoid(0.3) * math.tanh(0.7)
    assert_near(c, row(expected), CLOSED_FORM, "c")
    assert_near(h, row(sigmoid(1.1) * math.tanh(expected)), CLOSED_FORM, "h")


def test_gru_step_by_hand() -> None:
    h = gru_step(row(0.3, -0.4), row(0.2), row(0.9), row(0.5), (0, 0, 0))
    n = math.tanh(0.2 + sigmoid(0.3) * 0.9)
    assert_near(h, row((1 - sigmoid(-0.4)) * n + sigmoid(-0.4) * 0.5), CLOSED_FORM, "h")


@pytest.mark.parametrize(("i", "g", "expected"), [(-0.1, 0.2, 0.5), (0.0, 0.0, 1.0), (0.1, -0.2, -1.0)])
def test_step_gates_keep_or_replace_the_cell_state(i: float, g: float, expected: float) -> None:
    h, c = coupled_lstm_step(row(i, g, 3.0), row(0.5), (2, 2, 2))
    assert_near(c, row(expected), CLOSED_FORM, "c")
    assert_near(h, row(math.tanh(expected)), CLOSED_FORM, "h")


def test_each_gate_has_its_own_level_count() -> None:
    """Only the named gate's output is rounded; the order of the counts is the order of the rows."""
    smooth = lstm_step(row(0.3, -0.2, 0.7, 1.1), row(0.5), (0, 0, 0, 0))
    rounded = {
        "i": sigmoid(-0.2) * 0.5 + 1.0 * math.tanh(0.7),
        "f": 0.0 * 0.5 + sigmoid(0.3) * math.tanh(0.7),
        "g": sigmoid(-0.2) * 0.5 + sigmoid(0.3) * 1.0,
        "o": float(smooth[1]),
    }
    for index, letter in enumerate(CELL_GATES["lstm"]):
        gates = tuple(2 if k == index else 0 for k in range(4))
        h, c = lstm_step(row(0.3, -0.2, 0.7, 1.1), row(0.5), gates)
        assert_near(c, row(rounded[letter]), CLOSED_FORM, f"c with a step for {letter}")
        output_gate = 1.0 if letter == "o" else sigmoid(1.1)
        assert_near(h, row(output_gate * math.tanh(rounded[letter])), CLOSED_FORM, f"h with a step for {letter}")
