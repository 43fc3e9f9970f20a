/* Gumbel-Softmax draws of discrete weights, and their pseudo-gradients in closed form (weights/gumbel.py). */
#ifndef BG_TRAIN_SAMPLE_H
#define BG_TRAIN_SAMPLE_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_vector.h"

/* n <= LANES elements, ones behind them. */
INLINE vec load_some(const real *from, int64_t n) {
    if (n == LANES) {
        return load(from);
    }
    vec value = splat(1);
    memcpy(&value, from, sizeof(real) * (size_t)n);
    return value;
}

INLINE void store_some(real *to, vec value, int64_t n) {
    if (n == LANES) {
        store(to, value);
    } else {
        memcpy(to, &value, sizeof(real) * (size_t)n);
    }
}

/* Weights [at, at + n) of all; what the noise makes of their logits goes through `perturbed`. */
INLINE void sample_some(const bg_train_sample *p, int64_t at, int64_t n) {
    const real *logits = (const real *)p->logits + at, *noise = (const real *)p->noise + at, *values = p->values;
    const real inverse = (real)(1 / p->temperature);
    vec perturbed[BG_TRAIN_MAX_LEVELS], best = splat(0), drawn = splat(values[0]), total = splat(0), mean = splat(0);
    for (int k = 0; k < p->levels; ++k) {
        const vec z = (load_some(logits + k * p->count, n) - vec_log(load_some(noise + k * p->count, n))) * inverse;
        const ivec better = z > best;
        drawn = k == 0 ? drawn : choose(better, splat(values[k]), drawn);
        best = k == 0 ? z : choose(better, z, best);
        perturbed[k] = z;
    }
    for (int k = 0; k < p->levels; ++k) {
        perturbed[k] = vec_exp_negative(perturbed[k] - best);
        total += perturbed[k];
        mean += perturbed[k] * values[k];
    }
    total = 1 / total;
    mean *= total;
    store_some((real *)p->weights + at, p->straight_through ? drawn : mean, n);
    for (int k = 0; p->slopes && k < p->levels; ++k) {
        const vec slope = perturbed[k] * (total * inverse) * (values[k] - mean);
        store_some((real *)p->slopes + k * p->count + at, slope, n);
    }
}

static void sample(const bg_train_sample *p) {
    int64_t at = 0;
    for (; at + LANES <= p->count; at += LANES) {
        sample_some(p, at, LANES);
    }
    if (at < p->count) {
        sample_some(p, at, p->count - at);
    }
}

#endif
