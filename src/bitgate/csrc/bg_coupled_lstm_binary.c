#include "bg_coupled_lstm_unit.h"

BG_SEPARATE static void bg_binary_units(const bg_layer *layer, const int32_t *sums, int shift, int16_t *c, int16_t *h) {
    bg_units(layer, sums, shift, c, h, 1);
}

void bg_coupled_lstm_binary_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                                 int16_t *scratch) {
    int32_t *sums = (int32_t *)(void *)scratch;
    layer->sums(layer, x, h, sums, sums + 3 * bg_padded(layer->w_hh.columns));
    bg_binary_units(layer, sums, 30 - state_bits, c, h);
}
