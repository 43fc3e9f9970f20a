"""Parameters and arithmetic of recurrent layers side by side, the recurrent part and the whole text model apart."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from bitgate.nn import GRU, LSTM, QLLSTM, GatedRNN, RecurrentModule

_ELEMENTWISE = {"lstm": 4, "coupled_lstm": 5, "gru": 6, "gated_rnn": 4}
"""Multiplications and additions of a unit's state per step, once its gates are known."""
_ACTIVATIONS = {"lstm": 5, "coupled_lstm": 4, "gru": 3, "gated_rnn": 2}
"""Sigmoids and tanhs of a unit per step."""


@dataclass(frozen=True)
class RecurrentCost:
    """What one recurrent layer costs.

    Attributes:
        name: of the cell.
        recurrent: stored numbers of the layer: weights, biases as torch stores them, factors of gates, skip.
        model: those of a text classifier with it: embedding and readout too.
        flops: of the layer per step: a multiplication and an addition are two; activations are not in it.
        activations: sigmoids and tanhs per step.
        saving: share of the LSTM's recurrent parameters that is saved.
    """

    name: str
    recurrent: int
    model: int
    flops: float
    activations: int
    saving: float

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)


def stored_numbers(module: nn.Module) -> int:
    """All parameters of a module with continuous weights."""
    return sum(parameter.numel() for parameter in module.parameters())


def step_flops(layer: RecurrentModule) -> float:
    """Floating-point operations of one layer for one step of one sequence, without its activations.

    ``2 rows (I + H)`` for the products, one addition for every bias, one multiplication for every factor of a gate,
    the cell's own arithmetic, and for a skip ``2 H / B`` (block) or ``6 H`` (step).
    """
    recurrence, units = layer.recurrence, layer.hidden_size
    products = 2 * recurrence.n_projections * units * (layer.input_size + units)
    per_gate = recurrence.n_gates * units * (1 if recurrence.sharing is None else 2)
    skip = recurrence.skip
    added = 0.0 if skip is None else (2 / skip.block_size if skip.kind == "block" else 6) * units
    one = products + per_gate + _ELEMENTWISE[recurrence.cell] * units + added
    return one * layer.num_directions


def compare_costs(
    input_size: int = 512, hidden_size: int = 512, *, vocabulary_size: int = 8000, n_classes: int = 2
) -> list[RecurrentCost]:
    """LSTM, GRU, BiLSTM, QL-LSTM in its forms, and the gate maps on GRU and gated RNN, at one size."""
    common: dict[str, Any] = {"batch_first": True, "device": "meta"}
    sizes = (input_size, hidden_size)
    layers: dict[str, RecurrentModule] = {
        "LSTM": LSTM(*sizes, **common),
        "GRU": GRU(*sizes, **common),
        "BiLSTM": LSTM(*sizes, bidirectional=True, **common),
        "QL-LSTM (psug2, block)": QLLSTM(*sizes, **common),
        "QL-LSTM (psug2, no skip)": QLLSTM(*sizes, skip=None, **common),
        "QL-LSTM (psug1, block)": QLLSTM(*sizes, sharing="psug1", **common),
        "QL-LSTM (psug2, step)": QLLSTM(*sizes, skip="step", **common),
        "GRU (psug2)": GRU(*sizes, sharing="psug2", **common),
        "gated RNN": GatedRNN(*sizes, **common),
    }
    whole = stored_numbers(layers["LSTM"])
    costs = []
    for name, layer in layers.items():
        recurrent = stored_numbers(layer)
        outside = vocabulary_size * input_size + n_classes * (hidden_size * layer.num_directions + 1)
        activations = _ACTIVATIONS[layer.recurrence.cell] * hidden_size * layer.num_directions
        saving = 1 - recurrent / whole
        costs.append(RecurrentCost(name, recurrent, recurrent + outside, step_flops(layer), activations, saving))
    return costs
