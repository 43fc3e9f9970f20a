"""The loop over time once more: NumPy, one sequence, one step, one gate at a time. Knows nothing of bitgate."""

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def gate(a: Array, levels: int) -> Array:
    """Sigmoid, rounded to ``levels`` values, halves up."""
    value = sigmoid(a)
    return value if not levels else np.floor(value * (levels - 1) + 0.5) / (levels - 1)


def candidate(a: Array, levels: int) -> Array:
    """Tanh, rounded to ``levels`` values between -1 and 1, halves up."""
    value = np.tanh(a)
    return value if not levels else 2 * np.floor((value + 1) / 2 * (levels - 1) + 0.5) / (levels - 1) - 1


def blocks(rows: Array, n: int) -> list[Array]:
    return [rows[k * len(rows) // n : (k + 1) * len(rows) // n] for k in range(n)]


def spread(var: Array, noise: Array) -> Array:
    return np.sqrt(np.maximum(var, 1e-12)) * noise


def one_step(
    cell: str, levels: dict[str, int], x: Array, h: Array, c: Array, p: dict[str, Array], noise: Array | None
) -> tuple[Array, Array]:
    from_x, from_h = p["w_ih"] @ x + p["b_ih"], p["w_hh"] @ h + p["b_hh"]
    if noise is not None:
        var_x, var_h, n = p["v_ih"] @ x**2, p["v_hh"] @ h**2, len(p["b_ih"])
        if cell == "gru":
            both = len(h) * 2
            from_x += np.concatenate([spread(var_x + var_h, noise[:n])[:both], spread(var_x, noise[:n])[both:]])
            from_h[both:] += spread(var_h[both:], noise[n:])
        else:
            from_x += spread(var_x + var_h, noise[:n])
    if cell == "gru":
        (xr, xz, xn), (hr, hz, hn) = blocks(from_x, 3), blocks(from_h, 3)
        r, z = gate(xr + hr, levels["r"]), gate(xz + hz, levels["z"])
        n = candidate(xn + r * hn, levels["n"])
        return n - z * n + z * h, c
    if cell == "coupled_lstm":
        i, g, o = blocks(from_x + from_h, 3)
        opened = gate(i, levels["i"])
        c = c - opened * c + opened * candidate(g, levels["g"])
    else:
        i, f, g, o = blocks(from_x + from_h, 4)
        c = gate(f, levels["f"]) * c + gate(i, levels["i"]) * candidate(g, levels["g"])
    h = gate(o, levels["o"]) * np.tanh(c)
    if "w_hr" not in p:
        return h, c
    projected = p["w_hr"] @ h
    return projected + (0 if noise is None else spread(p["v_hr"] @ h**2, noise[len(p["b_ih"]) :])), c


def run(
    cell: str,
    levels: dict[str, int],
    x: Array,
    h: Array,
    c: Array,
    p: dict[str, Array],
    lengths: list[int],
    reverse: bool,
    noise: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Output ``(T, B, H)`` and last states ``(B, H)``."""
    output = np.zeros((x.shape[0], x.shape[1], h.shape[1]))
    h, c = h.copy(), c.copy()
    for b, length in enumerate(lengths):
        for t in range(length):
            at = length - 1 - t if reverse else t
            h[b], c[b] = one_step(cell, levels, x[at, b], h[b], c[b], p, None if noise is None else noise[t, b])
            output[at, b] = h[b]
    assert math.isfinite(output.sum())
    return output, h, c
