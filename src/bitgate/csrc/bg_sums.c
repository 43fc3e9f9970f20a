#include "bg_activation.h"
#include "bg_smooth.h"
#include "bg_sums.h"

BG_SEPARATE static void bg_smooth_values(int32_t *sums, const int32_t *end, const int32_t *bias, int shift) {
    while (sums < end) {
        *sums = bg_smooth_here(bg_floor_shift32(*sums, shift) + *bias++);
        ++sums;
    }
}

BG_SEPARATE static void bg_step_values(int32_t *sums, const int32_t *end, const int32_t *bias, int shift) {
    while (sums < end) {
        *sums = bg_floor_shift32(*sums, shift) + *bias++ >= 0 ? BG_ONE : 0;
        ++sums;
    }
}

void bg_gate_values(const bg_layer *layer, int32_t gate, int32_t *sums) {
    const bg_gate *kind = &layer->gates[gate];
    int32_t size = layer->w_hh.columns;
    const int32_t *bias = layer->bias.q15 + gate * size;
    int shift = layer->shift[gate];
    if (kind->levels == 0) {
        bg_smooth_values(sums, sums + size, bias, shift);
        return;
    }
    if (kind->levels == 2) {
        bg_step_values(sums, sums + size, bias, shift);
        return;
    }
    for (int32_t j = 0; j < size; ++j) {
        sums[j] = bg_activate(kind, bg_floor_shift32(sums[j], shift) + bias[j]);
    }
}

void bg_outputs(const int32_t *o, const int16_t *c, int c_shift, uint8_t state_bits, int16_t *h, int32_t size) {
    int32_t limit = bg_code_limit(state_bits);
    int32_t factor = (int32_t)1 << c_shift;
    int shift = 31 - state_bits;
    for (int32_t j = 0; j < size; ++j) {
        /* A closed gate needs no tanh; with a step gate that is every second one. */
        int32_t value = 0;
        if (o[j] != 0) {
            value = bg_round_shift32(o[j] * (2 * bg_smooth_here(c[j] * factor) - BG_ONE), shift);
        }
        h[j] = bg_clip(value, limit);
    }
}
