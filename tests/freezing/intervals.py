"""Proven bounds of a frozen model's output, by interval arithmetic over the float network.

Every quantity is an interval that holds both the float network's value and the integer program's. It starts as a
point and is widened by exactly the roundings of docs/arithmetic.md: the input code (half a step), the multiplier (half
a unit times the accumulator), the shift (half of Q15), the bias (half of Q15, or of Q12), the sigmoid table and its
interpolation, the cell and the hidden code. A staircase gate turns into the values of both ends, so a pre-activation
near a threshold widens the interval by a whole step instead of breaking the bound. All but the table shrink with
``state_bits``; so do the intervals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitgate.frozen import FrozenLayer, FrozenModel
from bitgate.frozen.bounds import code_limit
from bitgate.frozen.record import BIAS_UNIT
from bitgate.gates import level_thresholds

Q15 = 2.0**-15
TABLE = (1 / 16) ** 2 / 8 * 0.0963 + 2 * Q15
"""Of the sigmoid: interpolation ``step**2 / 8 max|S''|``, half a unit of the table and one of the interpolation."""
TAIL = 7e-6
"""Beyond 12 the program says 1 where the sigmoid is still below by this much."""


@dataclass(frozen=True)
class Interval:
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def wider(self, radius: float | NDArray[np.float64]) -> "Interval":
        return Interval(self.low - radius, self.high + radius)

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.high + other.high)

    def __mul__(self, other: "Interval") -> "Interval":
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))

    def saturated(self, limit: float) -> "Interval":
        """Holds the value (the float network's) and the value clipped (the program's)."""
        return Interval(np.minimum(self.low, limit), np.maximum(self.high, -limit))

    @property
    def magnitude(self) -> NDArray[np.float64]:
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def width(self) -> NDArray[np.float64]:
        return self.high - self.low

    def holds(self, value: NDArray[np.float64]) -> bool:
        return bool(((self.low <= value) & (value <= self.high)).all())


def product(weights: NDArray[np.float64], x: Interval) -> Interval:
    """``x @ weights.T`` for exact weights."""
    positive, negative = np.maximum(weights, 0).T, np.minimum(weights, 0).T
    return Interval(x.low @ positive + x.high @ negative, x.high @ positive + x.low @ negative)


def convex(share: Interval, a: Interval, b: Interval) -> Interval:
    """``(1 - share) a + share b`` for a share in [0, 1]: extreme at the ends of each."""
    lows = [(1 - s) * a.low + s * b.low for s in (share.low, share.high)]
    highs = [(1 - s) * a.high + s * b.high for s in (share.low, share.high)]
    return Interval(np.minimum(*lows), np.maximum(*highs))


def sigmoid(u: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (1 + np.tanh(u / 2))


def gate(u: Interval, levels: int) -> Interval:
    if levels == 0:
        smooth = Interval(sigmoid(u.low), sigmoid(u.high)).wider(TABLE + TAIL)
        return Interval(np.maximum(smooth.low, 0), np.minimum(smooth.high, 1))
    edges = np.array(level_thresholds(levels))
    low, high = (np.searchsorted(edges, end, side="right") / (levels - 1) for end in (u.low, u.high))
    # Values of more than two or three levels are rounded to Q15, thresholds too.
    return Interval(low, high).wider(0.0 if levels in (2, 3) else Q15)


def tanh_gate(doubled: Interval, levels: int) -> Interval:
    """The candidate from twice its pre-activation."""
    value = gate(doubled, levels)
    return Interval(2 * value.low - 1, 2 * value.high - 1)


@dataclass(frozen=True)
class FloatLayer:
    """A layer and direction as plain arrays: weights times scales, biases as the cell adds them, tanh rows doubled."""

    w_ih: NDArray[np.float64]
    w_hh: NDArray[np.float64]
    bias: NDArray[np.float64]
    bias_hn: NDArray[np.float64] | None
    alpha: NDArray[np.float64] | None = None  # of a block skip, () or (H,)


def run_layer(layer: FrozenLayer, real: FloatLayer, x: Interval, step: float, bits: int) -> Interval:
    """Hidden states ``(B, T, H)`` from inputs ``(B, T, I)``; ``step`` is the real value of an input code."""
    size, limit = layer.hidden_size, code_limit(bits)
    k = 0 if layer.skip is None else layer.skip.range_bits
    unit = 2.0 ** (k + 1 - bits)
    shift = np.repeat(2.0 ** -layer.shift.astype(float), size)
    rows = len(shift)
    mult = [np.repeat(m, rows // len(m)) * shift * Q15 for m in (layer.mult_ih, layer.mult_hh)]
    sharing = range(rows // size) if layer.sharing is None else layer.sharing
    at = np.concatenate([np.arange(p * size, (p + 1) * size) for p in sharing])
    values = [m.values.astype(float)[at] for m in (layer.w_ih, layer.w_hh)]
    # The program's own real weights: they differ from the float network's by the rounding of multipliers (and of
    # continuous weights to 8 bits). Codes are reals divided by their unit.
    rounded = [m[:, None] * v / u for m, v, u in zip(mult, values, (step, unit), strict=True)]
    slack = [np.abs(r - w) for r, w in zip(rounded, (real.w_ih, real.w_hh), strict=True)]
    steps = range(x.low.shape[1])
    h = c = anchor = Interval(*(np.zeros((len(x.low), size)) for _ in range(2)))
    outputs: dict[int, Interval] = {}
    for number, t in enumerate(reversed(steps) if layer.reverse else steps, 1):
        x_t = Interval(x.low[:, t], x.high[:, t])
        p_x = product(real.w_ih, x_t).wider(x_t.magnitude @ slack[0].T)
        p_h = product(real.w_hh, h).wider(h.magnitude @ slack[1].T)
        h, c = cell(layer, real, p_x, p_h, c)
        h = h.wider(0.5 * unit).saturated(1 - unit)
        if layer.skip is not None and number % layer.skip.block_size == 0:
            # Rounded: alpha to Q15, and its product with the anchor to a code.
            kept = Interval(real.alpha, real.alpha).wider(0.5 * Q15) * anchor
            h = anchor = (h + kept.wider(0.5 * unit)).saturated(limit * unit)
        outputs[t] = h
    return Interval(*(np.stack([getattr(outputs[t], end) for t in steps], axis=1) for end in ("low", "high")))


def bias_unit(layer: FrozenLayer) -> float:
    """What biases are rounded to: Q12 where freezing could, and where they tell."""
    return BIAS_UNIT * Q15 if layer.has_short_biases and layer.bias.any() else Q15


def cell(layer: FrozenLayer, real: FloatLayer, p_x: Interval, p_h: Interval, c: Interval) -> tuple[Interval, Interval]:
    """Hidden state before it is rounded to a code, and cell state."""
    bias = Interval(real.bias, real.bias)
    size = layer.hidden_size
    levels = dict(zip(layer.gates, layer.gate_levels, strict=True))
    rounding = 0.5 * Q15 + 0.5 * bias_unit(layer)  # of the shift and of the bias
    u = (p_x + p_h + bias).wider(rounding)
    parts = {
        name: Interval(u.low[:, k * size : (k + 1) * size], u.high[:, k * size : (k + 1) * size])
        for k, name in enumerate(layer.gates)
    }
    if layer.cell == "gru":
        r, z = (gate(parts[name], levels[name]) for name in "rz")
        hidden = slice(2 * size, 3 * size)
        b_x, b_h = real.bias[hidden], real.bias_hn
        n_x = (Interval(p_x.low[:, hidden], p_x.high[:, hidden]) + Interval(b_x, b_x)).wider(rounding)
        n_h = (Interval(p_h.low[:, hidden], p_h.high[:, hidden]) + Interval(b_h, b_h)).wider(rounding)
        n = tanh_gate((n_x + r * n_h).wider(0.5 * Q15), levels["n"])
        c = convex(z, n, c).wider(0.5 * Q15).saturated(1 - Q15)
        return c, c
    if layer.cell == "gated_rnn":
        c = convex(gate(parts["z"], levels["z"]), tanh_gate(parts["n"], levels["n"]), c)
        c = c.wider(0.5 * Q15).saturated(1 - Q15)
        return c, c
    i, o = (gate(parts[name], levels[name]) for name in "io")
    g = tanh_gate(parts["g"], levels["g"])
    if layer.cell == "coupled_lstm":
        c = convex(i, c, g).wider(0.5 * Q15).saturated(1 - Q15)
    else:
        c = (gate(parts["f"], levels["f"]) * c + i * g).wider(2.0**-12 + 2.0**-15).saturated(32767 * 2.0**-11)
    squashed = tanh_gate(Interval(2 * c.low, 2 * c.high), 0)
    return o * squashed, c


def run(model: FrozenModel, layers: list[list[FloatLayer]], x: Interval, step: float) -> Interval:
    """Output of the last layer ``(B, T, directions * H)`` for standardized inputs."""
    data = x
    for frozen, real in zip(model.layers, layers, strict=True):
        outputs = [run_layer(f, r, data, step, model.state_bits) for f, r in zip(frozen, real, strict=True)]
        data = Interval(*(np.concatenate([getattr(o, end) for o in outputs], axis=-1) for end in ("low", "high")))
        k = 0 if frozen[0].skip is None else frozen[0].skip.range_bits
        step = 2.0 ** (k + 1 - model.state_bits)
    return data
