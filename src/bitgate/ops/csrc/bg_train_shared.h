/* Gates that share projections, and additive skips of the hidden state: both directions (docs/theory.md). */
#ifndef BG_TRAIN_SHARED_H
#define BG_TRAIN_SHARED_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_vector.h"

/* Pre-activations of all gates for one vector of units from their shared projections `u`. One function for both passes:
 * the backward pass computes the gates anew and must find the same ones. */
static __attribute__((noinline)) void spread(const bg_train_layer *l, int64_t unit, const vec *u, vec *preact) {
    const int n_gates = bg_train_n_gates(l->cell);
    for (int g = 0; g < n_gates; ++g) {
        const int64_t at = g * l->padded + unit;
        preact[g] = load((const real *)l->gate_scale + at) * u[l->sharing[g]];
        if (l->bias) {
            preact[g] += load((const real *)l->bias + at);
        }
    }
}

/* The same from accumulators, which are kept (NULL: not). */
INLINE void spread_kept(const bg_train_layer *l, real *kept, int64_t unit, const vec *acc, vec *preact, const int P) {
    vec u[BG_TRAIN_MAX_GATES]; /* indexed at run time, as registers cannot be */
    UNROLL for (int p = 0; p < P; ++p) {
        u[p] = acc[p];
        if (kept) {
            store(kept + p * l->padded + unit, acc[p]);
        }
    }
    spread(l, unit, u, preact);
}

/* Values and (pseudo-)derivatives of the gates from what was kept of one sequence. */
INLINE void open_gates(const bg_train_layer *l, const real *kept, int64_t unit, vec *gates, vec *slopes) {
    const int n_gates = bg_train_n_gates(l->cell);
    vec u[BG_TRAIN_MAX_GATES], preact[BG_TRAIN_MAX_GATES];
    for (int p = 0; p < l->projections; ++p) {
        u[p] = load(kept + p * l->padded + unit);
    }
    spread(l, unit, u, preact);
    for (int g = 0; g < n_gates; ++g) {
        gates[g] = activate(preact[g], l->edges[g], l->levels[g], g == n_gates - 2, &slopes[g]);
    }
}

/* For the sequences [first, last): whether a block ends with step t. */
static void mark_ends(const bg_train_layer *l, unsigned char *ends, int64_t t, int64_t first, int64_t last) {
    for (int64_t b = first; l->skip == BG_TRAIN_BLOCK_SKIP && b < last; ++b) {
        ends[b - first] = (l->position[b] + t + 1) % l->block == 0;
    }
}

/* h where the block that ends with step t began: all its sequences began it with the same step. */
static const real *anchor_before(const bg_train_layer *l, int64_t t) {
    if (l->skip != BG_TRAIN_BLOCK_SKIP || t < l->block) {
        return l->anchor_0;
    }
    return (const real *)l->output + (t - l->block) * l->batch * l->padded;
}

/* The last anchor of one sequence of `steps` steps. */
static const real *last_anchor(const bg_train_layer *l, int64_t b, int64_t steps) {
    const int64_t n_ends = (l->position[b] + steps) / l->block;
    const real *from = l->anchor_0;
    if (n_ends > 0) {
        from = (const real *)l->output + (n_ends * l->block - l->position[b] - 1) * l->batch * l->padded;
    }
    return from + b * l->padded;
}

/* The hidden state with its skip: `fresh` is o tanh(c), `h` the state before, `anchor` NULL inside a block. */
INLINE vec add_skip(const bg_train_layer *l, int64_t unit, vec fresh, vec f, const real *h, const real *anchor) {
    const vec alpha = load((const real *)l->alpha + unit);
    if (l->skip == BG_TRAIN_BLOCK_SKIP) {
        return anchor ? fresh + alpha * load(anchor) : fresh;
    }
    const vec kept = l->skip == BG_TRAIN_STEP_SKIP ? (1 - alpha) * f : f;
    return (kept + alpha) * load(h) + (1 - f) * fresh;
}

/* Gradients of what every step has in common, one vector for each of them and of G or 1 blocks of units. */
typedef struct {
    real *scale, *bias, *alpha; /* (G, Hp), (G, Hp), (Hp) */
} unit_sums;

static int64_t unit_sums_length(const bg_train_layer *l) { return (2 * BG_TRAIN_MAX_GATES + 1) * l->padded; }

static unit_sums find_unit_sums(const bg_train_layer *l, real *data) {
    const int64_t size = BG_TRAIN_MAX_GATES * l->padded;
    return (unit_sums){data, data + size, data + 2 * size};
}

INLINE void add_to(real *sum, vec value) { store(sum, load(sum) + value); }

/* The way back through a block's end: in `grad` of h, out that of o tanh(c). */
INLINE vec block_skip_grad(const bg_train_layer *l, unit_sums sums, int64_t j, vec grad, const real *anchor,
                           real *grad_anchor) {
    grad += load(grad_anchor); /* h is the anchor from here on */
    add_to(sums.alpha + j, grad * load(anchor));
    store(grad_anchor, load((const real *)l->alpha + j) * grad);
    return grad;
}

/* The way back through a skip at every step: as above; *grad_f is the forget gate's, *grad_before that of h before. */
INLINE vec step_skip_grad(const bg_train_layer *l, unit_sums sums, int64_t j, vec grad, vec f, vec fresh, vec before,
                          vec *grad_f, vec *grad_before) {
    const vec alpha = load((const real *)l->alpha + j), one = splat(1);
    const int is_bounded = l->skip == BG_TRAIN_STEP_SKIP;
    const vec share = is_bounded ? 1 - alpha : one;
    add_to(sums.alpha + j, grad * before * (is_bounded ? 1 - f : one));
    *grad_f = grad * (share * before - fresh);
    *grad_before = grad * (share * f + alpha);
    return grad * (1 - f);
}

/* From gradients of the gates' pre-activations to those of the projections, adding those of scales and biases. */
INLINE void gather(const bg_train_layer *l, unit_sums sums, const real *kept, int64_t j, const vec *grads, vec *of_u) {
    for (int p = 0; p < l->projections; ++p) {
        of_u[p] = splat(0);
    }
    for (int g = 0; g < bg_train_n_gates(l->cell); ++g) {
        const int64_t at = g * l->padded + j;
        const int p = l->sharing[g];
        add_to(sums.scale + at, grads[g] * load(kept + p * l->padded + j));
        add_to(sums.bias + at, grads[g]);
        of_u[p] += grads[g] * load((const real *)l->gate_scale + at);
    }
}

/* Sums over shards: blocks of Hp to blocks of H. */
static void unpack_unit_sums(real *to, real *const *sums, int shards, int blocks, const bg_train_layer *l) {
    for (int64_t k = 0; to && k < blocks * l->hidden; ++k) {
        const int64_t at = k / l->hidden * l->padded + k % l->hidden;
        real sum = 0;
        for (int s = 0; s < shards; ++s) {
            sum += sums[s][at];
        }
        to[k] = sum;
    }
}

#endif
