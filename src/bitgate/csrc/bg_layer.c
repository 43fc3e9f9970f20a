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

/* Row of the gates: where biases and multipliers by row lie. */
static int32_t bg_row(const bg_layer *layer, int32_t gate, int32_t unit) {
    return gate * layer->w_hh.columns + unit;
}

static int32_t bg_projection(const bg_layer *layer, int32_t gate) {
    return layer->sharing ? layer->sharing[gate] : gate;
}

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

int32_t bg_preact(const bg_layer *layer, int32_t gate, int32_t unit, const bg_unit_sums *sums) {
    int32_t row = bg_row(layer, gate, unit);
    int32_t k = layer->mult_per_row ? row : gate;
    int32_t p = bg_projection(layer, gate);
    return bg_scale(layer, gate, layer->mult_ih[k], sums->x[p], layer->mult_hh[k], sums->h[p]) + layer->bias[row];
}

int32_t bg_preact_input(const bg_layer *layer, int32_t gate, int32_t unit, const bg_unit_sums *sums) {
    int32_t k = layer->mult_per_row ? bg_row(layer, gate, unit) : gate;
    return bg_scale(layer, gate, layer->mult_ih[k], sums->x[bg_projection(layer, gate)], 0, 0);
}

int32_t bg_preact_hidden(const bg_layer *layer, int32_t gate, int32_t unit, const bg_unit_sums *sums) {
    int32_t k = layer->mult_per_row ? bg_row(layer, gate, unit) : gate;
    return bg_scale(layer, gate, 0, 0, layer->mult_hh[k], sums->h[bg_projection(layer, gate)]);
}
