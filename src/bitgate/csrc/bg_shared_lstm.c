#include "bg_activation.h"
#include "bg_cells.h"
#include "bg_copy.h"
#include "bg_shared.h"
#include "bg_units.h"

void bg_shared_lstm_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                         int16_t *scratch) {
    int32_t size = layer->w_hh.columns;
    const bg_gate *gates = layer->gates;
    int16_t *next = bg_begin_units(layer, x, h, scratch);
    bg_unit_sums sums;
    for (int32_t j = 0; j < size; ++j) {
        bg_sum_unit(layer, j, x, h, scratch, &sums);
        int32_t i = bg_activate(&gates[0], bg_shared_preact(layer, 0, j, &sums));
        int32_t f = bg_activate(&gates[1], bg_shared_preact(layer, 1, size + j, &sums));
        int32_t g = 2 * bg_activate(&gates[2], bg_shared_preact(layer, 2, 2 * size + j, &sums)) - BG_ONE;
        int32_t o = bg_activate(&gates[3], bg_shared_preact(layer, 3, 3 * size + j, &sums));
        next[j] = bg_lstm_unit(i, f, g, o, state_bits, &c[j]);
    }
    if (next != h) {
        bg_copy_codes(h, next, size);
    }
}
