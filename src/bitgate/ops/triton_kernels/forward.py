"""Forward pass: weights held on chip by one program for a tile of sequences, or read in tiles."""

import triton
import triton.language as tl

from bitgate.ops.triton_kernels.cell import GRU, gru_step, load_before, load_weights, lstm_gates, multiply, tanh


@triton.jit(do_not_specialize=["B"])
def forward_held(
    preact,
    w,
    bias_n,
    h_0,
    c_0,
    edges,
    lengths,
    output,
    extra,
    cells,
    h_n,
    c_n,
    B,
    CELL: tl.constexpr,
    LEVELS: tl.constexpr,
    H: tl.constexpr,
    HP: tl.constexpr,
    BB: tl.constexpr,
    KEEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """All steps of BB sequences: weights, h and c stay in registers and shared memory."""
    G: tl.constexpr = len(LEVELS)
    rows, unit = tl.program_id(0) * BB + tl.arange(0, BB), tl.arange(0, HP)
    ends = tl.load(lengths + rows, mask=rows < B, other=0)
    inside = (rows[:, None] < B) & (unit[None, :] < H)
    at = rows[:, None].to(tl.int64) * H + unit[None, :]
    gate_at = rows[:, None].to(tl.int64) * (G * H) + unit[None, :]
    w0 = load_weights(w, unit[None, :], unit[:, None], H)
    w1 = load_weights(w + H * H, unit[None, :], unit[:, None], H)
    w2 = load_weights(w + 2 * H * H, unit[None, :], unit[:, None], H)
    if G == 4:
        w3 = load_weights(w + 3 * H * H, unit[None, :], unit[:, None], H)
    h = tl.load(h_0 + at, mask=inside, other=0.0)
    if CELL == GRU:
        bias = tl.load(bias_n + unit, mask=unit < H, other=0.0)[None, :]
    else:
        c = tl.load(c_0 + at, mask=inside, other=0.0)
    size = tl.cast(B, tl.int64) * H
    for t in range(tl.max(ends)):
        alive = inside & (ends > t)[:, None]
        a = preact + t * size * G + gate_at
        a0 = multiply(h, w0, tl.load(a, mask=alive, other=0.0), PRECISION)
        a1 = multiply(h, w1, tl.load(a + H, mask=alive, other=0.0), PRECISION)
        a2 = tl.load(a + 2 * H, mask=alive, other=0.0)
        hidden2 = multiply(h, w2, tl.zeros((BB, HP), tl.float32), PRECISION)
        if CELL == GRU:
            hidden2 += bias
            h = tl.where(alive, gru_step(a0, a1, a2, hidden2, h, edges, LEVELS), h)
            if KEEP:
                tl.store(extra + t * size + at, hidden2, mask=alive)
        else:
            a2 += hidden2
            a3 = a2
            if G == 4:
                a3 = multiply(h, w3, tl.load(a + 3 * H, mask=alive, other=0.0), PRECISION)
            i, f, g, o = lstm_gates(a0, a1, a2, a3, edges, CELL, LEVELS)
            c = tl.where(alive, f * c + i * g, c)
            h = tl.where(alive, o * tanh(c), h)
            if KEEP:
                tl.store(cells + t * size + at, c, mask=alive)
                tl.store(a + 2 * H, a2, mask=alive)
                if G == 4:
                    tl.store(a + 3 * H, a3, mask=alive)
        if KEEP:
            tl.store(a, a0, mask=alive)
            tl.store(a + H, a1, mask=alive)
        tl.store(output + t * size + at, h, mask=alive)
    tl.store(h_n + at, h, mask=inside)
    if CELL != GRU:
        tl.store(c_n + at, c, mask=inside)


@triton.jit(do_not_specialize=["begin", "end", "B"])
def forward_tiles(
    preact,
    w,
    bias_n,
    h_0,
    edges,
    lengths,
    output,
    extra,
    cells,
    c_n,
    begin,
    end,
    B,
    CELL: tl.constexpr,
    LEVELS: tl.constexpr,
    H: tl.constexpr,
    BB: tl.constexpr,
    BU: tl.constexpr,
    BK: tl.constexpr,
    N_TILES: tl.constexpr,
    KEEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Steps begin to end of BB sequences and N_TILES tiles of BU units; c is in ``c_n``, h in ``output``.

    With several programs along the units, one step a launch: each reads what all of them wrote a step before.
    """
    G: tl.constexpr = len(LEVELS)
    rows, size = tl.program_id(0) * BB + tl.arange(0, BB), tl.cast(B, tl.int64) * H
    ends = tl.load(lengths + rows, mask=rows < B, other=0)
    row_at = rows[:, None].to(tl.int64)
    for t in range(begin, end):
        living = (rows < B) & (ends > t)
        for tile in range(N_TILES):
            unit = (tl.program_id(1) * N_TILES + tile) * BU + tl.arange(0, BU)
            alive = living[:, None] & (unit[None, :] < H)
            at = row_at * H + unit[None, :]
            a0 = tl.zeros((BB, BU), tl.float32)
            a1, a2, a3 = a0, a0, a0
            for k in range(0, H, BK):
                below = k + tl.arange(0, BK)
                reading = living[:, None] & (below[None, :] < H)
                h = load_before(output, h_0, row_at * H + below[None, :], t, size, reading)
                w0 = load_weights(w, unit[None, :], below[:, None], H)
                w1 = load_weights(w + H * H, unit[None, :], below[:, None], H)
                w2 = load_weights(w + 2 * H * H, unit[None, :], below[:, None], H)
                a0 = multiply(h, w0, a0, PRECISION)
                a1 = multiply(h, w1, a1, PRECISION)
                a2 = multiply(h, w2, a2, PRECISION)
                if G == 4:
                    w3 = load_weights(w + 3 * H * H, unit[None, :], below[:, None], H)
                    a3 = multiply(h, w3, a3, PRECISION)
            a = preact + (t * size + row_at * H) * G + unit[None, :]
            a0 += tl.load(a, mask=alive, other=0.0)
            a1 += tl.load(a + H, mask=alive, other=0.0)
            input2 = tl.load(a + 2 * H, mask=alive, other=0.0)
            if CELL == GRU:
                a2 += tl.load(bias_n + unit, mask=unit < H, other=0.0)[None, :]
                h_before = load_before(output, h_0, at, t, size, alive)
                h_new = gru_step(a0, a1, input2, a2, h_before, edges, LEVELS)
                if KEEP:
                    tl.store(extra + t * size + at, a2, mask=alive)
            else:
                a2 += input2
                if G == 4:
                    a3 += tl.load(a + 3 * H, mask=alive, other=0.0)
                i, f, g, o = lstm_gates(a0, a1, a2, a3, edges, CELL, LEVELS)
                c = f * tl.load(c_n + at, mask=alive, other=0.0) + i * g
                h_new = o * tanh(c)
                tl.store(c_n + at, c, mask=alive)
                if KEEP:
                    tl.store(cells + t * size + at, c, mask=alive)
                    tl.store(a + 2 * H, a2, mask=alive)
                    if G == 4:
                        tl.store(a + 3 * H, a3, mask=alive)
            if KEEP:
                tl.store(a, a0, mask=alive)
                tl.store(a + H, a1, mask=alive)
            tl.store(output + t * size + at, h_new, mask=alive)
        tl.debug_barrier()
