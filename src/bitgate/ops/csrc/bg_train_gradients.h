/* Element by element: from the gradients of h and c to those of the pre-activations, which go into panels. */
#ifndef BG_TRAIN_GRADIENTS_H
#define BG_TRAIN_GRADIENTS_H

#include "bg_train.h"

#include "bg_train_product.h"
#include "bg_train_shared.h"
#include "bg_train_vector.h"

/* Row blocks of the panels: those of the weights; of a GRU n (input's part), r, z, n (hidden state's part), so that the
 * three of x and the three of h lie together. */
static int is_gru(const bg_train_layer *l) { return l->cell == BG_TRAIN_GRU; }
static int n_blocks(const bg_train_layer *l) { return is_gru(l) ? 4 : l->projections; }
static int64_t gate_panels(const bg_train_layer *l) { return l->projections * l->padded / LINE; }

/* What one step reads and writes. */
typedef struct {
    const real *grad_output, *gates, *slopes, *extra; /* grad_output and slopes may be NULL; extra is a GRU's */
    const real *ratios;                               /* NULL for plain weights */
    const real *cells;                                /* c behind the step */
    const real *state;                                /* c before the step; of a GRU h before it */
    real *grad_h, *grad_c;
    panels preact, var;
    const real *shared, *h, *anchor; /* projections; h before the step, and before a block that ends with it */
    real *grad_anchor;
    const unsigned char *ends; /* of the sequences from `first` on */
    int64_t first;
    unit_sums units;
    int64_t shift; /* from a sequence to its row in the panels */
} grad_view;

/* The gradient of a pre-activation, and of its variance; `draw` is its place in the noise. */
INLINE void put(const grad_view *s, const bg_train_layer *l, int block, int draw, int64_t row, int64_t j, vec value) {
    const int64_t panel = (block * l->padded + j) / LINE;
    const int64_t at = (panel * s->preact.capacity + row + s->shift) * LINE + j % LINE;
    store(s->preact.data + at, value);
    if (s->ratios) {
        store(s->var.data + at, value * load(s->ratios + (row * n_blocks(l) + draw) * l->padded + j));
    }
}

INLINE vec read_slope(const grad_view *s, int64_t at, vec value, int is_tanh) {
    return s->slopes ? load(s->slopes + at) : slope_of(value, is_tanh);
}

INLINE vec read_grad_h(const grad_view *s, int64_t at) {
    vec grad = load(s->grad_h + at);
    return s->grad_output ? grad + load(s->grad_output + at) : grad;
}

/* Values of the gates of one sequence and their slopes, from what was kept. */
INLINE void read_gates(const bg_train_layer *l, const grad_view *s, int64_t row, int64_t j, vec *gates, vec *slopes,
                       const int is_coupled, const int is_shared) {
    const int n_gates = 4 - is_coupled;
    if (is_shared) {
        open_gates(l, s->shared + row * l->projections * l->padded, j, gates, slopes);
        return;
    }
    UNROLL for (int g = 0; g < n_gates; ++g) {
        const int64_t at = (row * n_gates + g) * l->padded + j;
        gates[g] = load(s->gates + at);
        slopes[g] = read_slope(s, at, gates[g], g == n_gates - 2);
    }
}

INLINE void lstm_grad(const bg_train_layer *l, const grad_view *s, int64_t row, int64_t j, const int is_coupled,
                      const int is_shared) {
    const int64_t at = row * l->padded + j;
    vec gates[BG_TRAIN_MAX_GATES], slopes[BG_TRAIN_MAX_GATES], grads[BG_TRAIN_MAX_GATES], grad_f = splat(0);
    read_gates(l, s, row, j, gates, slopes, is_coupled, is_shared);
    /* Computed anew: c is in the cache, because the step behind this one has read it. */
    const vec squashed = vec_tanh(load(s->cells + at));
    const vec i = gates[0], f = is_coupled ? 1 - i : gates[1], g = gates[2 - is_coupled], o = gates[3 - is_coupled];
    vec c = load(s->state + at), grad_h = read_grad_h(s, at);
    if (l->skip == BG_TRAIN_BLOCK_SKIP && s->ends[row - s->first]) {
        grad_h = block_skip_grad(l, s->units, j, grad_h, s->anchor + at, s->grad_anchor + at);
    } else if (l->skip > BG_TRAIN_BLOCK_SKIP) {
        vec before, h = load(s->h + at);
        grad_h = step_skip_grad(l, s->units, j, grad_h, f, o * squashed, h, &grad_f, &before);
        store(s->grad_h + at, before);
    }
    vec grad_c = load(s->grad_c + at) + grad_h * o * (1 - squashed * squashed);
    grad_f += grad_c * c;
    grads[0] = (grad_c * g - (is_coupled ? grad_f : splat(0))) * slopes[0];
    if (!is_coupled) {
        grads[1] = grad_f * slopes[1];
    }
    grads[2 - is_coupled] = grad_c * i * slopes[2 - is_coupled];
    grads[3 - is_coupled] = grad_h * squashed * slopes[3 - is_coupled];
    store(s->grad_c + at, grad_c * f);
    if (is_shared) {
        vec of_u[BG_TRAIN_MAX_GATES];
        gather(l, s->units, s->shared + row * l->projections * l->padded, j, grads, of_u);
        for (int p = 0; p < l->projections; ++p) {
            put(s, l, p, p, row, j, of_u[p]);
        }
    } else {
        UNROLL for (int k = 0; k < 4 - is_coupled; ++k) { put(s, l, k, k, row, j, grads[k]); }
    }
}

INLINE void gru_grad(const bg_train_layer *l, const grad_view *s, int64_t row, int64_t j) {
    const int64_t at = row * l->padded + j, Hp = l->padded;
    const int64_t at_r = row * 3 * Hp + j, at_z = at_r + Hp, at_n = at_z + Hp;
    vec r = load(s->gates + at_r), z = load(s->gates + at_z), n = load(s->gates + at_n), grad_h = read_grad_h(s, at);
    vec grad_n = grad_h * (1 - z) * read_slope(s, at_n, n, 1);
    put(s, l, 0, 2, row, j, grad_n);
    put(s, l, 1, 0, row, j, grad_n * load(s->extra + at) * read_slope(s, at_r, r, 0));
    put(s, l, 2, 1, row, j, grad_h * (load(s->state + at) - n) * read_slope(s, at_z, z, 0));
    put(s, l, 3, 3, row, j, grad_n * r);
    store(s->grad_h + at, grad_h * z);
}

#define ELEMENTS(gradient)                                                                                      \
    for (int64_t row = first; row < last; ++row) {                                                              \
        for (int64_t j = 0; j < l->padded; j += LANES) {                                                        \
            gradient;                                                                                           \
        }                                                                                                       \
    }

static void lstm_elements(const bg_train_layer *l, const grad_view *s, int64_t first, int64_t last) {
    ELEMENTS(lstm_grad(l, s, row, j, 0, 0))
}

static void coupled_elements(const bg_train_layer *l, const grad_view *s, int64_t first, int64_t last) {
    ELEMENTS(lstm_grad(l, s, row, j, 1, 0))
}

static void shared_elements(const bg_train_layer *l, const grad_view *s, int64_t first, int64_t last) {
    ELEMENTS(lstm_grad(l, s, row, j, l->cell == BG_TRAIN_COUPLED_LSTM, 1))
}

static void gru_elements(const bg_train_layer *l, const grad_view *s, int64_t first, int64_t last) {
    ELEMENTS(gru_grad(l, s, row, j))
}

#endif
