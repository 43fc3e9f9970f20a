#include "bg_activation.h"
#include "bg_shift.h"
#include "bg_sums.h"

void bg_gru_sums_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                      int16_t *scratch) {
    int32_t size = layer->w_hh.columns;
    int32_t stride = bg_padded(size);
    int32_t limit = bg_code_limit(state_bits);
    int shift = layer->shift[2];
    int32_t *sums = (int32_t *)(void *)scratch;
    layer->sums(layer, x, h, sums, sums + 4 * stride);
    bg_gate_values(layer, 0, sums + stride);
    bg_gate_values(layer, 1, sums + 2 * stride);
    for (int32_t j = 0; j < size; ++j) {
        int32_t r = sums[stride + j];
        int32_t z = sums[2 * stride + j];
        int32_t p_x = bg_round_shift32(layer->mult_ih[2] * sums[j], shift) + layer->bias.q15[2 * size + j];
        int32_t p_h = bg_round_shift32(layer->mult_hh[2] * sums[3 * stride + j], shift) + layer->bias_hn[j];
        int32_t u = p_x + (int32_t)bg_round_shift64((int64_t)r * p_h, 15);
        int32_t n = 2 * bg_activate(&layer->gates[2], u) - BG_ONE;
        int32_t rounded;
        c[j] = bg_clip(bg_round_shift32(z * c[j] + (BG_ONE - z) * n, 15), 32767);
        /* At most 13 bits here, so there is always something to round away. */
        rounded = bg_round_shift32(c[j], 16 - state_bits);
        h[j] = bg_clip(rounded, limit);
    }
}
