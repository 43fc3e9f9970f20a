#include "bg_layer.h"

#include "bg_scale.h"

int32_t bg_preact(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *x, const int16_t *h) {
    int32_t k = layer->mult_per_row ? row : gate;
    int32_t sum_x = layer->w_ih.row_sum(&layer->w_ih, row, x);
    int32_t sum_h = layer->w_hh.row_sum(&layer->w_hh, row, h);
    return bg_scale(layer, gate, layer->mult_ih[k], sum_x, layer->mult_hh[k], sum_h) + layer->bias.q15[row];
}

int32_t bg_preact_input(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *x) {
    int32_t k = layer->mult_per_row ? row : gate;
    return bg_scale(layer, gate, layer->mult_ih[k], layer->w_ih.row_sum(&layer->w_ih, row, x), 0, 0);
}

int32_t bg_preact_hidden(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *h) {
    int32_t k = layer->mult_per_row ? row : gate;
    return bg_scale(layer, gate, 0, 0, layer->mult_hh[k], layer->w_hh.row_sum(&layer->w_hh, row, h));
}
