#include "bg_layer.h"

#include "bg_shift.h"

/* round_shift(mult_x * sum_x + mult_h * sum_h, shift) in the width that freezing has proven to suffice. */
static int32_t bg_scale(const bg_layer *layer, int32_t gate, int32_t mult_x, int32_t sum_x, int32_t mult_h,
                        int32_t sum_h) {
    int shift = layer->shift[gate];
    if (layer->product_bits == 32) {
        return bg_round_shift32(mult_x * sum_x + mult_h * sum_h, shift);
    }
    return (int32_t)bg_round_shift64((int64_t)mult_x * sum_x + (int64_t)mult_h * sum_h, shift);
}

int32_t bg_preact(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *x, const int16_t *h) {
    int32_t k = layer->mult_per_row ? row : gate;
    int32_t sum_x = layer->w_ih.row_sum(&layer->w_ih, row, x);
    int32_t sum_h = layer->w_hh.row_sum(&layer->w_hh, row, h);
    return bg_scale(layer, gate, layer->mult_ih[k], sum_x, layer->mult_hh[k], sum_h) + layer->bias[row];
}

int32_t bg_preact_input(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *x) {
    int32_t k = layer->mult_per_row ? row : gate;
    return bg_scale(layer, gate, layer->mult_ih[k], layer->w_ih.row_sum(&layer->w_ih, row, x), 0, 0);
}

int32_t bg_preact_hidden(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *h) {
    int32_t k = layer->mult_per_row ? row : gate;
    return bg_scale(layer, gate, 0, 0, layer->mult_hh[k], layer->w_hh.row_sum(&layer->w_hh, row, h));
}
