#include "bg_coupled_lstm_unit.h"

void bg_coupled_lstm_binary_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                                 int16_t *scratch) {
    int32_t *sums = (int32_t *)(void *)scratch;
    layer->sums(layer, x, h, sums, sums + 3 * bg_padded(layer->w_hh.columns));
    bg_units(layer, sums, 30 - state_bits, c, h, 1);
}
