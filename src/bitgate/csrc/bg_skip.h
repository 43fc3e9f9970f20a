/**
 * @file bg_skip.h
 * @brief Block skip: every block_size steps alpha times the hidden state of the last boundary comes back.
 */
#ifndef BG_SKIP_H
#define BG_SKIP_H

#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One time step of a layer with a skip, layer->skip: its cell, and at a boundary the skip.
 *
 * Arguments as in bg_cells.h, except c: behind the hidden_size values of the cell state lie the anchor, hidden_size
 * codes, and the position, one number from 0 to block_size - 1; all owned by the caller, replaced. Stack: 64 bytes more
 * than the cell's. Reentrant.
 */
void bg_block_skip_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                        int16_t *scratch);

#ifdef __cplusplus
}
#endif

#endif
