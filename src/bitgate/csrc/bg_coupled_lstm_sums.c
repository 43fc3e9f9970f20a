#include "bg_coupled_lstm_unit.h"

void bg_coupled_lstm_sums_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                               int16_t *scratch) {
    int32_t size = layer->w_hh.columns;
    int32_t stride = bg_padded(size);
    int32_t *sums = (int32_t *)(void *)scratch;
    int shift = 30 - state_bits;
    layer->sums(layer, x, h, sums, sums + 3 * stride);
    for (int32_t gate = 0; gate < 3; ++gate) {
        bg_gate_values(layer, gate, sums + gate * stride);
    }
    for (int32_t j = 0; j < size; ++j) {
        bg_unit(sums[j], sums[stride + j], sums[2 * stride + j], shift, &c[j], &h[j]);
    }
}
