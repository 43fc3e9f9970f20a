/* Discrete weights with their scales: Gumbel-Softmax draws (weights/gumbel.py) and rounding (weights/quantized.py), with
 * their pseudo-gradients in closed form. */
#ifndef BG_TRAIN_SAMPLE_H
#define BG_TRAIN_SAMPLE_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_noise.h"
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

/* Weights [at, at + n) of all; what the noise makes of their logits goes through `perturbed`. Few levels, K a constant,
 * stay in registers. */
INLINE void sample_some(const bg_train_discrete *p, int64_t at, int64_t n, real scale, const int K) {
    const real *logits = (const real *)p->from + at, *noise = (const real *)p->noise + at, *values = p->values;
    const real inverse = (real)(1 / p->temperature);
    vec perturbed[BG_TRAIN_MAX_LEVELS], best = splat(0), drawn = splat(values[0]), total = splat(0), mean = splat(0);
    for (int k = 0; k < K; ++k) {
        const vec z = (load_some(logits + k * p->count, n) - vec_log(load_some(noise + k * p->count, n))) * inverse;
        const ivec better = z > best;
        drawn = k == 0 ? drawn : choose(better, splat(values[k]), drawn);
        best = k == 0 ? z : choose(better, z, best);
        perturbed[k] = z;
    }
    for (int k = 0; k < K; ++k) {
        perturbed[k] = vec_exp_negative(perturbed[k] - best);
        total += perturbed[k];
        mean += perturbed[k] * values[k];
    }
    total = reciprocal(total);
    mean *= total;
    store_some((real *)p->weights + at, (p->straight_through ? drawn : mean) * scale, n);
    for (int k = 0; p->slopes && k < K; ++k) {
        const vec slope = perturbed[k] * (total * inverse) * (values[k] - mean);
        store_some((real *)p->slopes + k * p->count + at, slope, n);
    }
}

/* The nearest level; a tie goes to the larger magnitude. Comparisons are negated so that NaN goes to the last level, as
 * in torch's bucketize. */
INLINE void round_some(const bg_train_discrete *p, int64_t at, int64_t n, real scale) {
    const real *values = p->values, lowest = values[0], highest = values[p->levels - 1];
    const vec latent = load_some((const real *)p->from + at, n);
    const ivec positive = latent >= 0;
    vec found = splat(lowest);
    for (int k = 1; k < p->levels; ++k) {
        const real middle = (values[k] + values[k - 1]) / 2;
        const ivec above = (positive & ~(latent < middle)) | (~positive & ~(middle >= latent));
        found = choose(above, splat(values[k]), found);
    }
    store_some((real *)p->weights + at, found * scale, n);
    if (p->slopes) {
        const ivec inside = (latent >= lowest) & (latent <= highest);
        store_some((real *)p->slopes + at, choose(inside, splat(1), splat(0)), n);
    }
}

/* Gradients of what the weights [at, at + n) came from; adds to the gradient of their scale's logarithm. */
INLINE void grade_some(const bg_train_discrete *p, int64_t at, int64_t n, real scale, vec *sum) {
    const vec grad = n == LANES ? load((const real *)p->grad + at) : load_some((const real *)p->grad + at, n);
    const vec scaled = grad * scale;
    for (int k = 0; p->grad_from && k < p->levels; ++k) {
        const int64_t where = k * p->count + at;
        store_some((real *)p->grad_from + where, load_some((const real *)p->slopes + where, n) * scaled, n);
    }
    if (p->grad_log_scale) {
        vec share = grad * load_some((const real *)p->weights + at, n);
        for (int k = (int)n; k < LANES; ++k) {
            share[k] = 0;
        }
        *sum += share;
    }
}

/* Runs `some` over every block of weights that shares a scale. */
#define OVER_BLOCKS(some, ...)                                              \
    for (int64_t at = block * size; at < (block + 1) * size; at += LANES) { \
        const int64_t left = (block + 1) * size - at;                       \
        if (left >= LANES) {                                                \
            some(p, at, LANES, scale __VA_ARGS__);                          \
        } else {                                                            \
            some(p, at, left, scale __VA_ARGS__);                           \
        }                                                                   \
    }

static void discrete_forward(const bg_train_discrete *p) {
    const int64_t size = p->count / p->blocks;
    if (p->noise && p->draws) {
        noise(p->noise, p->levels * p->count, p->seed, 0);
    }
    for (int64_t block = 0; block < p->blocks; ++block) {
        const real scale = p->scales ? ((const real *)p->scales)[block] : 1;
        if (p->noise && p->levels == 2) {
            OVER_BLOCKS(sample_some, , 2)
        } else if (p->noise && p->levels == 3) {
            OVER_BLOCKS(sample_some, , 3)
        } else if (p->noise) {
            OVER_BLOCKS(sample_some, , p->levels)
        } else {
            OVER_BLOCKS(round_some)
        }
    }
}

static void discrete_backward(const bg_train_discrete *p) {
    const int64_t size = p->count / p->blocks;
    for (int64_t block = 0; block < p->blocks; ++block) {
        const real scale = p->scales ? ((const real *)p->scales)[block] : 1;
        vec sum = splat(0);
        OVER_BLOCKS(grade_some, , &sum)
        real total = 0;
        for (int k = 0; k < LANES; ++k) {
            total += sum[k];
        }
        if (p->grad_log_scale) {
            ((real *)p->grad_log_scale)[block] += total;
        }
    }
}

#endif
