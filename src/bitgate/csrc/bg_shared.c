#include "bg_shared.h"

#include "bg_scale.h"

void bg_sum_unit(const bg_layer *layer, int32_t unit, const int16_t *x, const int16_t *h, bg_unit_sums *sums) {
    const bg_matrix *w_ih = &layer->w_ih;
    const bg_matrix *w_hh = &layer->w_hh;
    int32_t projection = 0;
    for (int32_t row = unit; row < w_hh->rows; row += w_hh->columns) {
        sums->x[projection] = w_ih->row_sum(w_ih, row, x);
        sums->h[projection] = w_hh->row_sum(w_hh, row, h);
        ++projection;
    }
}

int32_t bg_shared_preact(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums) {
    int32_t k = layer->mult_per_row ? row : gate;
    int32_t p = layer->sharing[gate];
    return bg_scale(layer, gate, layer->mult_ih[k], sums->x[p], layer->mult_hh[k], sums->h[p]) + layer->bias[row];
}

int32_t bg_shared_preact_input(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums) {
    int32_t k = layer->mult_per_row ? row : gate;
    return bg_scale(layer, gate, layer->mult_ih[k], sums->x[layer->sharing[gate]], 0, 0);
}

int32_t bg_shared_preact_hidden(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums) {
    int32_t k = layer->mult_per_row ? row : gate;
    return bg_scale(layer, gate, 0, 0, layer->mult_hh[k], sums->h[layer->sharing[gate]]);
}
