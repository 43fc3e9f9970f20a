#include "bg_shift.h"
#include "bg_smooth.h"
#include "bg_sums.h"

/* New states of a unit from its gates' values. */
static BG_INLINE void bg_unit(int32_t i, int32_t candidate, int32_t o, int shift, int16_t *c, int16_t *h) {
    /* (1 - i) c + i g in one product: |g - c| < 2, so it fits. */
    int32_t change = 2 * candidate - BG_ONE - *c;
    int32_t value = *c + bg_round_shift32(i * change, 15);
    if ((uint32_t)(value + 32767) > 65534u) {
        value = value < 0 ? -32767 : 32767;
    }
    *c = (int16_t)value;
    /* A closed gate needs no tanh; with a step gate that is every second one. |2 c| < 2: nothing saturates. */
    *h = (int16_t)(o == 0 ? 0 : bg_round_shift32(o * bg_smooth_odd(2 * value), shift));
}

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

void bg_coupled_lstm_sums_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                               int16_t *scratch) {
    int32_t size = layer->w_hh.columns;
    int32_t stride = bg_padded(size);
    int32_t *sums = (int32_t *)(void *)scratch;
    const bg_gate *gates = layer->gates;
    int shift = 30 - state_bits;
    layer->sums(layer, x, h, sums, sums + 3 * stride);
    if ((gates[0].levels | gates[1].levels | gates[2].levels) == 0) {
        bg_smooth_units(layer, sums, shift, c, h);
        return;
    }
    for (int32_t gate = 0; gate < 3; ++gate) {
        bg_gate_values(layer, gate, sums + gate * stride);
    }
    for (int32_t j = 0; j < size; ++j) {
        bg_unit(sums[j], sums[stride + j], sums[2 * stride + j], shift, &c[j], &h[j]);
    }
}
