#include "bg_coupled_lstm_unit.h"

/* All units, where all gates are smooth: their values stay in registers. */
BG_SEPARATE static void bg_smooth_units(const bg_layer *layer, const int32_t *sums, int shift, int16_t *c, int16_t *h) {
    int32_t size = layer->w_hh.columns;
    int32_t stride = bg_padded(size);
    const int32_t *bias = layer->bias;
    int shift_i = layer->shift[0], shift_g = layer->shift[1], shift_o = layer->shift[2];
    for (const int32_t *end = sums + size; sums < end; ++sums) {
        int32_t i = bg_smooth_inline(bg_floor_shift32(sums[0], shift_i) + bias[0]);
        int32_t g = bg_smooth_inline(bg_floor_shift32(sums[stride], shift_g) + bias[size]);
        int32_t o = bg_smooth_inline(bg_floor_shift32(sums[2 * stride], shift_o) + bias[2 * size]);
        bg_unit(i, g, o, shift, c, h);
        ++bias;
        ++c;
        ++h;
    }
}

void bg_coupled_lstm_smooth_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                                 int16_t *scratch) {
    int32_t *sums = (int32_t *)(void *)scratch;
    layer->sums(layer, x, h, sums, sums + 3 * bg_padded(layer->w_hh.columns));
    bg_smooth_units(layer, sums, 30 - state_bits, c, h);
}
