/* Forward pass. A tile is R sequences by LANES units: it multiplies, activates and stores in one go, in registers.
 *
 * Accumulators: lstm i, f, g, o; coupled i, g, o; gru r, z, n of the input, n of the hidden state.
 * Where gates share projections there is one for each projection, and the gates follow from them.
 */
#ifndef BG_TRAIN_FORWARD_H
#define BG_TRAIN_FORWARD_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_shared.h"
#include "bg_train_vector.h"

/* Keeps the gradient of the standard deviation finite where every weight of a row has settled (ops/reference.py). */
#define SMALLEST_VARIANCE ((real)1e-12)

/* Packed weights: bias (3 or 4, Hp), then for each block of LANES units (I, P, LANES) of w_ih, (H, P, LANES) of w_hh,
 * and the same of v_ih and v_hh. */
INLINE int n_accumulators(const bg_train_layer *l) { return l->cell == BG_TRAIN_GRU ? 4 : l->projections; }

static int n_biases(int cell) { return cell == BG_TRAIN_COUPLED_LSTM ? 3 : 4; }

static int64_t block_size(const bg_train_layer *l) {
    return (l->inputs + l->hidden) * l->projections * LANES * (1 + !!l->v_hh);
}

static int64_t forward_packed_size(const void *params) {
    const bg_train_forward *p = params;
    int64_t bias = n_biases(p->layer.cell) * p->layer.padded;
    return (bias + p->layer.padded / LANES * block_size(&p->layer)) * (int64_t)sizeof(real);
}

static real *pack_columns(real *to, const real *w, int64_t columns, int n_gates, int64_t hidden, int64_t unit) {
    for (int64_t k = 0; k < columns; ++k) {
        for (int g = 0; g < n_gates; ++g) {
            for (int64_t j = unit; j < unit + LANES; ++j) {
                *to++ = j < hidden ? w[(g * hidden + j) * columns + k] : 0;
            }
        }
    }
    return to;
}

static void pack_bias(const bg_train_forward *p, real *to) {
    const real *biases[2] = {p->bias_ih, p->bias_hh};
    int64_t hidden = p->layer.hidden, padded = p->layer.padded;
    int is_gru = p->layer.cell == BG_TRAIN_GRU;
    memset(to, 0, sizeof(real) * (size_t)(n_biases(p->layer.cell) * padded));
    for (int side = 0; side < 2; ++side) {
        for (int g = 0; biases[side] && g < bg_train_n_gates(p->layer.cell); ++g) {
            real *row = to + (g + (is_gru && side == 1 && g == 2)) * padded;
            for (int64_t j = 0; j < hidden; ++j) {
                row[j] += biases[side][g * hidden + j];
            }
        }
    }
}

static void forward_pack(const void *params, void *packed) {
    const bg_train_forward *p = params;
    const bg_train_layer *l = &p->layer;
    const int P = l->projections;
    real *to = packed;
    pack_bias(p, to);
    to += n_biases(l->cell) * l->padded;
    for (int64_t unit = 0; unit < l->padded; unit += LANES) {
        to = pack_columns(to, p->w_ih, l->inputs, P, l->hidden, unit);
        to = pack_columns(to, l->w_hh, l->hidden, P, l->hidden, unit);
        if (l->v_hh) {
            to = pack_columns(to, p->v_ih, l->inputs, P, l->hidden, unit);
            to = pack_columns(to, l->v_hh, l->hidden, P, l->hidden, unit);
        }
    }
}

/* What one step reads and writes; rows are sequences. */
typedef struct {
    const real *x, *h;                           /* (B, I), (B, Hp) */
    real *c, *output;                            /* (B, Hp), c in place */
    real *gates, *slopes, *cells, *extra;        /* this step's part of what is kept, or NULL */
    const real *weights, *bias;
    int64_t row, unit;                           /* where the tile begins */
    const real *noise;                           /* this step's, or NULL */
    real *ratios;                                /* likewise, if kept */
    real *x_squares, *h_squares;                 /* of the sequences from `first` on */
    int64_t first;
    real *shared;                                /* this step's, if kept */
    const unsigned char *ends;                   /* of the sequences from `first` on: whether their block ends */
    const real *anchor;                          /* (B, Hp) */
} step_view;

/* acc += R rows of a, `stride` apart, times a packed block of N gates; its last gate adds to acc[last]. */
INLINE void multiply(vec (*acc)[4], const real *a, int64_t stride, int64_t columns, const real *weights, const int R,
                     const int N, const int last) {
    for (int64_t k = 0; k < columns; ++k, weights += N * LANES) {
        vec w[4];
        UNROLL for (int g = 0; g < N; ++g) { w[g] = load(weights + g * LANES); }
        UNROLL for (int r = 0; r < R; ++r) {
            const vec value = splat(a[r * stride + k]);
            UNROLL for (int g = 0; g < N - 1; ++g) { acc[r][g] += value * w[g]; }
            acc[r][last] += value * w[N - 1];
        }
    }
}

/* acc += sqrt(variance) noise: the same products again, of squares with variances. */
INLINE void add_noise(const bg_train_layer *l, const step_view *s, vec (*acc)[4], const int R, const int N,
                      const int A) {
    const real *weights = s->weights + block_size(l) / 2;
    const int64_t row = s->row - s->first;
    vec var[MOST_ROWS][4];
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int g = 0; g < A; ++g) { var[r][g] = splat(0); }
    }
    multiply(var, s->x_squares + row * l->inputs, l->inputs, l->inputs, weights, R, N, N - 1);
    multiply(var, s->h_squares + row * l->padded, l->padded, l->hidden, weights + l->inputs * N * LANES, R, N, A - 1);
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int g = 0; g < A; ++g) {
            const int64_t at = ((s->row + r) * A + g) * l->padded + s->unit;
            const ivec settled = var[r][g] < SMALLEST_VARIANCE;
            const vec std = vec_sqrt(choose(settled, splat(SMALLEST_VARIANCE), var[r][g])), noise = load(s->noise + at);
            acc[r][g] += std * noise;
            if (s->ratios) {
                store(s->ratios + at, choose(settled, splat(0), noise / (2 * std)));
            }
        }
    }
}

INLINE vec keep_gate(const bg_train_layer *l, const step_view *s, int64_t at, int g, vec preact, int is_tanh) {
    vec slope, value = activate(preact, l->edges[g], l->levels[g], is_tanh, &slope);
    if (s->gates) {
        store(s->gates + at + g * l->padded, value);
    }
    if (s->slopes) {
        store(s->slopes + at + g * l->padded, slope);
    }
    return value;
}

/* As freezing rounds hidden states (ops/reference.py); the backward pass takes it for the identity. */
INLINE vec round_state(const bg_train_layer *l, vec h) {
    const real unit = (real)l->state_unit;
    if (unit == 0) {
        return h;
    }
    h = h * unit + MAGIC; /* the nearest whole number, even between two */
    h -= MAGIC;
    h = choose(h > unit - 1, splat(unit - 1), choose(h < 1 - unit, splat(1 - unit), h));
    return h / unit;
}

INLINE void lstm_end(const bg_train_layer *l, const step_view *s, int64_t row, const vec *acc, int is_coupled) {
    int64_t at = row * l->padded + s->unit, gates_at = row * (4 - is_coupled) * l->padded + s->unit;
    vec i = keep_gate(l, s, gates_at, 0, acc[0], 0);
    vec f = is_coupled ? 1 - i : keep_gate(l, s, gates_at, 1, acc[1], 0);
    vec g = keep_gate(l, s, gates_at, 2 - is_coupled, acc[2 - is_coupled], 1);
    vec o = keep_gate(l, s, gates_at, 3 - is_coupled, acc[3 - is_coupled], 0);
    vec c = f * load(s->c + at) + i * g, squashed = vec_tanh(c);
    vec h = o * squashed;
    if (__builtin_expect(l->skip != BG_TRAIN_NO_SKIP, 0)) {
        const int ends = l->skip == BG_TRAIN_BLOCK_SKIP && s->ends[row - s->first];
        h = add_skip(l, s->unit, h, f, s->h + at, ends ? s->anchor + at : NULL);
    }
    store(s->c + at, c);
    store(s->output + at, round_state(l, h));
    if (s->cells) {
        store(s->cells + at, c);
    }
}

INLINE void gru_end(const bg_train_layer *l, const step_view *s, int64_t row, const vec *acc) {
    int64_t at = row * l->padded + s->unit, gates_at = row * 3 * l->padded + s->unit;
    vec r = keep_gate(l, s, gates_at, 0, acc[0], 0);
    vec z = keep_gate(l, s, gates_at, 1, acc[1], 0);
    vec n = keep_gate(l, s, gates_at, 2, acc[2] + r * acc[3], 1);
    store(s->output + at, (1 - z) * n + z * load(s->h + at));
    if (s->gates) {
        store(s->extra + at, acc[3]);
    }
}

/* N row blocks of the weights, A accumulators. */
INLINE void tile(const bg_train_layer *l, const step_view *s, int64_t inputs, const int R, const int N, const int A,
                 const int is_shared) {
    vec acc[MOST_ROWS][4];
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int g = 0; g < A; ++g) {
            acc[r][g] = is_shared ? splat(0) : load(s->bias + g * l->padded + s->unit);
        }
    }
    multiply(acc, s->x + s->row * inputs, inputs, inputs, s->weights, R, N, N - 1);
    multiply(acc, s->h + s->row * l->padded, l->padded, l->hidden, s->weights + inputs * N * LANES, R, N, A - 1);
    if (s->noise) {
        add_noise(l, s, acc, R, N, A);
    }
    UNROLL for (int r = 0; r < R; ++r) {
        const int64_t row = s->row + r;
        vec preact[4], *of = acc[r];
        if (is_shared) {
            spread_kept(l, s->shared ? s->shared + row * N * l->padded : NULL, s->unit, acc[r], preact, N);
            of = preact;
        }
        if (A != N) {
            gru_end(l, s, row, of);
        } else {
            lstm_end(l, s, row, of, is_shared ? l->cell == BG_TRAIN_COUPLED_LSTM : N == 3);
        }
    }
}

/* Sequences [first, last) of one step, all units: one block of weights stays in the cache for all sequences. */
INLINE void step(const bg_train_forward *p, step_view *s, const real *packed, int64_t first, int64_t last, const int N,
                 const int A, const int is_shared) {
    const bg_train_layer *l = &p->layer;
    const int R = A < 3 ? ROWS_OF_2 : A == 3 ? ROWS_OF_3 : ROWS_OF_4;
    s->bias = packed;
    s->weights = packed + n_biases(l->cell) * l->padded;
    for (s->unit = 0; s->unit < l->padded; s->unit += LANES, s->weights += block_size(l)) {
        for (s->row = first; s->row + R <= last; s->row += R) {
            tile(l, s, p->layer.inputs, R, N, A, is_shared);
        }
        for (; s->row + 2 <= last; s->row += 2) {
            tile(l, s, p->layer.inputs, 2, N, A, is_shared);
        }
        for (; s->row < last; ++s->row) {
            tile(l, s, p->layer.inputs, 1, N, A, is_shared);
        }
    }
}

typedef void stepper(const bg_train_forward *p, step_view *s, const real *packed, int64_t first, int64_t last);

#define STEPPER(name, N, A, is_shared)                                                                             \
    static void name(const bg_train_forward *p, step_view *s, const real *packed, int64_t first, int64_t last) {   \
        step(p, s, packed, first, last, N, A, is_shared);                                                          \
    }
STEPPER(step_lstm, 4, 4, 0)
STEPPER(step_coupled, 3, 3, 0)
STEPPER(step_gru, 3, 4, 0)
STEPPER(step_shared_1, 1, 1, 1)
STEPPER(step_shared_2, 2, 2, 1)
STEPPER(step_shared_3, 3, 3, 1)
STEPPER(step_shared_4, 4, 4, 1)

static stepper *find_stepper(const bg_train_layer *l) {
    static stepper *const own[] = {step_lstm, step_coupled, step_gru};
    static stepper *const shared[] = {step_shared_1, step_shared_2, step_shared_3, step_shared_4};
    return l->gate_scale ? shared[l->projections - 1] : own[l->cell];
}

static void square(real *to, const real *from, int64_t n) {
    for (int64_t k = 0; k < n; ++k) {
        to[k] = from[k] * from[k];
    }
}

static real *at_step(void *array, int64_t t, int64_t row_size, int64_t batch) {
    return array ? (real *)array + t * batch * row_size : NULL;
}

static void zero_rows(void *array, int64_t t, int64_t row_size, int64_t batch, int64_t first, int64_t last) {
    if (array && last > first) {
        real *from = at_step(array, t, row_size, batch) + first * row_size;
        memset(from, 0, sizeof(real) * (size_t)((last - first) * row_size));
    }
}

static void zero_behind(const bg_train_layer *l, int64_t t, int64_t first, int64_t last) {
    int64_t wide = bg_train_n_gates(l->cell) * l->padded;
    zero_rows(l->output, t, l->padded, l->batch, first, last);
    zero_rows(l->gates, t, wide, l->batch, first, last);
    zero_rows(l->slopes, t, wide, l->batch, first, last);
    zero_rows(l->cells, t, l->padded, l->batch, first, last);
    zero_rows(l->extra, t, l->padded, l->batch, first, last);
    zero_rows(l->ratios, t, l->padded * n_accumulators(l), l->batch, first, last);
    zero_rows(l->shared, t, l->padded * l->projections, l->batch, first, last);
}

static void write_last_h(const bg_train_forward *p, int64_t first, int64_t last) {
    const bg_train_layer *l = &p->layer;
    for (int64_t b = first; b < last; ++b) {
        int64_t t = l->lengths ? l->lengths[b] : l->steps;
        t = t < l->steps ? t : l->steps;
        const real *from = t > 0 ? at_step(l->output, t - 1, l->padded, l->batch) : (const real *)l->h_0;
        memcpy((real *)p->h_n + b * l->padded, from + b * l->padded, sizeof(real) * (size_t)l->padded);
        if (p->anchor_n) {
            memcpy((real *)p->anchor_n + b * l->padded, last_anchor(l, b, t), sizeof(real) * (size_t)l->padded);
        }
    }
}

/* Squares of one step's h and x, and a byte for every sequence. */
static int64_t forward_work_size(const void *params, int64_t sequences) {
    const bg_train_layer *l = &((const bg_train_forward *)params)->layer;
    const int64_t size = l->v_hh ? sequences * (l->padded + l->inputs) : 0;
    return (size + LINE - 1) / LINE * 64 + (sequences + 63) / 64 * 64;
}

static void forward_finish(const void *params, void *const *works, int shards) {
    (void)params, (void)works, (void)shards;
}

static void forward(const void *params, const void *packed, void *work, int64_t first, int64_t last) {
    const bg_train_forward *p = params;
    const bg_train_layer *l = &p->layer;
    int64_t B = l->batch, wide = bg_train_n_gates(l->cell) * l->padded, alive = last;
    stepper *const run_step = find_stepper(l);
    unsigned char *const ends = (unsigned char *)work + forward_work_size(params, last - first) - (last - first);
    step_view s = {.c = p->c_n, .first = first, .h_squares = work, .ends = ends};
    s.x_squares = l->v_hh ? s.h_squares + (last - first) * l->padded : NULL;
    if (p->c_n) {
        size_t bytes = sizeof(real) * (size_t)((last - first) * l->padded);
        memcpy(s.c + first * l->padded, (const real *)l->c_0 + first * l->padded, bytes);
    }
    for (int64_t t = 0; t < l->steps; ++t) {
        alive = bg_train_alive(l, first, alive, t);
        zero_behind(l, t, alive, last);
        s.x = (const real *)p->x + t * B * p->layer.inputs;
        s.h = t > 0 ? s.output : (const real *)l->h_0;
        s.output = at_step(l->output, t, l->padded, B);
        s.gates = at_step(l->gates, t, wide, B);
        s.slopes = at_step(l->slopes, t, wide, B);
        s.cells = at_step(l->cells, t, l->padded, B);
        s.extra = at_step(l->extra, t, l->padded, B);
        if (l->v_hh) {
            s.noise = (const real *)p->noise + t * B * n_accumulators(l) * l->padded;
            s.ratios = at_step(l->ratios, t, n_accumulators(l) * l->padded, B);
            square(s.x_squares, s.x + first * l->inputs, (alive - first) * l->inputs);
            square(s.h_squares, s.h + first * l->padded, (alive - first) * l->padded);
        }
        s.shared = at_step(l->shared, t, l->projections * l->padded, B);
        s.anchor = anchor_before(l, t);
        mark_ends(l, ends, t, first, alive);
        run_step(p, &s, packed, first, alive);
    }
    write_last_h(p, first, last);
}

#endif
