"""A torch model as a frozen one: input map, layers, readout, and what the integers cost on data."""

from collections.abc import Sequence as AnySequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from bitgate.data import Sequences
from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.freezing.integers import integer_matrix, to_array, to_int32
from bitgate.freezing.layer import (
    UNBOUNDED_RANGE_BITS,
    check_module,
    freeze_layer,
    highest_range_bits,
    safe_range_bits,
)
from bitgate.frozen import FrozenLayer, FrozenModel, InputMap, Readout
from bitgate.frozen.bounds import INT32_MAX, code_limit
from bitgate.nn import Linear, SequenceClassifier, fix_weights
from bitgate.nn.posterior import Mode
from bitgate.nn.recurrent import RecurrentModule
from bitgate.nn.rounding import DEFAULT_INPUT_RANGE, RoundInput, least_error_step
from bitgate.train import predict_logits

STATE_BITS = (8, 13, 16)

_MEASURED_RANGE_BITS = 8
"""Range in which hidden states are measured: 256, where a state of 16 bits keeps 7 bits behind the point."""

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
        model: a ``SequenceClassifier``, ``LSTM``, ``GRU``, ``QLLSTM``, ``GatedRNN`` or ``Linear`` of bitgate.nn, in any
            weights, gates and gate maps.
        data: raw sequences that calibrate the range of the inputs: ``Sequences``, an array ``(N, T, I)``, or a tuple
            ``(x, lengths)`` or ``(x, lengths, labels)``. For a classifier, ``metadata["calibration"]`` then tells the
            accuracy (with labels) and the agreement of the float network with the integer one at 8 and 16 bits.
            With a block skip the data also tell how far hidden states reach, which saves bits of them. Without data,
            inputs are clipped at 8 standard deviations.
        mode: which network of random weights: "map" the most probable, "sample" one draw.
        state_bits: 8, 13 or 16 bits for inputs and hidden states.
        generator: source of randomness for "sample".

    Returns:
        The frozen model. It computes in integers what the float network computes up to rounding; weights that are
        continuous become 8-bit integers with a scale per row.

    Raises:
        UnsupportedError: a module that has no integer form (``proj_size``, a step skip, or a class from elsewhere).
        ArgumentError: ``state_bits`` or ``mode`` that do not exist.
    """
    if state_bits not in STATE_BITS:
        raise ArgumentError(f"state_bits: {state_bits}, expected one of {STATE_BITS}")
    if not isinstance(model, SequenceClassifier | RecurrentModule | Linear):
        raise UnsupportedError(
            f"freeze: {type(model).__name__}, expected SequenceClassifier, LSTM, GRU, QLLSTM, GatedRNN or Linear"
        )
    network = fix_weights(model, mode, generator=generator).cpu().double()
    parts = _take_apart(network)
    for module in parts.recurrent:
        check_module(module)
    sequences = None if data is None else as_sequences(data)
    ranges = _find_ranges(parts, sequences)
    frozen = _freeze_parts(parts, sequences, state_bits, ranges)
    if sequences is None or not isinstance(network, SequenceClassifier):
        return frozen
    return frozen.with_metadata(calibration=_calibration(network, parts, frozen, sequences, ranges))


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


class _Parts(NamedTuple):
    """A network without randomness, taken apart."""

    recurrent: list[RecurrentModule]
    readout: Linear | None
    size: int  # number of features
    mean: NDArray[np.float64]  # of the standardization
    std: NDArray[np.float64]
    round_input: RoundInput | None = None  # of a training with rounded inputs


def _take_apart(network: nn.Module) -> _Parts:
    if isinstance(network, SequenceClassifier):
        mean, std = network.standardize.mean.numpy(), network.standardize.std.numpy()
        layers, rounding = list(network.layers), network.round_input
        return _Parts(layers, network.readout, len(mean), mean, std, rounding)  # type: ignore[arg-type]
    if isinstance(network, Linear):
        return _Parts([], network, network.in_features, np.zeros(1), np.ones(1))
    assert isinstance(network, RecurrentModule)
    return _Parts([network], None, network.input_size, np.zeros(1), np.ones(1))


def _find_ranges(parts: _Parts, sequences: Sequences | None) -> list[int]:
    """For every layer the k whose range ``2**k`` holds its hidden states: by their bound, or less where data say so."""
    bounds = [safe_range_bits(module, k) for module in parts.recurrent for k in range(module.num_layers)]
    if sequences is None or not any(bound is None or bound > 0 for bound in bounds):
        return [UNBOUNDED_RANGE_BITS if bound is None else bound for bound in bounds]
    widest = [_MEASURED_RANGE_BITS if bound is None else min(bound, _MEASURED_RANGE_BITS) for bound in bounds]
    frozen = _freeze_parts(parts, sequences, 16, widest)
    trace, at, found = frozen.trace(*sequences.padded()), 0, []
    for directions, range_bits in zip(frozen.layers, widest, strict=True):
        codes = max(int(np.abs(h.astype(np.int32)).max()) for h in trace.h[at : at + len(directions)])
        at += len(directions)
        found.append(next(k for k in range(range_bits + 1) if codes <= 1 << (15 - range_bits + k) or k == range_bits))
    return found


def _freeze_parts(parts: _Parts, sequences: Sequences | None, state_bits: int, ranges: AnySequence[int]) -> FrozenModel:
    step = _input_step(parts, sequences, state_bits)
    mean, gain = (np.broadcast_to(value, parts.size) for value in (parts.mean, 1 / (parts.std * step)))
    layers: list[tuple[FrozenLayer, ...]] = []
    for module in parts.recurrent:
        for index in range(module.num_layers):
            range_bits = min(ranges[len(layers)], highest_range_bits(state_bits))
            suffixes = module._suffixes(index)
            layers.append(tuple(freeze_layer(module, suffix, step, state_bits, range_bits) for suffix in suffixes))
            step = 2.0 ** (range_bits + 1 - state_bits)
    readout = None if parts.readout is None else _freeze_readout(parts.readout, step, state_bits)
    input_map = InputMap(mean.astype(np.float32), gain.astype(np.float32))
    return FrozenModel(state_bits, input_map, tuple(layers), readout)


def _input_step(parts: _Parts, sequences: Sequences | None, state_bits: int) -> float:
    """Size of one input code in standard deviations: the training's, or the one of least squared error on the data."""
    if parts.round_input is not None and parts.round_input.bits == state_bits:
        return float(parts.round_input.step)
    if sequences is None:
        return DEFAULT_INPUT_RANGE / code_limit(state_bits)
    return least_error_step(torch.from_numpy((sequences.features - parts.mean) / parts.std), state_bits)


def _freeze_readout(readout: Linear, step: float, state_bits: int) -> Readout:
    weight, unit = integer_matrix(readout.weight)
    scale = readout.scale()
    real = unit * step * (1.0 if scale is None else to_array(scale))
    bias = np.zeros(readout.out_features) if readout.bias is None else to_array(readout.bias)
    mult = np.ones(1)
    logit_scale = float(real.max())
    if len(real) > 1:
        reach = float(((real / real.max()) * weight.row_sums).max()) * code_limit(state_bits)
        reach += float(np.abs(bias).max()) / logit_scale + 1
        factor = 2.0 ** max(0, min(15, int(np.log2(INT32_MAX / (2 * reach)))))
        logit_scale /= factor
        mult = real / logit_scale
    return Readout(weight, to_int32(mult), to_int32(bias / logit_scale), logit_scale)


def _calibration(
    network: SequenceClassifier, parts: _Parts, frozen: FrozenModel, sequences: Sequences, ranges: AnySequence[int]
) -> dict[str, Any]:
    """How often the integer network agrees with the float one, and both accuracies, at 8 and 16 bits."""
    expected = predict_logits(network.float(), sequences).argmax(dim=-1).numpy()
    network.double()
    report: dict[str, Any] = {"n_sequences": len(sequences)}
    labels = sequences.labels
    if labels is not None:
        report["float_accuracy"] = float(np.mean(expected == labels))
    for bits in (8, 16):
        candidate = frozen if bits == frozen.state_bits else _freeze_parts(parts, sequences, bits, ranges)
        x, lengths = sequences.padded()
        predicted = candidate.predict(x, lengths)
        report[f"agreement_{bits}bit"] = float(np.mean(predicted == expected))
        if labels is not None:
            report[f"accuracy_{bits}bit"] = float(np.mean(predicted == labels))
    return report
