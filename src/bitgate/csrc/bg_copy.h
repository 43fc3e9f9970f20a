/**
 * @file bg_copy.h
 * @brief Copies and clears of codes. Loops, because a call of memcpy would link more code than the rest of a small model.
 */
#ifndef BG_COPY_H
#define BG_COPY_H

#include <stdint.h>

/* Keeps compilers from turning the loop back into that call. */
#if defined(__GNUC__)
#define BG_KEEP_LOOP __asm__ volatile("" : : : "memory")
#else
#define BG_KEEP_LOOP (void)0
#endif

/** count codes from one array, owned by the caller, to another. Stack: a few bytes. */
static inline void bg_copy_codes(int16_t *to, const int16_t *from, int32_t count) {
    for (int32_t k = 0; k < count; ++k) {
        to[k] = from[k];
        BG_KEEP_LOOP;
    }
}

/** Zero into count codes, owned by the caller. Stack: a few bytes. */
static inline void bg_clear_codes(int16_t *to, int32_t count) {
    for (int32_t k = 0; k < count; ++k) {
        to[k] = 0;
        BG_KEEP_LOOP;
    }
}

#endif
