"""Freezing: from a torch model to the integers of docs/arithmetic.md. The only file that knows both sides."""

from collections.abc import Sequence as AnySequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from bitgate.data import Sequences
from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.frozen import FrozenLayer, FrozenModel, InputMap, PackedMatrix, Readout
from bitgate.frozen.bounds import INT32_MAX, code_limit
from bitgate.frozen.record import TANH_GATES
from bitgate.nn import GRU, LSTM, Linear, SequenceClassifier, fix_weights
from bitgate.nn.matrix import WeightMatrix
from bitgate.nn.posterior import Mode
from bitgate.nn.recurrent import RecurrentModule
from bitgate.train import predict_logits
from bitgate.weights import Levels, WeightDistribution

STATE_BITS = (8, 13, 16)
DEFAULT_INPUT_RANGE = 8.0
"""Largest standardized input that a model frozen without data can tell apart, in standard deviations."""

_ENOUGH_MULTIPLIER = 512
"""A multiplier of ten significant bits is wrong by less than 0.1 %."""

Data = Sequences | ArrayLike | Tensor | tuple[Any, ...]


def freeze(
    model: nn.Module,
    data: Data | None = None,
    *,
    mode: Mode = "map",
    state_bits: int = 16,
    generator: torch.Generator | None = None,
) -> FrozenModel:
    """Turns a model into integers.

    Args:
        model: a ``SequenceClassifier``, ``LSTM``, ``GRU`` or ``Linear`` of bitgate.nn, in any weights and gates.
        data: raw sequences that calibrate the range of the inputs: ``Sequences``, an array ``(N, T, I)``, or a tuple
            ``(x, lengths)`` or ``(x, lengths, labels)``. For a classifier, ``metadata["calibration"]`` then tells the
            accuracy (with labels) and the agreement of the float network with the integer one at 8 and 16 bits.
            Without data, inputs are clipped at 8 standard deviations.
        mode: which network of random weights: "map" the most probable, "sample" one draw.
        state_bits: 8, 13 or 16 bits for inputs and hidden states.
        generator: source of randomness for "sample".

    Returns:
        The frozen model. It computes in integers what the float network computes up to rounding; weights that are
        continuous become 8-bit integers with a scale per row.

    Raises:
        UnsupportedError: a module that has no integer form (``proj_size``, or a class from elsewhere).
        ArgumentError: ``state_bits`` or ``mode`` that do not exist.
    """
    if state_bits not in STATE_BITS:
        raise ArgumentError(f"state_bits: {state_bits}, expected one of {STATE_BITS}")
    if not isinstance(model, SequenceClassifier | LSTM | GRU | Linear):
        raise UnsupportedError(f"freeze: {type(model).__name__}, expected SequenceClassifier, LSTM, GRU or Linear")
    network = fix_weights(model, mode, generator=generator).cpu().double()
    sequences = None if data is None else as_sequences(data)
    frozen = _freeze_fixed(network, sequences, state_bits)
    if sequences is None or not isinstance(network, SequenceClassifier):
        return frozen
    return frozen.with_metadata(calibration=_calibration(network, frozen, sequences))


def as_sequences(data: Data) -> Sequences:
    """Sequences from any form of data that ``freeze`` takes."""
    if isinstance(data, Sequences):
        return data
    parts = data if isinstance(data, tuple) else (data,)
    if not 1 <= len(parts) <= 3:
        raise ArgumentError(f"data: a tuple of {len(parts)}, expected (x, lengths) or (x, lengths, labels)")
    x, lengths, labels = (None if part is None else _as_array(part) for part in (*parts, None, None)[:3])
    if x is None or x.ndim != 3:
        raise ArgumentError(f"data: expected sequences (N, T, I), got {'nothing' if x is None else x.shape}")
    ends = np.full(len(x), x.shape[1]) if lengths is None else lengths
    if ends.shape != (len(x),) or ends.dtype.kind not in "iu" or not ((ends >= 1) & (ends <= x.shape[1])).all():
        raise ArgumentError(f"data: expected {len(x)} lengths from 1 to {x.shape[1]}, got {ends}")
    return Sequences.from_list([x[k, :end] for k, end in enumerate(ends)], None if labels is None else labels.tolist())


def _as_array(part: Any) -> NDArray[Any]:
    return part.detach().cpu().numpy() if isinstance(part, Tensor) else np.asarray(part)


def _freeze_fixed(network: nn.Module, sequences: Sequences | None, state_bits: int) -> FrozenModel:
    """Freezes a network without randomness."""
    mean, std = np.zeros(1), np.ones(1)
    if isinstance(network, SequenceClassifier):
        recurrent: AnySequence[Any] = list(network.layers)
        readout: Linear | None = network.readout
        mean, std = network.standardize.mean.numpy(), network.standardize.std.numpy()
        size = len(mean)
    elif isinstance(network, Linear):
        recurrent, readout, size = [], network, network.in_features
    else:
        assert isinstance(network, RecurrentModule)
        recurrent, readout, size = [network], None, network.input_size
    step = _input_step(sequences, mean, std, state_bits)
    input_map = InputMap(
        np.broadcast_to(mean, size).astype(np.float32), np.broadcast_to(1 / (std * step), size).astype(np.float32)
    )
    layers: list[tuple[FrozenLayer, ...]] = []
    for module in recurrent:
        for index in range(module.num_layers):
            suffixes = module._suffixes(index)
            layers.append(tuple(_freeze_layer(module, suffix, step, state_bits) for suffix in suffixes))
            step = 1 / (1 << (state_bits - 1))
    frozen_readout = None if readout is None else _freeze_readout(readout, step, state_bits)
    return FrozenModel(state_bits, input_map, tuple(layers), frozen_readout)


def _input_step(
    sequences: Sequences | None, mean: NDArray[np.float64], std: NDArray[np.float64], state_bits: int
) -> float:
    """Size of one input code in standard deviations: the one of least squared error on the data."""
    limit = code_limit(state_bits)
    if sequences is None:
        return DEFAULT_INPUT_RANGE / limit
    values = ((sequences.features - mean) / std).astype(np.float64)
    largest = float(np.abs(values).max()) or 1.0
    candidates = [largest * 2 ** (-k / 4) / limit for k in range(17)]

    def squared_error(step: float) -> float:
        return float(np.square(np.clip(np.round(values / step), -limit, limit) * step - values).mean())

    return min(candidates, key=squared_error)


def integer_levels(levels: Levels) -> tuple[NDArray[np.int8], float]:
    """Integer levels and the real value of one: the smallest integers in the same ratios, up to 127.

    Levels in no such ratio are rounded to 8 bits, as continuous weights are.
    """
    values = np.array(levels, dtype=np.float64)
    largest = float(np.abs(values).max())
    for count in range(1, 128):
        unit = largest / count
        if np.abs(values / unit - np.round(values / unit)).max() < 1e-6:
            break
    return np.round(values / unit).astype(np.int8), unit


def _integer_matrix(matrix: WeightMatrix) -> tuple[PackedMatrix, NDArray[np.float64]]:
    """Packed weights and the real value of one unit: one number, or one for each row of continuous weights."""
    if isinstance(matrix, WeightDistribution) and matrix.levels is not None:
        values = matrix.mode().double().numpy()
        levels, unit = integer_levels(matrix.levels)
        codes = np.abs(values[..., None] - np.array(matrix.levels)).argmin(axis=-1)
        return PackedMatrix.from_codes(codes.astype(np.uint8), levels), np.array([unit])
    tensor = matrix.mode() if isinstance(matrix, WeightDistribution) else matrix.detach()
    weights = tensor.double().numpy()
    units = np.abs(weights).max(axis=1) / 127
    units = np.where(units > 0, units, 1.0)
    codes = np.round(weights / units[:, None]).astype(np.int64) + 127
    return PackedMatrix.from_codes(codes.astype(np.uint8), np.arange(-127, 128).astype(np.int8)), units


def _array(parameter: Tensor) -> NDArray[np.float64]:
    return parameter.detach().double().numpy()


def _freeze_layer(module: RecurrentModule, suffix: str, step: float, state_bits: int) -> FrozenLayer:
    """One layer and direction; ``step`` is the real value of one unit of its input."""
    if module.proj_size:
        raise UnsupportedError("freeze: proj_size has no integer form; train without a projection (proj_size=0)")
    cell, size = module.recurrence.cell, module.hidden_size
    if cell == "gated_rnn" or module.recurrence.sharing is not None or module.recurrence.skip is not None:
        raise UnsupportedError(f"freeze: {type(module).__name__} with sharing or skip has no integer form yet")
    w_ih, unit_ih = _integer_matrix(getattr(module, "weight_ih" + suffix))
    w_hh, unit_hh = _integer_matrix(getattr(module, "weight_hh" + suffix))
    letters = "rzn" if cell == "gru" else "igo" if cell == "coupled_lstm" else "ifgo"
    doubling = np.array([2.0 if letter in TANH_GATES else 1.0 for letter in letters])
    scale = module.scale(suffix)
    gate_scale = doubling * (1.0 if scale is None else _array(scale))
    if len(unit_ih) > 1:  # continuous weights: a multiplier for each row
        gate_scale = np.repeat(gate_scale, size)
    real_ih = gate_scale * unit_ih * step * (1 << 15)
    real_hh = gate_scale * unit_hh / (1 << (state_bits - 1)) * (1 << 15)
    bias, bias_hn = _integer_biases(module, suffix, np.repeat(doubling, size))
    mult_ih, mult_hh, shift, product_bits = _multipliers(w_ih, w_hh, real_ih, real_hh, len(letters), state_bits)
    return FrozenLayer(
        cell=cell,
        gate_levels=module.recurrence.gates,
        w_ih=w_ih,
        w_hh=w_hh,
        mult_ih=mult_ih,
        mult_hh=mult_hh,
        shift=shift,
        bias=bias,
        bias_hn=bias_hn,
        product_bits=product_bits,
        reverse=suffix.endswith("_reverse"),
    )


def _integer_biases(
    module: RecurrentModule, suffix: str, doubling: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
    """Biases in Q15, those that act as a sum summed."""
    rows, size = len(doubling), module.hidden_size
    given = [_array(getattr(module, name + suffix)) for name in module._bias_names()]
    total = sum(given, np.zeros(rows))
    if module.recurrence.cell != "gru":
        return _to_int32(total * doubling * (1 << 15)), None
    # The reset gate multiplies the candidate's hidden bias, so that one stays apart.
    hidden = given[1][-size:] if given else np.zeros(size)
    total[-size:] -= hidden
    return _to_int32(total * doubling * (1 << 15)), _to_int32(hidden * doubling[-size:] * (1 << 15))


def _to_int32(values: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.clip(np.round(values), -INT32_MAX, INT32_MAX).astype(np.int32)


def _multipliers(
    w_ih: PackedMatrix,
    w_hh: PackedMatrix,
    real_ih: NDArray[np.float64],
    real_hh: NDArray[np.float64],
    gates: int,
    state_bits: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], int]:
    """Integer multipliers, shifts and the width of the products (docs/arithmetic.md, Pre-activation)."""
    for product_bits in (32, 64):
        shift = np.array(
            [
                _largest_shift(w_ih, w_hh, real_ih, real_hh, gate, gates, state_bits, product_bits)
                for gate in range(gates)
            ]
        )
        factor = 2.0 ** np.repeat(shift, len(real_ih) // gates)
        mult_ih, mult_hh = _to_int32(real_ih * factor), _to_int32(real_hh * factor)
        strongest = np.minimum(mult_ih.reshape(gates, -1).max(axis=1), mult_hh.reshape(gates, -1).max(axis=1))
        if strongest.min() >= _ENOUGH_MULTIPLIER:
            break
    return mult_ih, mult_hh, shift.astype(np.int32), product_bits


def _largest_shift(
    w_ih: PackedMatrix,
    w_hh: PackedMatrix,
    real_ih: NDArray[np.float64],
    real_hh: NDArray[np.float64],
    gate: int,
    gates: int,
    state_bits: int,
    product_bits: int,
) -> int:
    """The largest shift of one gate whose products provably fit."""
    rows = w_ih.rows // gates
    block = slice(gate * rows, (gate + 1) * rows)
    limit = code_limit(state_bits)
    per_gate = len(real_ih) // gates
    ih, hh = (np.repeat(real[gate * per_gate : (gate + 1) * per_gate], rows // per_gate) for real in (real_ih, real_hh))
    reach = (ih * w_ih.row_sums[block] + hh * w_hh.row_sums[block]).max() * limit
    largest = max(ih.max(), hh.max())
    shift = product_bits - 2
    # The half added for rounding and the rounding of the multipliers themselves stay below twice the sums.
    slack = float((w_ih.row_sums[block] + w_hh.row_sums[block]).max() * limit)
    while shift > 1 and (
        (reach * 2.0**shift + slack + 2.0 ** (shift - 1)) >= 2.0 ** (product_bits - 1)
        or largest * 2.0**shift >= INT32_MAX
    ):
        shift -= 1
    return shift


def _freeze_readout(readout: Linear, step: float, state_bits: int) -> Readout:
    weight, unit = _integer_matrix(readout.weight)
    scale = readout.scale()
    real = unit * step * (1.0 if scale is None else _array(scale))
    bias = np.zeros(readout.out_features) if readout.bias is None else _array(readout.bias)
    mult = np.ones(1)
    logit_scale = float(real.max())
    if len(real) > 1:
        reach = float(((real / real.max()) * weight.row_sums).max()) * code_limit(state_bits)
        reach += float(np.abs(bias).max()) / logit_scale + 1
        factor = 2.0 ** max(0, min(15, int(np.log2(INT32_MAX / (2 * reach)))))
        logit_scale /= factor
        mult = real / logit_scale
    return Readout(weight, _to_int32(mult), _to_int32(bias / logit_scale), logit_scale)


def _calibration(network: SequenceClassifier, frozen: FrozenModel, sequences: Sequences) -> dict[str, Any]:
    """How often the integer network agrees with the float one, and both accuracies, at 8 and 16 bits."""
    expected = predict_logits(network.float(), sequences).argmax(dim=-1).numpy()
    network.double()
    report: dict[str, Any] = {"n_sequences": len(sequences)}
    labels = sequences.labels
    if labels is not None:
        report["float_accuracy"] = float(np.mean(expected == labels))
    for bits in (8, 16):
        candidate = frozen if bits == frozen.state_bits else _freeze_fixed(network, sequences, bits)
        x, lengths = sequences.padded()
        predicted = candidate.predict(x, lengths)
        report[f"agreement_{bits}bit"] = float(np.mean(predicted == expected))
        if labels is not None:
            report[f"accuracy_{bits}bit"] = float(np.mean(predicted == labels))
    return report
