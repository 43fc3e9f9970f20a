"""Plain interpreter of the integer arithmetic: the oracle for C, SIMD, WebAssembly and ONNX.

Written to be compared with docs/arithmetic.md line by line, not to be fast. The matrix products run in float64,
where every sum of these integers is exact (all stay below 2**53).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitgate.frozen import tables
from bitgate.frozen.bounds import code_limit
from bitgate.frozen.record import TANH_GATES, FrozenLayer, InputMap, PackedMatrix, Readout

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Codes = NDArray[np.int16]

_SIGMOID = tables.sigmoid_table().astype(np.int64)


@dataclass(frozen=True)
class LayerState:
    """State of one layer: hidden codes ``h`` and cell codes ``c``, int16 ``(B, H)``."""

    h: Codes
    c: Codes


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


def project_input(layer: FrozenLayer, x: Codes) -> Int64:
    """``M_ih * acc_x`` for inputs ``(..., I)``: the part of the pre-activation without recurrence."""
    mult = np.repeat(layer.mult_ih, layer.w_ih.rows // len(layer.mult_ih)).astype(np.int64)
    return mult * accumulate(layer.w_ih, x)


def layer_step(layer: FrozenLayer, projected: Int64, state: LayerState, state_bits: int) -> LayerState:
    """One step of one layer from its projected input ``(B, gates * H)``."""
    size = layer.hidden_size
    mult = np.repeat(layer.mult_hh, layer.w_hh.rows // len(layer.mult_hh)).astype(np.int64)
    recurrent = mult * accumulate(layer.w_hh, state.h)
    shift = np.repeat(layer.shift, size).astype(np.int64)
    bias = layer.bias.astype(np.int64)
    step = _gru_step if layer.cell == "gru" else _lstm_step
    return step(layer, projected, recurrent, shift, bias, state, state_bits)


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
    c = round_shift(z * state.c.astype(np.int64) + (tables.ONE_Q15 - z) * n, 15)
    c_codes = saturate(c, tables.INT16_LIMIT)
    h = round_shift(c_codes.astype(np.int64), 16 - bits)
    return LayerState(saturate(h, code_limit(bits)), c_codes)


def readout_logits(readout: Readout, h: Codes) -> Int32:
    """Integer logits ``(..., classes)`` of hidden codes ``(..., H)``."""
    logits = readout.mult.astype(np.int64) * accumulate(readout.weight, h) + readout.bias
    return logits.astype(np.int32)
