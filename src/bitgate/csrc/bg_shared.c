#include "bg_shared.h"

#include "bg_scale.h"
#include "bg_sums.h"

int16_t *bg_begin_units(const bg_layer *layer, const int16_t *x, int16_t *h, int16_t *scratch) {
    if (layer->sums) {
        int32_t *sums = (int32_t *)(void *)scratch;
        layer->sums(layer, x, h, sums, sums + 2 * layer->separate_gates * bg_padded(layer->w_hh.columns));
        return h;
    }
    return scratch;
}

/* Of sums that are there already. */
static void bg_take_unit(const bg_layer *layer, const int32_t *taken, bg_unit_sums *sums) {
    int32_t padded = bg_padded(layer->w_hh.columns);
    int32_t projections = layer->separate_gates;
    for (int32_t p = 0; p < projections; ++p) {
        sums->x[p] = taken[0];
        sums->h[p] = taken[projections * padded];
        taken += padded;
    }
}

void bg_sum_unit(const bg_layer *layer, int32_t unit, const int16_t *x, const int16_t *h, const int16_t *scratch,
                 bg_unit_sums *sums) {
    const bg_matrix *w_ih = &layer->w_ih;
    const bg_matrix *w_hh = &layer->w_hh;
    int32_t projection = 0;
    if (layer->sums) {
        bg_take_unit(layer, (const int32_t *)(const void *)scratch + unit, sums);
        return;
    }
    for (int32_t row = unit; row < w_hh->rows; row += w_hh->columns) {
        sums->x[projection] = w_ih->row_sum(w_ih, row, x);
        sums->h[projection] = w_hh->row_sum(w_hh, row, h);
        ++projection;
    }
}

int32_t bg_shared_preact(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums) {
    int32_t k = layer->mult_per_row ? row : gate;
    int32_t p = layer->sharing[gate];
    return bg_scale(layer, gate, layer->mult_ih[k], sums->x[p], layer->mult_hh[k], sums->h[p]) + layer->bias.q15[row];
}

int32_t bg_shared_preact_input(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums) {
    int32_t k = layer->mult_per_row ? row : gate;
    return bg_scale(layer, gate, layer->mult_ih[k], sums->x[layer->sharing[gate]], 0, 0);
}

int32_t bg_shared_preact_hidden(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums) {
    int32_t k = layer->mult_per_row ? row : gate;
    return bg_scale(layer, gate, 0, 0, layer->mult_hh[k], sums->h[layer->sharing[gate]]);
}
