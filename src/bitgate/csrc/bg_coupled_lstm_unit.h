/**
 * @file bg_coupled_lstm_unit.h
 * @brief The states of one unit, and of all, for the fast steps of the coupled LSTM.
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
        BG_KEEP_BRANCH(value); /* rare, so that one comparison is better than two minima */
        value = value < 0 ? -32767 : 32767;
    }
    *c = (int16_t)value;
    /* A closed gate needs no tanh; with a step gate that is every second one. |2 c| < 2: nothing saturates. */
    *h = (int16_t)(o == 0 ? 0 : bg_round_shift32(o * bg_smooth_odd(2 * value), shift));
}

/** Pre-activation in Q15 from a sum and its bias, Q12. */
static BG_INLINE int32_t bg_biased(int32_t sum, int shift, int16_t bias) {
    return bg_floor_shift32(sum, shift) + bias * (int32_t)8;
}

/** Value of a gate with two levels or without: is_step is a constant where this is inlined. */
static BG_INLINE int32_t bg_plain_gate(int32_t u, int is_step) {
    return is_step ? (u >= 0 ? BG_ONE : 0) : bg_smooth_here(u);
}

/**
 * All units, from sums to states, without storing gates: i is smooth, g and o are steps or smooth. Biases are
 * layer->bias.q12; layer->gates is not read.
 */
static BG_INLINE void bg_units(const bg_layer *layer, const int32_t *sums, int shift, int16_t *c, int16_t *h,
                               int is_step) {
    int32_t size = layer->w_hh.columns;
    int32_t stride = bg_padded(size);
    const int16_t *bias = layer->bias.q12;
    int shift_i = layer->shift[0], shift_g = layer->shift[1], shift_o = layer->shift[2];
    for (const int32_t *end = sums + size; sums < end; ++sums) {
        int32_t i = bg_smooth_here(bg_biased(sums[0], shift_i, bias[0]));
        int32_t g = bg_plain_gate(bg_biased(sums[stride], shift_g, bias[1]), is_step);
        int32_t o = bg_plain_gate(bg_biased(sums[2 * stride], shift_o, bias[2]), is_step);
        bg_unit(i, g, o, shift, c, h);
        bias += 3;
        ++c;
        ++h;
    }
}

#ifdef __cplusplus
}
#endif

#endif
