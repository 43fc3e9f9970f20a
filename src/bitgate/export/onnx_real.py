"""A frozen model in real numbers: its weights times their scales, and what they compute without rounding.

The oracle of the float form. Inputs and hidden states are parts of their range, from -1 to 1; the range of hidden
states is 1, with a skip ``2**range_bits``.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel, InputMap, Readout
from bitgate.frozen.bounds import code_limit
from bitgate.frozen.record import TANH_GATES, PackedMatrix
from bitgate.frozen.tables import ONE_Q15

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RealLayer:
    """Weights and biases of one layer and direction by row of the gates, without the layer's factor 2 for tanh."""

    w_ih: Float32  # (gates * H, I)
    w_hh: Float32  # (gates * H, H)
    bias: Float32  # (gates * H,)
    bias_hn: Float32 | None  # (H,): GRU only


@dataclass(frozen=True, eq=False)
class RealTrace:
    """A run in float64."""

    h: tuple[Float64, ...]  # by layer and direction, each (B, T, H)
    logits: Float64 | None  # (B, classes)
    margin: Float64  # (B,): the smallest distance of a pre-activation to a threshold of its gate


def real_layer(layer: FrozenLayer, state_bits: int) -> RealLayer:
    """The layer in real numbers, rounded to float32."""
    size = layer.hidden_size
    halving = np.repeat([0.5 if gate in TANH_GATES else 1.0 for gate in layer.gates], size)
    unit = halving * 2.0 ** (state_bits - 1 - np.repeat(layer.shift, size).astype(np.float64)) / ONE_Q15

    def matrix(packed: PackedMatrix, mult: NDArray[np.int32]) -> Float32:
        return ((unit * layer.by_row(mult))[:, None] * packed.values[layer.weight_rows]).astype(np.float32)

    return RealLayer(
        w_ih=matrix(layer.w_ih, layer.mult_ih),
        w_hh=matrix(layer.w_hh, layer.mult_hh),
        bias=(halving * layer.bias / ONE_Q15).astype(np.float32),
        bias_hn=None if layer.bias_hn is None else (halving[-size:] * layer.bias_hn / ONE_Q15).astype(np.float32),
    )


def real_readout(readout: Readout, state_bits: int) -> tuple[Float32, Float32]:
    """Weights ``(classes, H)`` and biases ``(classes,)`` of the real logits."""
    scale = readout.scale * 2.0 ** (state_bits - 1) * readout.mult.astype(np.float64)
    weights = np.broadcast_to(scale, readout.weight.rows)[:, None] * readout.weight.values
    return weights.astype(np.float32), (readout.scale * readout.bias.astype(np.float64)).astype(np.float32)


def real_gain(input_map: InputMap, state_bits: int) -> tuple[Float32, np.float32]:
    """Factor ``(I,)`` after the mean is subtracted, and the limit of the product."""
    unit = np.float32(2.0 ** (1 - state_bits))
    return input_map.gain * unit, np.float32(code_limit(state_bits)) * unit


def state_limit(state_bits: int) -> np.float32:
    """The largest part of its range that a code can hold."""
    return np.float32(code_limit(state_bits) * 2.0 ** (1 - state_bits))


def real_alpha(skip: BlockSkip) -> Float32:
    """Alpha of a block skip, ``(1,)`` or ``(H,)``."""
    return (skip.alpha / ONE_Q15).astype(np.float32)


def real_thresholds(levels: int, gate: str) -> Float32:
    """Thresholds on the pre-activation between the values of a discretized gate, ascending (bitgate.gates)."""
    middles = [(k - 0.5) / (levels - 1) for k in range(1, levels)]
    factor = 0.5 if gate in TANH_GATES else 1.0
    return np.array([factor * math.log(p / (1 - p)) for p in middles], dtype=np.float32)


def run_real(frozen: FrozenModel, x: Float32, lengths: NDArray[np.int64]) -> RealTrace:
    """Runs sequences ``(B, T, I)`` of raw features; ``h`` is zero behind an end."""
    gain, limit = real_gain(frozen.input_map, frozen.state_bits)
    data = np.clip((x.astype(np.float64) - frozen.input_map.mean) * gain, -limit, limit)
    rows, margin = np.arange(len(x)), np.full(len(x), np.inf)
    hs: list[Float64] = []
    ends = data[rows, lengths - 1]
    for directions in frozen.layers:
        outputs = []
        for layer in directions:
            h, distance = _run_layer(layer, real_layer(layer, frozen.state_bits), data, lengths, frozen.state_bits)
            margin = np.minimum(margin, distance)
            outputs.append(h)
        ends = np.concatenate(
            [h[rows, 0 if f.reverse else lengths - 1] for f, h in zip(directions, outputs, strict=True)], -1
        )
        hs += outputs
        data = np.concatenate(outputs, axis=-1)
    logits = None
    if frozen.readout is not None:
        weights, bias = real_readout(frozen.readout, frozen.state_bits)
        logits = ends @ weights.T.astype(np.float64) + bias
    return RealTrace(tuple(hs), logits, margin)


def _run_layer(
    layer: FrozenLayer, real: RealLayer, x: Float64, lengths: NDArray[np.int64], state_bits: int
) -> tuple[Float64, Float64]:
    """Hidden states ``(B, T, H)``, and the margin ``(B,)``."""
    batch, steps, _ = x.shape
    h = c = anchor = np.zeros((batch, layer.hidden_size))
    position = np.zeros((batch, 1))
    limit = state_limit(state_bits)
    found = np.zeros((batch, steps, layer.hidden_size))
    margin = np.full(batch, np.inf)
    step = _STEPS[layer.cell]
    for t in reversed(range(steps)) if layer.reverse else range(steps):
        new_h, new_c, distance = step(layer, real, x[:, t], h, c)
        alive = t < lengths
        if layer.skip is not None:
            position = np.where(alive[:, None], position % layer.skip.block_size + 1, position)
            at_end = position == layer.skip.block_size
            new_h = new_h * 2.0**-layer.skip.range_bits
            new_h = np.where(at_end, np.clip(new_h + real_alpha(layer.skip) * anchor, -limit, limit), new_h)
            anchor = np.where(at_end & alive[:, None], new_h, anchor)
        h, c = np.where(alive[:, None], new_h, h), np.where(alive[:, None], new_c, c)
        margin = np.where(alive, np.minimum(margin, distance), margin)
        found[:, t] = np.where(alive[:, None], h, 0)
    return found, margin


def _activate(preact: Float64, gate: str, levels: int) -> tuple[Float64, Float64]:
    """Value of a gate ``(B, H)`` and its distance ``(B,)`` from the nearest threshold."""
    if levels == 0:
        value = np.tanh(preact) if gate in TANH_GATES else (1 + np.tanh(preact / 2)) / 2
        return value, np.full(len(preact), np.inf)
    thresholds = real_thresholds(levels, gate)
    value = np.searchsorted(thresholds, preact, side="right") / (levels - 1)
    distance = np.abs(preact[..., None] - thresholds).min(axis=(1, 2))
    return (2 * value - 1 if gate in TANH_GATES else value), distance


def _lstm_step(
    layer: FrozenLayer, real: RealLayer, x: Float64, h: Float64, c: Float64
) -> tuple[Float64, Float64, Float64]:
    preacts = np.split(x @ real.w_ih.T + h @ real.w_hh.T + real.bias, len(layer.gates), axis=-1)
    items = zip(preacts, layer.gates, layer.gate_levels, strict=True)
    value, distance = {}, np.full(len(x), np.inf)
    for preact, gate, levels in items:
        value[gate], near = _activate(preact, gate, levels)
        distance = np.minimum(distance, near)
    kept = 1 - value["i"] if layer.cell == "coupled_lstm" else value["f"]
    c = kept * c + value["i"] * value["g"]
    return value["o"] * np.tanh(c), c, distance


def _gru_step(
    layer: FrozenLayer, real: RealLayer, x: Float64, h: Float64, c: Float64
) -> tuple[Float64, Float64, Float64]:
    assert real.bias_hn is not None  # FrozenLayer guarantees it for a GRU
    x_r, x_z, x_n = np.split(x @ real.w_ih.T + real.bias, 3, axis=-1)
    h_r, h_z, h_n = np.split(h @ real.w_hh.T, 3, axis=-1)
    r, near_r = _activate(x_r + h_r, "r", layer.gate_levels[0])
    z, near_z = _activate(x_z + h_z, "z", layer.gate_levels[1])
    n, near_n = _activate(x_n + r * (h_n + real.bias_hn), "n", layer.gate_levels[2])
    h = z * h + (1 - z) * n
    return h, c, np.minimum(np.minimum(near_r, near_z), near_n)


def _gated_rnn_step(
    layer: FrozenLayer, real: RealLayer, x: Float64, h: Float64, c: Float64
) -> tuple[Float64, Float64, Float64]:
    u_z, u_n = np.split(x @ real.w_ih.T + h @ real.w_hh.T + real.bias, 2, axis=-1)
    z, near_z = _activate(u_z, "z", layer.gate_levels[0])
    n, near_n = _activate(u_n, "n", layer.gate_levels[1])
    return z * h + (1 - z) * n, c, np.minimum(near_z, near_n)


_STEPS = {"lstm": _lstm_step, "coupled_lstm": _lstm_step, "gru": _gru_step, "gated_rnn": _gated_rnn_step}
