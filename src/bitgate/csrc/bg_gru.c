#include "bg_activation.h"
#include "bg_cells.h"
#include "bg_copy.h"
#include "bg_layer.h"
#include "bg_units.h"

void bg_gru_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                 int16_t *scratch) {
    int32_t size = layer->w_hh.columns;
    const bg_gate *gates = layer->gates;
    for (int32_t j = 0; j < size; ++j) {
        int32_t row = 2 * size + j;
        int32_t r = bg_activate(&gates[0], bg_preact(layer, 0, j, x, h));
        int32_t z = bg_activate(&gates[1], bg_preact(layer, 1, size + j, x, h));
        int32_t p_x = bg_preact_input(layer, 2, row, x) + layer->bias.q15[row];
        int32_t p_h = bg_preact_hidden(layer, 2, row, h) + layer->bias_hn[j];
        int32_t u = p_x + (int32_t)bg_round_shift64((int64_t)r * p_h, 15);
        int32_t n = 2 * bg_activate(&gates[2], u) - BG_ONE;
        scratch[j] = bg_gru_unit(z, n, state_bits, &c[j]);
    }
    bg_copy_codes(h, scratch, size);
}
