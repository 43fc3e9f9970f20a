"""Tables and constants of the integer arithmetic (docs/arithmetic.md): one source for Python and C."""

import math

import numpy as np
from numpy.typing import NDArray

ONE_Q15 = 1 << 15
INT16_LIMIT = 32767
SIGMOID_STEPS_PER_UNIT = 16
SIGMOID_RANGE = 12
SIGMOID_FRACTION_BITS = 11
CELL_FRACTION_BITS = {"coupled_lstm": 15, "lstm": 11, "gru": 15, "gated_rnn": 15}


def round_half_away(value: float) -> int:
    """Nearest integer, halves away from zero (Python's own ``round`` sends them to the even number)."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def sigmoid_table() -> NDArray[np.int32]:
    """The 193 values ``round(32768 sigmoid(k / 16))`` between which ``S(u)`` interpolates."""
    count = SIGMOID_RANGE * SIGMOID_STEPS_PER_UNIT + 1
    values = [round_half_away(ONE_Q15 / (1 + math.exp(-k / SIGMOID_STEPS_PER_UNIT))) for k in range(count)]
    return np.array(values, dtype=np.int32)


def gate_thresholds(levels: int) -> NDArray[np.int32]:
    """Thresholds on ``u`` (Q15) between the ``levels`` values of a discretized gate, ascending."""
    probabilities = [(k - 0.5) / (levels - 1) for k in range(1, levels)]
    return np.array([round_half_away(ONE_Q15 * math.log(p / (1 - p))) for p in probabilities], dtype=np.int32)


def gate_values(levels: int) -> NDArray[np.int32]:
    """Values (Q15, 0 to 32768) of a discretized sigmoid gate, ascending."""
    return np.array([round_half_away(ONE_Q15 * k / (levels - 1)) for k in range(levels)], dtype=np.int32)
