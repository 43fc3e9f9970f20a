/* Part of bg_simd_kernel.h: from sums to new states, all of docs/arithmetic.md behind the matrix products.
 *
 * Lanes behind the last unit hold numbers of other gates: they are computed, kept in range and never read. */

enum { RUN = 512 };  /* units whose gates are worked out before their states: 8 KiB, which the nearest cache keeps */

BG_INLINE vec clip(vec v, int32_t limit) { return smaller(larger(v, fill(-limit)), fill(limit)); }

BG_INLINE vec round_shift(vec v, int shift) { return (v + (1 << (shift - 1))) >> shift; }

/* Products of a gate with half of a tanh, in half their units: nothing is lost, for each is shifted one place less. */

/* Hidden states of an LSTM from output gates and cells; c_shift makes c twice its value in Q15. */
static void hidden_states(const int32_t *table, const int32_t *o, const int16_t *c, int c_shift, int state_bits,
                          int32_t count, int16_t *h) {
    sigmoid s = open_sigmoid(table);
    int32_t limit = bg_code_limit((uint8_t)state_bits);
    for (int32_t j = 0; j < count; j += BG_LANES) {
        vec half_tanh = smooth_odd(&s, load_codes(c + j) << c_shift);
        store_codes(h + j, clip(round_shift(load(o + j) * half_tanh, 30 - state_bits), limit));
    }
}

static void lstm_cells(const int32_t *i, const int32_t *f, const int32_t *g, int32_t count, int16_t *c) {
    for (int32_t j = 0; j < count; j += BG_LANES) {
        vec change = (load(i + j) * (load(g + j) - BG_ONE / 2)) >> 3;
        store_codes(c + j, clip((load(f + j) * load_codes(c + j) + change + 16384) >> 15, 32767));
    }
}

static void coupled_cells(const int32_t *i, const int32_t *g, int32_t count, int16_t *c) {
    for (int32_t j = 0; j < count; j += BG_LANES) {
        vec input = load(i + j), change = input * (2 * load(g + j) - BG_ONE);
        store_codes(c + j, clip(round_shift((BG_ONE - input) * load_codes(c + j) + change, 15), 32767));
    }
}

/* u_n = p_x + round_shift(r p_h, 15). The product has 47 bits: two parts of it, p_h = 2^15 high + low, fit 32. */
static void reset_gates(const int32_t *r, const int32_t *p_h, int32_t count, int32_t *p_x) {
    for (int32_t j = 0; j < count; j += BG_LANES) {
        vec reset = load(r + j), p = load(p_h + j);
        vec part = add(multiply(reset, p >> 15), round_shift(reset * (p & 32767), 15));
        store(p_x + j, add(load(p_x + j), part));
    }
}

static void gru_states(const int32_t *z, const int32_t *n, int state_bits, int32_t count, int16_t *c, int16_t *h) {
    int32_t limit = bg_code_limit((uint8_t)state_bits);
    for (int32_t j = 0; j < count; j += BG_LANES) {
        vec update = load(z + j), candidate = 2 * load(n + j) - BG_ONE;
        vec state = round_shift(update * load_codes(c + j) + (BG_ONE - update) * candidate, 15);
        state = clip(state, 32767);
        store_codes(c + j, state);
        state = state_bits == 16 ? state : round_shift(state, 16 - state_bits);
        store_codes(h + j, clip(state, limit));
    }
}

static void gru_run(const bg_simd_layer *l, uint8_t state_bits, int32_t j, int32_t count, const int32_t *sums_x,
                    const int32_t *sums_h, int16_t *h, int16_t *c) {
    int32_t r[RUN], z[RUN], n[RUN], p_h[RUN];
    preacts p = preacts_of(l, 2, j, sums_x, sums_h);
    gate_values(l, 0, j, count, sums_x, sums_h, r);
    gate_values(l, 1, j, count, sums_x, sums_h, z);
    preactivate(l, &p, n, count, 1, 0, 0);
    p.bias = l->bias_hn + j;
    preactivate(l, &p, p_h, count, 0, 1, 0);
    reset_gates(r, p_h, count, n);
    activate(&l->gates[2], l->table, n, count);
    gru_states(z, n, state_bits, count, c + j, h + j);
}

static void gated_rnn_run(const bg_simd_layer *l, uint8_t state_bits, int32_t j, int32_t count, const int32_t *sums_x,
                          const int32_t *sums_h, int16_t *h, int16_t *c) {
    int32_t z[RUN], n[RUN];
    gate_values(l, 0, j, count, sums_x, sums_h, z);
    gate_values(l, 1, j, count, sums_x, sums_h, n);
    gru_states(z, n, state_bits, count, c + j, h + j);
}

static void lstm_run(const bg_simd_layer *l, uint8_t state_bits, int32_t j, int32_t count, const int32_t *sums_x,
                     const int32_t *sums_h, int16_t *h, int16_t *c) {
    int32_t values[BG_SIMD_GATES][RUN];
    for (int gate = 0; gate < l->n_gates; ++gate) {
        gate_values(l, gate, j, count, sums_x, sums_h, values[gate]);
    }
    if (l->cell == BG_SIMD_LSTM) {
        lstm_cells(values[0], values[1], values[2], count, c + j);
        hidden_states(l->table, values[3], c + j, 5, state_bits, count, h + j);
    } else {
        coupled_cells(values[0], values[1], count, c + j);
        hidden_states(l->table, values[2], c + j, 1, state_bits, count, h + j);
    }
}

static void units(const bg_simd_layer *l, uint8_t state_bits, int32_t begin, int32_t end, const int32_t *sums_x,
                  const int32_t *sums_h, int16_t *h, int16_t *c) {
    for (int32_t j = begin; j < end; j += RUN) {
        int32_t count = end - j < RUN ? end - j : RUN;
        if (l->cell == BG_SIMD_GRU) {
            gru_run(l, state_bits, j, count, sums_x, sums_h, h, c);
        } else if (l->cell == BG_SIMD_GATED_RNN) {
            gated_rnn_run(l, state_bits, j, count, sums_x, sums_h, h, c);
        } else {
            lstm_run(l, state_bits, j, count, sums_x, sums_h, h, c);
        }
    }
}
