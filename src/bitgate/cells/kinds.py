"""The cells by name."""

from typing import Literal

CellKind = Literal["lstm", "coupled_lstm", "gru"]

CELL_GATES: dict[CellKind, str] = {"lstm": "ifgo", "coupled_lstm": "igo", "gru": "rzn"}
"""Letters of the gates in the order of their rows."""
