#include "bg_skip.h"

#include "bg_copy.h"
#include "bg_shift.h"

void bg_block_skip_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                        int16_t *scratch) {
    const bg_skip *skip = layer->skip;
    int32_t size = layer->w_hh.columns;
    int16_t *anchor = c + size;
    int16_t *position = anchor + size;
    /* A cell takes the bits only to round its output, so that fewer of them leave room for what the skip adds. */
    skip->cell(layer, (uint8_t)(state_bits - skip->range_bits), x, h, c, scratch);
    if (*position + 1 < skip->block_size) {
        *position = (int16_t)(*position + 1);
        return;
    }
    *position = 0;
    const uint16_t *alpha = skip->alpha;
    for (int32_t j = 0; j < size; ++j) {
        h[j] = bg_clip(h[j] + bg_round_shift32(*alpha * (int32_t)anchor[j], 15), bg_code_limit(state_bits));
        anchor[j] = h[j];
        alpha += skip->alpha_per_unit; /* a step of 0 or 1: a branch would make two loops */
        BG_KEEP_LOOP; /* unrolled it is four times as large, and no faster */
    }
}
