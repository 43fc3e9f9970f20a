/* Vectors of BG_BYTES bytes of floats (BG_REAL_BITS 32) or doubles (64), and the activations on them.
 * Included by one translation unit per instruction set and type, which defines both. */
#ifndef BG_TRAIN_VECTOR_H
#define BG_TRAIN_VECTOR_H

#include <stdint.h>

#if BG_REAL_BITS == 32
typedef float real;
typedef int32_t integer;
typedef uint32_t bits_integer;
#define SQUARE_ROOT __builtin_sqrtf
#else
typedef double real;
typedef int64_t integer;
typedef uint64_t bits_integer;
#define SQUARE_ROOT __builtin_sqrt
#endif

typedef real vec __attribute__((vector_size(BG_BYTES)));
typedef real loose_vec __attribute__((vector_size(BG_BYTES), aligned(BG_REAL_BITS / 8), may_alias));
typedef integer ivec __attribute__((vector_size(BG_BYTES)));
typedef bits_integer bits_vec __attribute__((vector_size(BG_BYTES)));

#define LANES ((int)(BG_BYTES / sizeof(real)))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* Units come in lines of 64 bytes. */
#define LINE ((int)(64 / sizeof(real)))
#define VECS (64 / BG_BYTES)

/* Rows of a tile that fill the registers: beside one vector each of at most 2, of 3 or of 4 gates; beside one line. */
#if BG_BYTES == 64
enum { ROWS_OF_2 = 8, ROWS_OF_3 = 8, ROWS_OF_4 = 6, MOST_ROWS = 8, LINE_ROWS = 12 };
#elif BG_BYTES == 32
enum { ROWS_OF_2 = 6, ROWS_OF_3 = 4, ROWS_OF_4 = 3, MOST_ROWS = 6, LINE_ROWS = 6 };
#else
enum { ROWS_OF_2 = 4, ROWS_OF_3 = 4, ROWS_OF_4 = 3, MOST_ROWS = 4, LINE_ROWS = 2 };
#endif

/* Tiles of 8 rows are compiled everywhere, if only run where LINE_ROWS is larger. */
enum { MOST_LINE_ROWS = LINE_ROWS > 8 ? LINE_ROWS : 8 };

INLINE vec load(const real *from) { return *(const loose_vec *)from; }
INLINE void store(real *to, vec value) { *(loose_vec *)to = value; }
INLINE vec splat(real value) { return value - (vec){0}; }
INLINE vec choose(ivec mask, vec yes, vec no) { return (vec)(((ivec)yes & mask) | ((ivec)no & ~mask)); }

/* The smaller of limit and x; NaN stays NaN, because comparisons with it are false. */
INLINE vec at_most(real limit, vec x) {
#if BG_BYTES == 64 && BG_REAL_BITS == 32 && !defined(__clang__) /* GCC does not find this instruction by itself */
    return __builtin_ia32_minps512_mask(splat(limit), x, x, 0xffff, 4);
#else
    return choose(x > limit, splat(limit), x);
#endif
}

/* 1 / x for x from 2^-126 to 2^126, to 1 ulp: where a division takes as long as many products, by one step of Newton's
 * from the processor's estimate, which has 14 bits. */
INLINE vec reciprocal(vec x) {
#if BG_BYTES == 64 && BG_REAL_BITS == 32
    const vec guess = __builtin_ia32_rcp14ps512_mask(x, x, 0xffff);
    return guess * (1 - x * guess) + guess;
#else
    return 1 / x;
#endif
}

INLINE vec vec_sqrt(vec x) { /* one instruction, given -fno-math-errno */
    UNROLL for (int k = 0; k < LANES; ++k) { x[k] = SQUARE_ROOT(x[k]); }
    return x;
}

/* exp(x) = scale (1 + p) with p = expm1(r) by a minimax polynomial, |r| <= ln(2)/2; error below 0.3 ulp of p. */
#if BG_REAL_BITS == 32
#define EXP_LIMIT 87.0f
#define TANH_LIMIT 40.0f
#define MAGIC 12582912.0f
#define ONE 0x3f800000
#define MANTISSA 23
#define LOG2_E 1.44269504f
#define LN2_HIGH 0.693145751953125f
#define LN2_LOW 1.42860677e-6f
#define SQRT_HALF 0x3f3504f3
#define LOG_TERMS 5
#define SINE_TERMS 7
#define SMALLEST 1.17549435e-38f
#define INFINITE __builtin_inff()
static const real POLYNOMIAL[] = {1.3926184969065245627e-3f, 8.3631801585414744712e-3f, 4.166655460890821284e-2f,
                                  0.16666576983057533905f, 0.5f};
#else
#define EXP_LIMIT 708.0
#define TANH_LIMIT 80.0
#define MAGIC 6755399441055744.0
#define ONE 0x3ff0000000000000
#define MANTISSA 52
#define LOG2_E 1.4426950408889634074
#define LN2_HIGH 6.93147180369123816490e-1
#define LN2_LOW 1.90821492927058770002e-10
#define SQRT_HALF 0x3fe6a09e667f3bcd
#define LOG_TERMS 11
#define SINE_TERMS 12
#define SMALLEST 2.2250738585072014e-308
#define INFINITE __builtin_inf()
static const real POLYNOMIAL[] = {
    2.0914688372324504667e-9, 2.5105218971145443937e-8, 2.7557273639736259992e-7, 2.7557255395481603309e-6,
    2.4801587325550401304e-5, 1.9841269874824350308e-4, 1.3888888888883747544e-3, 8.3333333333261340603e-3,
    4.1666666666666669755e-2, 0.16666666666666670991,   0.5};
#endif
#define DEGREE ((int)(sizeof POLYNOMIAL / sizeof *POLYNOMIAL))

INLINE vec exp_parts(vec x, vec *scale) {
    vec shifted = x * LOG2_E + MAGIC; /* the low bits of its mantissa are round(x / ln 2) */
    vec n = shifted - MAGIC;
    vec r = (x - n * LN2_HIGH) - n * LN2_LOW;
    *scale = (vec)(((ivec)shifted << MANTISSA) + ONE);
    vec q = splat(POLYNOMIAL[0]);
    UNROLL for (int k = 1; k < DEGREE; ++k) { q = q * r + POLYNOMIAL[k]; }
    return q * (r * r) + r;
}

/* 1 / (1 + exp(-x)) */
INLINE vec vec_sigmoid(vec x) {
    vec scale, p = exp_parts(at_most(EXP_LIMIT, -at_most(EXP_LIMIT, x)), &scale);
    return reciprocal(1 + (scale * p + scale));
}

/* -expm1(-2|x|) / (2 + expm1(-2|x|)) with the sign of x: accurate near 0 too. */
INLINE vec vec_tanh(vec x) {
    const ivec sign = (ivec)splat((real)-0.0) & (ivec)x;
    vec scale, p = exp_parts(-2 * at_most(TANH_LIMIT / 2, (vec)((ivec)x ^ sign)), &scale);
    vec e = scale * p + (scale - 1);
    return (vec)((ivec)(-e * reciprocal(2 + e)) ^ sign);
}

/* exp(x) for x <= 0; at least exp(-EXP_LIMIT). */
INLINE vec vec_exp_negative(vec x) {
    vec scale, p = exp_parts(-at_most(EXP_LIMIT, -x), &scale);
    return scale * p + scale;
}

/* ln(x) = e ln 2 + 2 artanh((m - 1) / (m + 1)) with x = m 2^e, m within sqrt(2) of 1, and the series of artanh; minus
 * infinity below the smallest normal number. */
INLINE vec vec_log(vec x) {
    const ivec bits = (ivec)x, e = (bits - SQRT_HALF) >> MANTISSA;
    const vec m = (vec)(bits - (e << MANTISSA)), s = (m - 1) * reciprocal(m + 1), z = s * s;
    const vec n = (vec)(e + (ivec)splat(MAGIC)) - MAGIC;
    vec q = splat((real)2 / (2 * LOG_TERMS + 1));
    UNROLL for (int k = LOG_TERMS - 1; k > 0; --k) { q = q * z + (real)2 / (2 * k + 1); }
    const vec log = n * LN2_HIGH + (n * LN2_LOW + (s * z * q + 2 * s));
    return choose(x < SMALLEST, splat(-INFINITE), choose(x < INFINITE, log, x));
}

/* sin and cos of pi turns, |turns| <= 1/2, by their series. */
INLINE void half_turn(vec turns, vec *sine, vec *cosine) {
    const vec t = turns * (real)3.14159265358979323846, z = -t * t;
    vec s = splat(1), c = splat(1);
    UNROLL for (int k = SINE_TERMS; k > 0; --k) {
        s = s * z * ((real)1 / (2 * k * (2 * k + 1))) + 1;
        c = c * z * ((real)1 / (2 * k * (2 * k - 1))) + 1;
    }
    *sine = t * s;
    *cosine = c;
}

/* Number of edges at or below the pre-activation, as a level (docs/arithmetic.md). */
INLINE vec staircase(vec preact, const real *edges, int levels, int is_tanh) {
    vec count = splat(0);
    const vec one = splat(1);
    for (int k = 0; k < levels - 1; ++k) {
        count += (vec)((preact >= splat(edges[k])) & (ivec)one);
    }
    vec unit = count / (real)(levels - 1);
    return is_tanh ? 2 * unit - 1 : unit;
}

INLINE vec slope_of(vec smooth, int is_tanh) { return is_tanh ? 1 - smooth * smooth : smooth * (1 - smooth); }

/* Value of a gate; *slope is the derivative of its smooth activation. */
INLINE vec activate(vec preact, const real *edges, int levels, int is_tanh, vec *slope) {
    vec smooth = is_tanh ? vec_tanh(preact) : vec_sigmoid(preact);
    *slope = slope_of(smooth, is_tanh);
    return __builtin_expect(levels > 0, 0) ? staircase(preact, edges, levels, is_tanh) : smooth;
}

#endif
