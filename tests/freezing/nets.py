"""Networks of every kind, and what the interval arithmetic needs of them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bitgate.frozen import FrozenModel
from bitgate.frozen.bounds import code_limit
from bitgate.nn import GRU, LSTM, QLLSTM, GatedRNN, fix_weights
from bitgate.nn.recurrent import RecurrentModule
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
CELLS = {
    "lstm": "ifgo",
    "coupled": "igo",
    "gru": "rzn",
    "gated rnn": "zn",
    "ql": "ifgo",
    "ql coupled": "igo",
    "shared gru": "rzn",
    "shared rnn": "zn",
}
MAPS: dict[str, Any] = {
    "ql": "psug2",
    "ql coupled": {"i": 1, "g": 0, "o": 1},
    "shared gru": "psug2",
    "shared rnn": "psug1",
}
BLOCK_SIZE = 3


def recurrent(cell: str, inputs: int, hidden: int, **options: Any) -> RecurrentModule:
    """A module in float64, batch first; gate scales of any sign and alphas by unit are drawn."""
    common = {"batch_first": True, "dtype": torch.float64} | options
    if cell == "gru":
        return GRU(inputs, hidden, **common)
    if cell == "gated rnn":
        return GatedRNN(inputs, hidden, **common)
    if cell not in MAPS:
        return LSTM(inputs, hidden, coupled=cell == "coupled", **common)
    common["sharing"] = MAPS[cell]
    if cell == "shared gru":
        return _disturbed(GRU(inputs, hidden, **common))
    if cell == "shared rnn":
        return _disturbed(GatedRNN(inputs, hidden, **common))
    common |= {"block_size": BLOCK_SIZE, "skip_per_unit": cell == "ql"}
    return _disturbed(QLLSTM(inputs, hidden, coupled=cell == "ql coupled", **common))


def _disturbed(module: RecurrentModule) -> RecurrentModule:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("gate_scale"):
                parameter.mul_(torch.empty_like(parameter).uniform_(-2, 2))
            elif name.startswith("skip_logit"):
                parameter.copy_(torch.empty_like(parameter).uniform_(-2, 2))
    return module


def float_layers(module: RecurrentModule) -> list[list[FloatLayer]]:
    """The layers of a module without randomness, in plain arrays."""
    return [[_float_layer(module, suffix) for suffix in module._suffixes(layer)] for layer in range(module.num_layers)]


def _array(matrix: Any) -> NDArray[np.float64]:
    tensor = matrix.mode() if isinstance(matrix, WeightDistribution) else matrix
    return tensor.detach().double().numpy()


def _float_layer(module: RecurrentModule, suffix: str) -> FloatLayer:
    size, recurrence = module.hidden_size, module.recurrence
    letters = {"lstm": "ifgo", "coupled_lstm": "igo", "gru": "rzn", "gated_rnn": "zn"}[recurrence.cell]
    doubling = np.repeat([2.0 if letter in "gn" else 1.0 for letter in letters], size)
    scale, gate_scale = module.scale(suffix), getattr(module, "gate_scale" + suffix, None)
    scales = np.ones(len(doubling)) if scale is None else np.repeat(_array(scale), size)
    factor = (scales if gate_scale is None else _array(gate_scale)) * doubling
    biases = [_array(getattr(module, name + suffix)) * doubling for name in module._bias_names()]
    total = sum(biases, np.zeros(len(doubling)))
    hidden = None
    if recurrence.cell == "gru":
        hidden = biases[1][-size:].copy() if biases else np.zeros(size)
        total[-size:] -= hidden
    weights = []
    for name in ("weight_ih", "weight_hh"):
        blocks = _array(getattr(module, name + suffix)).reshape(recurrence.n_projections, size, -1)
        sharing = range(len(letters)) if recurrence.sharing is None else recurrence.sharing
        weights.append(factor[:, None] * np.concatenate([blocks[p] for p in sharing]))
    alpha = module.alpha(suffix)
    return FloatLayer(*weights, bias=total, bias_hn=hidden, alpha=None if alpha is None else _array(alpha))


def input_interval(model: FrozenModel, x: NDArray[np.floating]) -> tuple[Interval, float]:
    """Standardized inputs within the range of the codes, each half a code wide to both sides, and the size of a code.

    Only for models whose features all have the same gain.
    """
    step = 1 / float(model.input_map.gain[0])
    limit = code_limit(model.state_bits) * step
    standardized = np.asarray(x, np.float64) - model.input_map.mean
    assert np.abs(standardized).max() <= limit, "the bound is for inputs within the range"
    return Interval(standardized, standardized).wider(step * 0.5001), step


def float_output(module: RecurrentModule, x: NDArray[np.floating], lengths: Any = None) -> NDArray[np.float64]:
    with torch.no_grad():
        ends = None if lengths is None else torch.as_tensor(lengths)
        return fix_weights(module)(torch.as_tensor(x, dtype=torch.float64), lengths=ends)[0].numpy()
