"""Plain interpreter of the integer arithmetic: the oracle for C, SIMD, WebAssembly and ONNX.

Written to be compared with docs/arithmetic.md line by line, not to be fast. The matrix products run in float64,
where every sum of these integers is exact (all stay below 2**53).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitgate.frozen import tables
from bitgate.frozen.bounds import code_limit
from bitgate.frozen.record import TANH_GATES, BlockSkip, FrozenLayer, InputMap, PackedMatrix, Readout

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Codes = NDArray[np.int16]

_SIGMOID = tables.sigmoid_table().astype(np.int64)


@dataclass(frozen=True)
class LayerState:
    """State of one layer: hidden codes ``h`` and cell codes ``c``, int16 ``(B, H)``; with a block skip two more."""

    h: Codes
    c: Codes
    anchor: Codes | None = None  # (B, H): h at the last block boundary
    position: Codes | None = None  # (B,): steps since then

    @staticmethod
    def zero(layer: FrozenLayer, batch: int) -> "LayerState":
        """What ``batch`` independent streams begin with."""
        zeros = np.zeros((batch, layer.hidden_size), dtype=np.int16)
        if layer.skip is None:
            return LayerState(zeros, zeros)
        return LayerState(zeros, zeros, zeros, np.zeros(batch, dtype=np.int16))

    def where(self, alive: NDArray[np.bool_], other: "LayerState") -> "LayerState":
        """This state of the streams that are alive ``(B,)``, the other one of the rest."""
        mask = alive[:, None]
        h, c = np.where(mask, self.h, other.h), np.where(mask, self.c, other.c)
        if self.anchor is None or self.position is None or other.anchor is None or other.position is None:
            return LayerState(h, c)
        anchor = np.where(mask, self.anchor, other.anchor)
        return LayerState(h, c, anchor, np.where(alive, self.position, other.position))


def round_shift(value: Int64, shift: int | Int64) -> Int64:
    """``value / 2**shift`` rounded to the nearest integer, halves up."""
    half = np.left_shift(np.int64(1), shift) >> 1
    return (value + half) >> shift


def saturate(value: Int64, limit: int) -> Codes:
    """Clips to ``[-limit, limit]`` and narrows to int16."""
    return np.clip(value, -limit, limit).astype(np.int16)


def quantize_input(input_map: InputMap, x: NDArray[np.floating], state_bits: int) -> Codes:
    """Raw features ``(..., I)`` to input codes; what overflows float32 is clipped, ``0 * inf`` gives 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        shifted = x.astype(np.float32) - input_map.mean
        scaled = shifted * input_map.gain + np.float32(0.5)
    limit = np.float32(code_limit(state_bits))
    clipped = np.clip(np.floor(scaled), -limit, limit)
    return np.where(np.isnan(clipped), np.float32(0), clipped).astype(np.int16)


def smooth(u: Int64) -> Int64:
    """``S(u)``: the tabulated sigmoid of ``u`` (Q15), in Q15."""
    magnitude = np.minimum(np.abs(u), tables.SIGMOID_RANGE * tables.ONE_Q15 - 1)
    index = magnitude >> tables.SIGMOID_FRACTION_BITS
    fraction = magnitude & ((1 << tables.SIGMOID_FRACTION_BITS) - 1)
    low = _SIGMOID[index]
    value = low + round_shift((_SIGMOID[index + 1] - low) * fraction, tables.SIGMOID_FRACTION_BITS)
    value = np.where(np.abs(u) >= tables.SIGMOID_RANGE * tables.ONE_Q15, tables.ONE_Q15, value)
    return np.where(u >= 0, value, tables.ONE_Q15 - value)


def activate(u: Int64, gate: str, levels: int) -> Int64:
    """Gate value (Q15) from its pre-activation; ``levels`` 0 is the smooth gate."""
    if levels == 0:
        value = smooth(u)
    else:
        thresholds = tables.gate_thresholds(levels)
        value = tables.gate_values(levels)[np.searchsorted(thresholds, u, side="right")].astype(np.int64)
    return 2 * value - tables.ONE_Q15 if gate in TANH_GATES else value


def accumulate(matrix: PackedMatrix, x: Codes) -> Int64:
    """Integer sums ``x @ W.T`` of ``x (..., columns)``."""
    return (x.astype(np.float64) @ matrix.transposed).astype(np.int64)


def _gate_sums(layer: FrozenLayer, matrix: PackedMatrix, x: Codes) -> Int64:
    """Sums of ``x (..., columns)`` by row of the gates; shared projections are summed once."""
    sums = accumulate(matrix, x)
    return sums[..., layer.weight_rows] if layer.is_shared else sums


def project_input(layer: FrozenLayer, x: Codes) -> Int64:
    """``M_ih * acc_x`` for inputs ``(..., I)``, ``(..., gates * H)``: the pre-activation without recurrence."""
    return layer.by_row(layer.mult_ih).astype(np.int64) * _gate_sums(layer, layer.w_ih, x)


def layer_step(layer: FrozenLayer, projected: Int64, state: LayerState, state_bits: int) -> LayerState:
    """One step of one layer from its projected input ``(B, gates * H)``."""
    size = layer.hidden_size
    recurrent = layer.by_row(layer.mult_hh).astype(np.int64) * _gate_sums(layer, layer.w_hh, state.h)
    shift = np.repeat(layer.shift, size).astype(np.int64)
    bias = layer.bias.astype(np.int64)
    new = _STEPS[layer.cell](layer, projected, recurrent, shift, bias, state, state_bits - layer.range_bits)
    return new if layer.skip is None else _add_skip(layer.skip, new, state, state_bits)


def _add_skip(skip: BlockSkip, new: LayerState, old: LayerState, bits: int) -> LayerState:
    """Adds ``alpha`` times the anchor to ``h`` of the streams that reach a block boundary."""
    assert old.anchor is not None  # the state of a layer with a skip has both
    assert old.position is not None
    position = old.position + 1
    at_end = position == skip.block_size
    kept = round_shift(skip.alpha.astype(np.int64) * old.anchor, 15)
    h = np.where(at_end[:, None], saturate(new.h + kept, code_limit(bits)), new.h)
    anchor = np.where(at_end[:, None], h, old.anchor)
    return LayerState(h, new.c, anchor, np.where(at_end, 0, position).astype(np.int16))


def _gate_values(layer: FrozenLayer, u: Int64) -> dict[str, Int64]:
    parts = np.split(u, len(layer.gates), axis=-1)
    items = zip(layer.gates, parts, layer.gate_levels, strict=True)
    return {gate: activate(part, gate, levels) for gate, part, levels in items}


def _lstm_step(
    layer: FrozenLayer,
    projected: Int64,
    recurrent: Int64,
    shift: Int64,
    bias: Int64,
    state: LayerState,
    bits: int,
) -> LayerState:
    gate = _gate_values(layer, round_shift(projected + recurrent, shift) + bias)
    c = state.c.astype(np.int64)
    if layer.cell == "coupled_lstm":
        c = round_shift((tables.ONE_Q15 - gate["i"]) * c + gate["i"] * gate["g"], 15)
    else:
        c = round_shift(gate["f"] * c + ((gate["i"] * gate["g"]) >> 4), 15)
    c_codes = saturate(c, tables.INT16_LIMIT)
    doubled = c_codes.astype(np.int64) << (16 - tables.CELL_FRACTION_BITS[layer.cell])
    h = round_shift(gate["o"] * (2 * smooth(doubled) - tables.ONE_Q15), 31 - bits)
    return LayerState(saturate(h, code_limit(bits)), c_codes)


def _gru_step(
    layer: FrozenLayer,
    projected: Int64,
    recurrent: Int64,
    shift: Int64,
    bias: Int64,
    state: LayerState,
    bits: int,
) -> LayerState:
    assert layer.bias_hn is not None  # FrozenLayer guarantees it for a GRU
    size = layer.hidden_size
    u = round_shift(projected + recurrent, shift) + bias
    r = activate(u[..., :size], "r", layer.gate_levels[0])
    z = activate(u[..., size : 2 * size], "z", layer.gate_levels[1])
    p_x = round_shift(projected[..., 2 * size :], shift[2 * size :]) + bias[2 * size :]
    p_h = round_shift(recurrent[..., 2 * size :], shift[2 * size :]) + layer.bias_hn
    n = activate(p_x + round_shift(r * p_h, 15), "n", layer.gate_levels[2])
    return _interpolate(z, n, state, bits)


def _gated_rnn_step(
    layer: FrozenLayer,
    projected: Int64,
    recurrent: Int64,
    shift: Int64,
    bias: Int64,
    state: LayerState,
    bits: int,
) -> LayerState:
    gate = _gate_values(layer, round_shift(projected + recurrent, shift) + bias)
    return _interpolate(gate["z"], gate["n"], state, bits)


def _interpolate(z: Int64, n: Int64, state: LayerState, bits: int) -> LayerState:
    """The state between the old one and the candidate ``n``; ``c`` holds it in Q15."""
    c = round_shift(z * state.c.astype(np.int64) + (tables.ONE_Q15 - z) * n, 15)
    c_codes = saturate(c, tables.INT16_LIMIT)
    h = round_shift(c_codes.astype(np.int64), 16 - bits)
    return LayerState(saturate(h, code_limit(bits)), c_codes)


_STEPS = {"lstm": _lstm_step, "coupled_lstm": _lstm_step, "gru": _gru_step, "gated_rnn": _gated_rnn_step}


def readout_logits(readout: Readout, h: Codes) -> Int32:
    """Integer logits ``(..., classes)`` of hidden codes ``(..., H)``."""
    logits = readout.mult.astype(np.int64) * accumulate(readout.weight, h) + readout.bias
    return logits.astype(np.int32)
