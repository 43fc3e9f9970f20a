/**
 * @file bg_layer.h
 * @brief Pre-activations shared by all cells. Stack: under 128 bytes. Reentrant.
 */
#ifndef BG_LAYER_H
#define BG_LAYER_H

#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Whole pre-activation of one row: inputs, recurrence and bias.
 *
 * @param layer  constants; flash, owned by the model
 * @param gate   index of the row's gate
 * @param row    gate * hidden_size + unit
 * @param x      layer->w_ih.columns input codes, owned by the caller
 * @param h      hidden_size codes, owned by the caller
 * @return       pre-activation, Q15
 */
int32_t bg_preact(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *x, const int16_t *h);

/** The input's part alone, without bias. Arguments as in bg_preact. */
int32_t bg_preact_input(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *x);

/** The recurrence's part alone, without bias. Arguments as in bg_preact. */
int32_t bg_preact_hidden(const bg_layer *layer, int32_t gate, int32_t row, const int16_t *h);

#ifdef __cplusplus
}
#endif

#endif
