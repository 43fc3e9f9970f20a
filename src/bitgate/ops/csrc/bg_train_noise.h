/* Noise from a seed: uniform, exponential and normal. Sixteen generators of 32 bits side by side, whatever the length
 * of a vector is, so that every instruction set draws the same uniform numbers.
 *
 * Source: Blackman and Vigna 2021, xoshiro128++, seeded by splitmix64; Box and Muller 1958.
 */
#ifndef BG_TRAIN_NOISE_H
#define BG_TRAIN_NOISE_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_vector.h"

typedef uint32_t uvec __attribute__((vector_size(BG_BYTES)));

typedef struct {
    uvec state[4][VECS];
} generator;

static generator seeded(uint64_t seed) {
    generator g;
    uint64_t words[sizeof g / sizeof(uint64_t)];
    for (size_t k = 0; k < sizeof words / sizeof *words; ++k) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        words[k] = z ^ (z >> 31);
    }
    memcpy(&g, words, sizeof g);
    return g;
}

INLINE uvec rotate(uvec x, const int bits) { return (x << bits) | (x >> (32 - bits)); }

/* The next vector of a line: numbers in the middle of 2^MANTISSA equal parts of (0, 1), so neither 0 nor 1. */
INLINE vec next_uniform(generator *g, const int v) {
    uvec *s0 = &g->state[0][v], *s1 = &g->state[1][v], *s2 = &g->state[2][v], *s3 = &g->state[3][v];
    const uvec bits = rotate(*s0 + *s3, 7) + *s0, shifted = *s1 << 9;
    *s2 ^= *s0, *s3 ^= *s1, *s1 ^= *s2, *s0 ^= *s3, *s2 ^= shifted;
    *s3 = rotate(*s3, 11);
    const bits_vec fraction = (bits_vec)bits >> (BG_REAL_BITS - MANTISSA);
    return (vec)(fraction | ONE) - (1 - (real)0.5 / ((integer)1 << MANTISSA));
}

INLINE void draw_line(generator *g, real *to, const int is_normal) {
    UNROLL for (int v = 0; v < VECS; ++v) {
        const vec exponential = -vec_log(next_uniform(g, v));
        if (!is_normal) {
            store(to + v * LANES, exponential);
            continue;
        }
        vec sine, cosine;
        half_turn(next_uniform(g, v) - (real)0.5, &sine, &cosine); /* of half the angle, which is uniform in a turn */
        const vec radius = vec_sqrt(2 * exponential);
        store(to + v * LANES, radius * (1 - 2 * sine * sine));
        store(to + LINE + v * LANES, radius * (2 * sine * cosine));
    }
}

INLINE void fill_noise(real *to, int64_t n, uint64_t seed, const int is_normal) {
    const int64_t drawn = is_normal ? 2 * LINE : LINE;
    generator g = seeded(seed);
    for (; n >= drawn; n -= drawn, to += drawn) {
        draw_line(&g, to, is_normal);
    }
    real rest[2 * LINE];
    draw_line(&g, rest, is_normal);
    memcpy(to, rest, sizeof(real) * (size_t)n);
}

static void noise(void *to, int64_t n, uint64_t seed, int is_normal) {
    if (is_normal) {
        fill_noise(to, n, seed, 1);
    } else {
        fill_noise(to, n, seed, 0);
    }
}

#endif
