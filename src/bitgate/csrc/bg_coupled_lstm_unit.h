/**
 * @file bg_coupled_lstm_unit.h
 * @brief The states of one unit, for the fast steps of the coupled LSTM.
 */
#ifndef BG_COUPLED_LSTM_UNIT_H
#define BG_COUPLED_LSTM_UNIT_H

#include "bg_smooth.h"
#include "bg_sums.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * New states of a unit from its gates' values, all in Q15 as sigmoids; shift: 30 less the bits of a code. c and h: one
 * value each, owned by the caller, replaced.
 */
static BG_INLINE void bg_unit(int32_t i, int32_t candidate, int32_t o, int shift, int16_t *c, int16_t *h) {
    /* (1 - i) c + i g in one product: |g - c| < 2, so it fits. */
    int32_t change = 2 * candidate - BG_ONE - *c;
    int32_t value = *c + bg_round_shift32(i * change, 15);
    if ((uint32_t)(value + 32767) > 65534u) {
        value = value < 0 ? -32767 : 32767;
    }
    *c = (int16_t)value;
    /* A closed gate needs no tanh; with a step gate that is every second one. |2 c| < 2: nothing saturates. */
    *h = (int16_t)(o == 0 ? 0 : bg_round_shift32(o * bg_smooth_odd(2 * value), shift));
}

#ifdef __cplusplus
}
#endif

#endif
