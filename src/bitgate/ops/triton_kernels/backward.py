"""Back-propagation through time: gradients of the pre-activations of all steps, of which the rest is products."""

import triton
import triton.language as tl

from bitgate.ops.triton_kernels.cell import GRU, gru_grads, load_before, load_weights, lstm_grads, multiply


@triton.jit
def step_grads(
    preact,
    extra,
    cells,
    output,
    h_0,
    c_0,
    edges,
    grad_preact,
    grad_extra,
    grad_h,
    grad_c,
    at,
    gate_at,
    t,
    size,
    alive,
    CELL: tl.constexpr,
    LEVELS: tl.constexpr,
    H: tl.constexpr,
):
    """Stores the gradients of one step's pre-activations.

    Returns the four that the recurrent weights multiply (zero behind the ends), then what is left of the gradients of h
    and c before the step: behind the ends all of it.
    """
    G: tl.constexpr = len(LEVELS)
    a = preact + t * size * G + gate_at
    a0, a1 = tl.load(a, mask=alive, other=0.0), tl.load(a + H, mask=alive, other=0.0)
    a2 = tl.load(a + 2 * H, mask=alive, other=0.0)
    out = grad_preact + t * size * G + gate_at
    if CELL == GRU:
        hidden_n = tl.load(extra + t * size + at, mask=alive, other=0.0)
        h_before = load_before(output, h_0, at, t, size, alive)
        d0, d1, d_input, d2, rest = gru_grads(a0, a1, a2, hidden_n, h_before, grad_h, edges, LEVELS)
        tl.store(out + 2 * H, d_input, mask=alive)
        tl.store(grad_extra + t * size + at, d2, mask=alive)
        d3 = d2
    else:
        a3 = a2
        if G == 4:
            a3 = tl.load(a + 3 * H, mask=alive, other=0.0)
        c_before = load_before(cells, c_0, at, t, size, alive)
        d0, d1, d2, d3, new_c = lstm_grads(a0, a1, a2, a3, c_before, grad_h, grad_c, edges, CELL, LEVELS)
        grad_c = tl.where(alive, new_c, grad_c)
        rest = tl.zeros_like(grad_h)
        tl.store(out + 2 * H, d2, mask=alive)
        if G == 4:
            tl.store(out + 3 * H, d3, mask=alive)
    tl.store(out, d0, mask=alive)
    tl.store(out + H, d1, mask=alive)
    d0, d1, d2, d3 = (
        tl.where(alive, d0, 0.0),
        tl.where(alive, d1, 0.0),
        tl.where(alive, d2, 0.0),
        tl.where(alive, d3, 0.0),
    )
    return d0, d1, d2, d3, tl.where(alive, rest, grad_h), grad_c


@triton.jit(do_not_specialize=["B"])
def backward_held(
    preact,
    extra,
    cells,
    output,
    h_0,
    c_0,
    w,
    edges,
    lengths,
    grad_output,
    grad_preact,
    grad_extra,
    grad_h_n,
    grad_c_n,
    B,
    CELL: tl.constexpr,
    LEVELS: tl.constexpr,
    H: tl.constexpr,
    HP: tl.constexpr,
    BB: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """All steps of BB sequences; the gradients of the last states are replaced by those of the first."""
    G: tl.constexpr = len(LEVELS)
    rows, unit = tl.program_id(0) * BB + tl.arange(0, BB), tl.arange(0, HP)
    ends = tl.load(lengths + rows, mask=rows < B, other=0)
    inside = (rows[:, None] < B) & (unit[None, :] < H)
    at = rows[:, None].to(tl.int64) * H + unit[None, :]
    gate_at = rows[:, None].to(tl.int64) * (G * H) + unit[None, :]
    w0 = load_weights(w, unit[:, None], unit[None, :], H)
    w1 = load_weights(w + H * H, unit[:, None], unit[None, :], H)
    w2 = load_weights(w + 2 * H * H, unit[:, None], unit[None, :], H)
    if G == 4:
        w3 = load_weights(w + 3 * H * H, unit[:, None], unit[None, :], H)
    grad_h = tl.load(grad_h_n + at, mask=inside, other=0.0)
    grad_c = grad_h
    if CELL != GRU:
        grad_c = tl.load(grad_c_n + at, mask=inside, other=0.0)
    size, last = tl.cast(B, tl.int64) * H, tl.max(ends) - 1
    for back in range(last + 1):
        t = last - back
        alive = inside & (ends > t)[:, None]
        grad_h += tl.load(grad_output + t * size + at, mask=alive, other=0.0)
        d0, d1, d2, d3, grad_h, grad_c = step_grads(
            preact, extra, cells, output, h_0, c_0, edges, grad_preact, grad_extra,
            grad_h, grad_c, at, gate_at, t, size, alive, CELL, LEVELS, H,
        )  # fmt: skip
        grad_h = multiply(d0, w0, grad_h, PRECISION)
        grad_h = multiply(d1, w1, grad_h, PRECISION)
        grad_h = multiply(d2, w2, grad_h, PRECISION)
        if G == 4:
            grad_h = multiply(d3, w3, grad_h, PRECISION)
    tl.store(grad_h_n + at, grad_h, mask=inside)
    if CELL != GRU:
        tl.store(grad_c_n + at, grad_c, mask=inside)


@triton.jit(do_not_specialize=["begin", "end", "T", "B"])
def backward_tiles(
    preact,
    extra,
    cells,
    output,
    h_0,
    c_0,
    w,
    edges,
    lengths,
    grad_output,
    grad_preact,
    grad_extra,
    grad_h_n,
    grad_c_n,
    begin,
    end,
    T,
    B,
    CELL: tl.constexpr,
    LEVELS: tl.constexpr,
    H: tl.constexpr,
    BB: tl.constexpr,
    BU: tl.constexpr,
    BK: tl.constexpr,
    N_TILES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Steps end - 1 down to begin of BB sequences and N_TILES tiles of BU units.

    A step begins with the products of the step behind it, so that programs meet once a step. Those of step 0 are left
    to the caller, who adds them to ``grad_h_n``.
    """
    G: tl.constexpr = len(LEVELS)
    rows, size = tl.program_id(0) * BB + tl.arange(0, BB), tl.cast(B, tl.int64) * H
    ends = tl.load(lengths + rows, mask=rows < B, other=0)
    row_at = rows[:, None].to(tl.int64)
    for back in range(end - begin):
        t = end - 1 - back
        for tile in range(N_TILES):
            unit = (tl.program_id(1) * N_TILES + tile) * BU + tl.arange(0, BU)
            inside = (rows[:, None] < B) & (unit[None, :] < H)
            alive = inside & (ends > t)[:, None]
            at = row_at * H + unit[None, :]
            grad_h = tl.load(grad_h_n + at, mask=inside, other=0.0)
            for k in range(0, H, BK):
                below = k + tl.arange(0, BK)
                reading = (rows < B)[:, None] & (below[None, :] < H) & (tl.zeros((1, 1), tl.int32) + t < T - 1)
                behind = grad_preact + ((t + 1) * size + row_at * H) * G + below[None, :]
                for gate in tl.static_range(G):
                    source = behind + gate * H
                    if CELL == GRU and gate == 2:
                        source = grad_extra + (t + 1) * size + row_at * H + below[None, :]
                    d = tl.load(source, mask=reading, other=0.0)
                    block = load_weights(w + gate * H * H, below[:, None], unit[None, :], H)
                    grad_h = multiply(d, block, grad_h, PRECISION)
            grad_h += tl.load(grad_output + t * size + at, mask=alive, other=0.0)
            grad_c = grad_h
            if CELL != GRU:
                grad_c = tl.load(grad_c_n + at, mask=inside, other=0.0)
            _, _, _, _, grad_h, grad_c = step_grads(
                preact, extra, cells, output, h_0, c_0, edges, grad_preact, grad_extra,
                grad_h, grad_c, at, row_at * (G * H) + unit[None, :], t, size, alive, CELL, LEVELS, H,
            )  # fmt: skip
            tl.store(grad_h_n + at, grad_h, mask=inside)
            if CELL != GRU:
                tl.store(grad_c_n + at, grad_c, mask=inside)
        tl.debug_barrier()
