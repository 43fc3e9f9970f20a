#include "bg_activation.h"
#include "bg_cells.h"
#include "bg_copy.h"
#include "bg_layer.h"
#include "bg_units.h"

void bg_coupled_lstm_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                          int16_t *scratch) {
    int32_t size = layer->w_hh.columns;
    const bg_gate *gates = layer->gates;
    for (int32_t j = 0; j < size; ++j) {
        int32_t i = bg_activate(&gates[0], bg_preact(layer, 0, j, x, h));
        int32_t g = 2 * bg_activate(&gates[1], bg_preact(layer, 1, size + j, x, h)) - BG_ONE;
        int32_t o = bg_activate(&gates[2], bg_preact(layer, 2, 2 * size + j, x, h));
        scratch[j] = bg_coupled_lstm_unit(i, g, o, state_bits, &c[j]);
    }
    bg_copy_codes(h, scratch, size);
}
