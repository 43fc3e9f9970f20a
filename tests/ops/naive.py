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


def shared(of: Array, p: dict[str, Array], sharing: tuple[int, ...], bias: str) -> Array:
    """``a_g = s_g * u_map(g) + b_g``, gate by gate."""
    n = len(sharing)
    us, scales, biases = blocks(of, max(sharing) + 1), blocks(p["gate_scale"], n), blocks(p[bias], n)
    return np.concatenate([scales[g] * us[sharing[g]] + biases[g] for g in range(n)])


def preacts(
    cell: str, x: Array, h: Array, p: dict[str, Array], noise: Array | None, sharing: tuple[int, ...] | None
) -> tuple[Array, Array]:
    """The input's and the hidden state's part of all pre-activations; only a GRU tells them apart."""
    rows = len(p["w_ih"])
    if sharing is not None:
        from_x, from_h = p["w_ih"] @ x, p["w_hh"] @ h
        if noise is not None and cell == "gru":
            from_x += spread(p["v_ih"] @ x**2, noise[:rows])
            from_h += spread(p["v_hh"] @ h**2, noise[rows:])
        elif noise is not None:
            from_x += spread(p["v_ih"] @ x**2 + p["v_hh"] @ h**2, noise[:rows])
        if cell == "gru":
            return shared(from_x, p, sharing, "b_ih"), shared(from_h, p, sharing, "b_hh")
        return shared(from_x + from_h, p, sharing, "b_ih"), np.zeros(len(p["b_ih"]))
    from_x, from_h = p["w_ih"] @ x + p["b_ih"], p["w_hh"] @ h + p["b_hh"]
    if noise is not None:
        var_x, var_h = p["v_ih"] @ x**2, p["v_hh"] @ h**2
        if cell == "gru":
            both = len(h) * 2
            from_x += np.concatenate([spread(var_x + var_h, noise[:rows])[:both], spread(var_x, noise[:rows])[both:]])
            from_h[both:] += spread(var_h[both:], noise[rows:])
        else:
            from_x += spread(var_x + var_h, noise[:rows])
    return from_x, from_h


def one_step(
    cell: str,
    levels: dict[str, int],
    x: Array,
    h: Array,
    c: Array,
    p: dict[str, Array],
    noise: Array | None,
    sharing: tuple[int, ...] | None = None,
    step_skip: str | None = None,
) -> tuple[Array, Array]:
    from_x, from_h = preacts(cell, x, h, p, noise, sharing)
    if cell == "gru":
        (xr, xz, xn), (hr, hz, hn) = blocks(from_x, 3), blocks(from_h, 3)
        r, z = gate(xr + hr, levels["r"]), gate(xz + hz, levels["z"])
        n = candidate(xn + r * hn, levels["n"])
        return n - z * n + z * h, c
    if cell == "gated_rnn":
        az, an = blocks(from_x + from_h, 2)
        z, n = gate(az, levels["z"]), candidate(an, levels["n"])
        return (1 - z) * n + z * h, c
    if cell == "coupled_lstm":
        i, g, o = blocks(from_x + from_h, 3)
        f = 1 - gate(i, levels["i"])
        c = f * c + gate(i, levels["i"]) * candidate(g, levels["g"])
    else:
        i, f, g, o = blocks(from_x + from_h, 4)
        f = gate(f, levels["f"])
        c = f * c + gate(i, levels["i"]) * candidate(g, levels["g"])
    new = gate(o, levels["o"]) * np.tanh(c)
    if step_skip is not None:
        alpha = p["alpha"]
        kept = f * (1 - alpha) if step_skip == "bounded" else f
        new = kept * h + (1 - f) * new + alpha * h
    if "w_hr" not in p:
        return new, c
    projected = p["w_hr"] @ new
    return projected + (0 if noise is None else spread(p["v_hr"] @ new**2, noise[len(p["w_ih"]) :])), c


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
    sharing: tuple[int, ...] | None = None,
    step_skip: str | None = None,
    block: tuple[int, Array, list[int]] | None = None,
) -> dict[str, Array]:
    """Output ``(T, B, H)`` and last states ``(B, H)``; ``block``: block size, anchors and positions at the start."""
    output = np.zeros((x.shape[0], x.shape[1], h.shape[1]))
    h, c = h.copy(), c.copy()
    size, anchor, counts = (0, h.copy(), [0] * len(h)) if block is None else (block[0], block[1].copy(), list(block[2]))
    for b, length in enumerate(lengths):
        for t in range(length):
            at = length - 1 - t if reverse else t
            draw = None if noise is None else noise[t, b]
            h[b], c[b] = one_step(cell, levels, x[at, b], h[b], c[b], p, draw, sharing, step_skip)
            counts[b] += 1
            if counts[b] == size:
                h[b] += p["alpha"] * anchor[b]
                anchor[b], counts[b] = h[b], 0
            output[at, b] = h[b]
    assert math.isfinite(output.sum())
    found = {"output": output, "h": h} | ({} if cell in ("gru", "gated_rnn") else {"c": c})
    return found | ({} if block is None else {"anchor": anchor, "position": np.array(counts)})
