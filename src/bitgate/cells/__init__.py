"""One time step of each cell, as pure functions of pre-activations and state."""

from bitgate.cells.gated_rnn import gated_rnn_step
from bitgate.cells.gru import gru_step
from bitgate.cells.kinds import CELL_GATES, CellKind
from bitgate.cells.lstm import coupled_lstm_step, forget_gate, lstm_step, step_skip
from bitgate.cells.sharing import SHARING_NAMES, Sharing, resolve_sharing

__all__ = [
    "CELL_GATES",
    "SHARING_NAMES",
    "CellKind",
    "Sharing",
    "coupled_lstm_step",
    "forget_gate",
    "gated_rnn_step",
    "gru_step",
    "lstm_step",
    "resolve_sharing",
    "step_skip",
]
