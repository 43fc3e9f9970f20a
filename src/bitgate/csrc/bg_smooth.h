/**
 * @file bg_smooth.h
 * @brief The tabulated sigmoid as inline functions, for the loops that spend their time in it.
 */
#ifndef BG_SMOOTH_H
#define BG_SMOOTH_H

#include "bg_options.h"
#include "bg_shift.h"

#ifdef __cplusplus
extern "C" {
#endif

/** round(32768 / (1 + exp(-k / 16))), k = 0 to 179; in bg_activation.c. */
extern const uint16_t bg_sigmoid_table[180];

/** From here on S(u) is 32768. */
#define BG_SMOOTH_END (178 * (int32_t)2048)

/* Keeps compilers from making the absolute value without a branch, which takes small cores more instructions. */
#if defined(__GNUC__) && (defined(__arm__) || defined(__riscv))
#define BG_KEEP_BRANCH(value) __asm__("" : "+r"(value))
#else
#define BG_KEEP_BRANCH(value) (void)0
#endif

/** S(u), 0 to 32768, of any int32 but INT32_MIN; inlined. is_inside: a constant, 1 where it is known that u lies within
 * +-BG_SMOOTH_END. */
static BG_INLINE int32_t bg_smooth_within(int32_t u, int is_inside) {
    int32_t size = u;
    int32_t value = BG_ONE;
    if (u < 0) {
        size = -u;
        BG_KEEP_BRANCH(size);
    }
    if (is_inside || size < BG_SMOOTH_END) {
        const uint16_t *entry = &bg_sigmoid_table[bg_floor_shift32(size, 11)];
        int32_t low = entry[0];
        value = low + bg_round_shift32((entry[1] - low) * (size & 2047), 11);
    }
    return u < 0 ? BG_ONE - value : value;
}

/** S(u), 0 to 32768, of any int32 but INT32_MIN; inlined. */
static BG_INLINE int32_t bg_smooth_here(int32_t u) {
    return bg_smooth_within(u, 0);
}

/** S(u) - 1/2, half of tanh(u / 2), for u within +-BG_SMOOTH_END; inlined. */
static BG_INLINE int32_t bg_smooth_odd(int32_t u) {
    return bg_smooth_within(u, 1) - BG_ONE / 2;
}

#ifdef __cplusplus
}
#endif

#endif
