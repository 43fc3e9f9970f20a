"""Networks of every kind, and what the interval arithmetic needs of them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bitgate.frozen import FrozenModel
from bitgate.frozen.bounds import code_limit
from bitgate.nn import GRU, LSTM, fix_weights
from bitgate.weights import BINARY, Categorical, Gaussian, Quantized, WeightDistribution, uniform_levels
from tests.freezing.intervals import FloatLayer, Interval

WEIGHTS: dict[str, Any] = {
    "continuous": "continuous",
    "gaussian": Gaussian(init_std=0.1),
    "ternary": "ternary",
    "binary": "binary",
    "four levels": Categorical(uniform_levels(4)),
    "uneven levels": Categorical((-1.0, -0.25, 0.5)),
    "qat ternary": Quantized(),
    "qat binary": Quantized(BINARY),
}
CELLS = {"lstm": "ifgo", "coupled": "igo", "gru": "rzn"}


def recurrent(cell: str, inputs: int, hidden: int, **options: Any) -> LSTM | GRU:
    """A module in float64, batch first."""
    common = {"batch_first": True, "dtype": torch.float64} | options
    if cell == "gru":
        return GRU(inputs, hidden, **common)
    return LSTM(inputs, hidden, coupled=cell == "coupled", **common)


def float_layers(module: LSTM | GRU) -> list[list[FloatLayer]]:
    """The layers of a module without randomness, in plain arrays."""
    return [[_float_layer(module, suffix) for suffix in module._suffixes(layer)] for layer in range(module.num_layers)]


def _array(matrix: Any) -> NDArray[np.float64]:
    tensor = matrix.mode() if isinstance(matrix, WeightDistribution) else matrix
    return tensor.detach().double().numpy()


def _float_layer(module: LSTM | GRU, suffix: str) -> FloatLayer:
    size = module.hidden_size
    letters = CELLS[{"lstm": "lstm", "coupled_lstm": "coupled", "gru": "gru"}[module.recurrence.cell]]
    doubling = np.repeat([2.0 if letter in "gn" else 1.0 for letter in letters], size)
    scale = module.scale(suffix)
    scales = np.ones(len(letters)) if scale is None else _array(scale)
    rows = (np.repeat(scales, size) * doubling)[:, None]
    biases = [_array(getattr(module, name + suffix)) * doubling for name in module._bias_names()]
    total = sum(biases, np.zeros(len(doubling)))
    hidden = None
    if module.recurrence.cell == "gru":
        hidden = biases[1][-size:].copy() if biases else np.zeros(size)
        total[-size:] -= hidden
    weights = [rows * _array(getattr(module, name + suffix)) for name in ("weight_ih", "weight_hh")]
    return FloatLayer(*weights, bias=total, bias_hn=hidden)


def input_interval(model: FrozenModel, x: NDArray[np.floating]) -> tuple[Interval, float]:
    """Standardized inputs within the range of the codes, each half a code wide to both sides, and the size of a code.

    Only for models whose features all have the same gain.
    """
    step = 1 / float(model.input_map.gain[0])
    limit = code_limit(model.state_bits) * step
    standardized = np.asarray(x, np.float64) - model.input_map.mean
    assert np.abs(standardized).max() <= limit, "the bound is for inputs within the range"
    return Interval(standardized, standardized).wider(step * 0.5001), step


def float_output(module: LSTM | GRU, x: NDArray[np.floating], lengths: Any = None) -> NDArray[np.float64]:
    with torch.no_grad():
        ends = None if lengths is None else torch.as_tensor(lengths)
        return fix_weights(module)(torch.as_tensor(x, dtype=torch.float64), lengths=ends)[0].numpy()
