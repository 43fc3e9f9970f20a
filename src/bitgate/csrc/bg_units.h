/**
 * @file bg_units.h
 * @brief New states of one unit from its gates' values, by cell. All functions: a few bytes of stack, reentrant.
 *
 * Gates are in Q15: sigmoids 0 to 32768, candidates (g, n) -32768 to 32768. c is the cell state of the unit, owned by
 * the caller, replaced; the result is the hidden state as a code of state_bits bits.
 */
#ifndef BG_UNITS_H
#define BG_UNITS_H

#include "bg_activation.h"
#include "bg_shift.h"

/** LSTM; c is Q11, and twice its value in Q15, which the tanh takes, is 32 c. */
static inline int16_t bg_lstm_unit(int32_t i, int32_t f, int32_t g, int32_t o, uint8_t state_bits, int16_t *c) {
    *c = bg_clip(bg_round_shift32(f * *c + bg_floor_shift32(i * g, 4), 15), 32767);
    return bg_clip(bg_round_shift32(o * bg_smooth_tanh(*c * (int32_t)32), 31 - state_bits), bg_code_limit(state_bits));
}

/** LSTM with f = 1 - i; c is Q15, and the tanh takes twice its value. */
static inline int16_t bg_coupled_lstm_unit(int32_t i, int32_t g, int32_t o, uint8_t state_bits, int16_t *c) {
    *c = bg_clip(bg_round_shift32((BG_ONE - i) * *c + i * g, 15), 32767);
    return bg_clip(bg_round_shift32(o * bg_smooth_tanh(*c * (int32_t)2), 31 - state_bits), bg_code_limit(state_bits));
}

/** GRU and gated RNN; c is the hidden state in Q15. */
static inline int16_t bg_gru_unit(int32_t z, int32_t n, uint8_t state_bits, int16_t *c) {
    int32_t rounded;
    *c = bg_clip(bg_round_shift32(z * *c + (BG_ONE - z) * n, 15), 32767);
    rounded = state_bits == 16 ? *c : bg_round_shift32(*c, 16 - state_bits);
    return bg_clip(rounded, bg_code_limit(state_bits));
}

#endif
