/**
 * @file bg_between.h
 * @brief The state between the old one and the candidate, of the GRU and the gated RNN.
 */
#ifndef BG_BETWEEN_H
#define BG_BETWEEN_H

#include "bg_shift.h"

/**
 * New state of a unit: z times the old one and 1 - z times the candidate. Stack: a few bytes. Reentrant.
 *
 * @param z           gate, Q15, 0 to 32768
 * @param n           candidate, Q15, -32768 to 32768
 * @param state_bits  bits of a code, 8 to 16
 * @param c           state in Q15, owned by the caller, replaced
 * @return            the state as a code
 */
static inline int16_t bg_between(int32_t z, int32_t n, uint8_t state_bits, int16_t *c) {
    int32_t rounded;
    *c = bg_clip(bg_round_shift32(z * *c + (BG_ONE - z) * n, 15), 32767);
    rounded = state_bits == 16 ? *c : bg_round_shift32(*c, 16 - state_bits);
    return bg_clip(rounded, bg_code_limit(state_bits));
}

#endif
