"""docs/arithmetic.md in plain Python integers, one scalar at a time: written from the document, shares no code.

Slow on purpose. Only the records (codes, multipliers, ...) come from the model; tables are made here again.
"""

import math
import struct
from fractions import Fraction
from typing import Any


def f32(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


def half_away(value: float) -> int:
    return int(value + 0.5) if value >= 0 else -int(-value + 0.5)


T = [half_away(32768 / (1 + math.exp(-k / 16))) for k in range(193)]


def round_shift(v: int, s: int) -> int:
    return (v + (1 << (s - 1))) >> s


def clip(v: int, limit: int) -> int:
    return min(max(v, -limit), limit)


def checked(v: int, bits: int = 32) -> int:
    assert -(1 << (bits - 1)) <= v < 1 << (bits - 1), f"{v} left int{bits}"
    return v


def sigmoid(u: int) -> int:
    a = abs(u)
    if a >= 12 * 32768:
        s = 32768
    else:
        k = a >> 11
        s = T[k] + (((T[k + 1] - T[k]) * (a & 2047) + 1024) >> 11)
    return s if u >= 0 else 32768 - s


def gate(u: int, levels: int, tanh: bool) -> int:
    if levels == 0:
        value = sigmoid(u)
    else:
        k = 0
        for j in range(1, levels):
            p = Fraction(2 * j - 1, 2 * (levels - 1))
            k += u >= half_away(32768 * math.log(p / (1 - p)))
        value = half_away(32768 * k / (levels - 1))
    return 2 * value - 32768 if tanh else value


def quantize(x: float, mean: float, gain: float, bits: int) -> int:
    q = f32(f32(f32(x) - mean) * gain)
    return clip(math.floor(f32(q + 0.5)), (1 << (bits - 1)) - 1)


def weights(matrix: Any) -> list[list[int]]:
    levels = matrix.levels.tolist()
    rows = []
    for row in matrix.packed.tolist():
        stream = sum(byte << (8 * k) for k, byte in enumerate(row))
        rows.append([levels[(stream >> (j * matrix.bits)) & ((1 << matrix.bits) - 1)] for j in range(matrix.columns)])
    return rows


class ScalarLayer:
    """One layer in one direction over one stream."""

    def __init__(self, layer: Any, bits: int) -> None:
        self.layer, self.n = layer, bits
        self.w_ih, self.w_hh = weights(layer.w_ih), weights(layer.w_hh)
        self.h = [0] * layer.hidden_size
        self.c = [0] * layer.hidden_size
        self.anchor, self.position = [0] * layer.hidden_size, 0

    def parts(self, g: int, j: int, x: list[int]) -> tuple[int, int, int, int]:
        layer, size = self.layer, self.layer.hidden_size
        row = g * size + j
        p = (g if layer.sharing is None else layer.sharing[g]) * size + j
        k = row if len(layer.mult_ih) > len(self.layer.gate_levels) else g
        acc_x = checked(sum(w * v for w, v in zip(self.w_ih[p], x, strict=True)))
        acc_h = checked(sum(w * v for w, v in zip(self.w_hh[p], self.h, strict=True)))
        bits = layer.product_bits
        m_x = checked(int(layer.mult_ih[k]) * acc_x, bits)
        m_h = checked(int(layer.mult_hh[k]) * acc_h, bits)
        checked(m_x + m_h + (1 << (int(layer.shift[g]) - 1)), bits)
        return m_x, m_h, int(layer.shift[g]), int(layer.bias[row])

    def value(self, g: int, j: int, x: list[int], tanh: bool = False) -> int:
        m_x, m_h, shift, bias = self.parts(g, j, x)
        return gate(checked(round_shift(m_x + m_h, shift) + bias), self.layer.gate_levels[g], tanh)

    def step(self, x: list[int]) -> None:
        cells = {"lstm": self.lstm, "coupled_lstm": self.coupled, "gru": self.gru, "gated_rnn": self.gated_rnn}
        pairs = [cells[self.layer.cell](j, x) for j in range(self.layer.hidden_size)]
        self.h, self.c = [h for h, _ in pairs], [c for _, c in pairs]
        if self.layer.skip is not None:
            self.add_skip()

    def add_skip(self) -> None:
        skip, h_max = self.layer.skip, (1 << (self.n - 1)) - 1
        self.position += 1
        if self.position < skip.block_size:
            return
        alpha = skip.alpha.tolist() * (1 if len(skip.alpha) == len(self.h) else len(self.h))
        kept = [round_shift(checked(a * v), 15) for a, v in zip(alpha, self.anchor, strict=True)]
        self.h = [clip(checked(y + v), h_max) for y, v in zip(self.h, kept, strict=True)]
        self.anchor, self.position = self.h, 0

    def hidden(self, o: int, doubled: int) -> int:
        n = self.n - (0 if self.layer.skip is None else self.layer.skip.range_bits)
        return clip(round_shift(checked(o * (2 * sigmoid(doubled) - 32768)), 31 - n), (1 << (n - 1)) - 1)

    def lstm(self, j: int, x: list[int]) -> tuple[int, int]:
        i, f, g, o = (self.value(k, j, x, tanh=k == 2) for k in range(4))
        c = clip(checked(f * self.c[j] + ((i * g) >> 4) + 16384) >> 15, 32767)
        return self.hidden(o, c << 5), c

    def coupled(self, j: int, x: list[int]) -> tuple[int, int]:
        i, g, o = (self.value(k, j, x, tanh=k == 1) for k in range(3))
        c = clip(round_shift(checked((32768 - i) * self.c[j] + i * g), 15), 32767)
        return self.hidden(o, c << 1), c

    def gru(self, j: int, x: list[int]) -> tuple[int, int]:
        r, z = self.value(0, j, x), self.value(1, j, x)
        m_x, m_h, shift, bias = self.parts(2, j, x)
        p_x = checked(round_shift(m_x, shift) + bias)
        p_h = checked(round_shift(m_h, shift) + int(self.layer.bias_hn[j]))
        n = gate(checked(p_x + round_shift(r * p_h, 15)), self.layer.gate_levels[2], True)
        return self.between(j, z, n)

    def gated_rnn(self, j: int, x: list[int]) -> tuple[int, int]:
        return self.between(j, self.value(0, j, x), self.value(1, j, x, tanh=True))

    def between(self, j: int, z: int, n: int) -> tuple[int, int]:
        c = clip(round_shift(checked(z * self.c[j] + (32768 - z) * n), 15), 32767)
        h = c if self.n == 16 else round_shift(c, 16 - self.n)
        return clip(h, (1 << (self.n - 1)) - 1), c


def run(model: Any, features: list[list[float]]) -> tuple[list[list[tuple[list[int], list[int]]]], list[int] | None]:
    """For every layer and direction (h, c) of every step, and the logits, of one sequence (T, I)."""
    maps = list(zip(model.input_map.mean.tolist(), model.input_map.gain.tolist(), strict=True))
    x = [[quantize(v, m, g, model.state_bits) for v, (m, g) in zip(row, maps, strict=True)] for row in features]
    states, last = [], x[-1]
    for directions in model.layers:
        outputs, last = [], []
        for layer in directions:
            cell, trace = ScalarLayer(layer, model.state_bits), []
            for row in reversed(x) if layer.reverse else x:
                cell.step(row)
                trace.append((cell.h, cell.c))
            last = last + cell.h
            outputs.append(trace[::-1] if layer.reverse else trace)
        states += outputs
        x = [[value for trace in outputs for value in trace[t][0]] for t in range(len(x))]
    if model.readout is None:
        return states, None
    mult = model.readout.mult.tolist() * (model.output_size if len(model.readout.mult) == 1 else 1)
    sums = [sum(w * v for w, v in zip(row, last, strict=True)) for row in weights(model.readout.weight)]
    return states, [checked(m * a + b) for m, a, b in zip(mult, sums, model.readout.bias.tolist(), strict=True)]
