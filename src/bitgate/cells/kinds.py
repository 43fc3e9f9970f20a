"""The cells by name."""

from typing import Literal

CellKind = Literal["lstm", "coupled_lstm", "gru", "gated_rnn"]

CELL_GATES: dict[CellKind, str] = {"lstm": "ifgo", "coupled_lstm": "igo", "gru": "rzn", "gated_rnn": "zn"}
"""Letters of the gates in the order of their rows."""
