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

/** round(32768 / (1 + exp(-k / 16))), k = 0 to 192; in bg_activation.c. */
extern const uint16_t bg_sigmoid_table[193];

/** S(u) for 0 <= u < 12 * BG_ONE. */
static inline int32_t bg_smooth_inside(int32_t u) {
    const uint16_t *entry = &bg_sigmoid_table[bg_floor_shift32(u, 11)];
    int32_t low = entry[0];
    return low + bg_round_shift32((entry[1] - low) * (u & 2047), 11);
}

/** S(u), 0 to 32768, of any int32 but INT32_MIN. */
static inline int32_t bg_smooth_inline(int32_t u) {
    if (u >= 0) {
        return u < 12 * BG_ONE ? bg_smooth_inside(u) : BG_ONE;
    }
    return u > -12 * BG_ONE ? BG_ONE - bg_smooth_inside(-u) : 0;
}

#if BG_SMALL
int32_t bg_smooth(int32_t u); /* bg_activation.h */

/** S(u), called where it is used. */
static inline int32_t bg_smooth_here(int32_t u) {
    return bg_smooth(u);
}

/** S(u) - 1/2, half of tanh(u / 2). */
static inline int32_t bg_smooth_odd(int32_t u) {
    return bg_smooth(u) - BG_ONE / 2;
}
#else
/** S(u), in the loop where it is used. */
static inline int32_t bg_smooth_here(int32_t u) {
    return bg_smooth_inline(u);
}

/** S(u) - 1/2, half of tanh(u / 2), for -12 * BG_ONE < u < 12 * BG_ONE. */
static inline int32_t bg_smooth_odd(int32_t u) {
    return u < 0 ? BG_ONE / 2 - bg_smooth_inside(-u) : bg_smooth_inside(u) - BG_ONE / 2;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
