#include "bg_activation.h"
#include "bg_cells.h"
#include "bg_copy.h"
#include "bg_layer.h"
#include "bg_shift.h"

void bg_lstm_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                  int16_t *scratch) {
    int32_t size = layer->w_hh.columns;
    const bg_gate *gates = layer->gates;
    bg_unit_sums sums;
    for (int32_t j = 0; j < size; ++j) {
        bg_sum_unit(layer, j, x, h, &sums);
        int32_t i = bg_activate(&gates[0], bg_preact(layer, 0, j, &sums));
        int32_t f = bg_activate(&gates[1], bg_preact(layer, 1, j, &sums));
        int32_t g = 2 * bg_activate(&gates[2], bg_preact(layer, 2, j, &sums)) - BG_ONE;
        int32_t o = bg_activate(&gates[3], bg_preact(layer, 3, j, &sums));
        c[j] = bg_clip(bg_round_shift32(f * c[j] + bg_floor_shift32(i * g, 4), 15), 32767);
        /* c is Q11; twice its value in Q15, which the tanh takes, is 32 c. */
        scratch[j] = bg_clip(bg_round_shift32(o * bg_smooth_tanh(c[j] * (int32_t)32), 31 - state_bits),
                             bg_code_limit(state_bits));
    }
    bg_copy_codes(h, scratch, size);
}
