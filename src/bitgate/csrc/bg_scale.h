/**
 * @file bg_scale.h
 * @brief The sums of a row, scaled to a pre-activation without bias.
 */
#ifndef BG_SCALE_H
#define BG_SCALE_H

#include "bg_shift.h"
#include "bg_types.h"

/**
 * round_shift(mult_x * sum_x + mult_h * sum_h, shift) in the width that freezing has proven to suffice. Stack: under 64
 * bytes. Reentrant.
 *
 * @param layer   constants; flash, owned by the model
 * @param gate    index of the gate
 * @param mult_x  multiplier of the input sum
 * @param sum_x   input sum
 * @param mult_h  multiplier of the recurrent sum
 * @param sum_h   recurrent sum
 * @return        Q15
 */
static inline int32_t bg_scale(const bg_layer *layer, int32_t gate, int32_t mult_x, int32_t sum_x, int32_t mult_h,
                               int32_t sum_h) {
    int shift = layer->shift[gate];
    if (layer->product_bits == 32) {
        return bg_round_shift32(mult_x * sum_x + mult_h * sum_h, shift);
    }
    return (int32_t)bg_round_shift64((int64_t)mult_x * sum_x + (int64_t)mult_h * sum_h, shift);
}

#endif
