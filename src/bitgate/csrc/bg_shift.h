/**
 * @file bg_shift.h
 * @brief Shifts, rounding and clipping. All functions: a few bytes of stack, reentrant, no memory access.
 */
#ifndef BG_SHIFT_H
#define BG_SHIFT_H

#include <stdint.h>

/** One in Q15. */
#define BG_ONE ((int32_t)32768)

/* C99 leaves the right shift of a negative number to the implementation. Everything here needs the arithmetic one;
 * a compiler without it fails on these two lines instead of computing something else. */
typedef char bg_needs_arithmetic_shift_32[(((int32_t)-5) >> 1) == -3 ? 1 : -1];
typedef char bg_needs_arithmetic_shift_64[(((int64_t)-5) >> 1) == -3 ? 1 : -1];

/** floor(value / 2^shift), 0 <= shift <= 31. */
static inline int32_t bg_floor_shift32(int32_t value, int shift) {
    return value >> shift;
}

/** floor(value / 2^shift), 0 <= shift <= 63. */
static inline int64_t bg_floor_shift64(int64_t value, int shift) {
    return value >> shift;
}

/** value / 2^shift to the nearest integer, halves up; 1 <= shift, and value + 2^(shift - 1) must fit. */
static inline int32_t bg_round_shift32(int32_t value, int shift) {
    return bg_floor_shift32(value + ((int32_t)1 << (shift - 1)), shift);
}

/** value / 2^shift to the nearest integer, halves up; 1 <= shift, and value + 2^(shift - 1) must fit. */
static inline int64_t bg_round_shift64(int64_t value, int shift) {
    return bg_floor_shift64(value + ((int64_t)1 << (shift - 1)), shift);
}

/** Largest magnitude of an input or hidden code of @p state_bits bits (8 to 16). */
static inline int32_t bg_code_limit(uint8_t state_bits) {
    return ((int32_t)1 << (state_bits - 1)) - 1;
}

/** Clips to [-limit, limit]; 0 <= limit <= 32767. */
static inline int16_t bg_clip(int32_t value, int32_t limit) {
    return (int16_t)(value > limit ? limit : value < -limit ? -limit : value);
}

#endif
