"""One time step of each cell, as pure functions of pre-activations and state."""

from bitgate.cells.gru import gru_step
from bitgate.cells.kinds import CELL_GATES, CellKind
from bitgate.cells.lstm import coupled_lstm_step, lstm_step

__all__ = ["CELL_GATES", "CellKind", "coupled_lstm_step", "gru_step", "lstm_step"]
