#include "bg_shift.h"
#include "bg_sums.h"

void bg_lstm_sums_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                       int16_t *scratch) {
    int32_t size = layer->w_hh.columns;
    int32_t stride = bg_padded(size);
    int32_t *sums = (int32_t *)(void *)scratch;
    const int32_t *forget = sums + stride;
    const int32_t *candidates = sums + 2 * stride;
    layer->sums(layer, x, h, sums, sums + 4 * stride);
    for (int32_t gate = 0; gate < 4; ++gate) {
        bg_gate_values(layer, gate, sums + gate * stride);
    }
    for (int32_t j = 0; j < size; ++j) {
        int32_t g = 2 * candidates[j] - BG_ONE;
        c[j] = bg_clip(bg_round_shift32(forget[j] * c[j] + bg_floor_shift32(sums[j] * g, 4), 15), 32767);
    }
    bg_outputs(sums + 3 * stride, c, 5, state_bits, h, size);
}
