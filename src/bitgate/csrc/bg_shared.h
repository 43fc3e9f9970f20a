/**
 * @file bg_shared.h
 * @brief Pre-activations of gates that share projections: sums once a projection. Stack: under 128 bytes. Reentrant.
 */
#ifndef BG_SHARED_H
#define BG_SHARED_H

#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The most projections that a layer has. */
#define BG_MAX_PROJECTIONS 4

/** Sums of one unit's rows, by projection. */
typedef struct {
    int32_t x[BG_MAX_PROJECTIONS]; /**< input weights times inputs */
    int32_t h[BG_MAX_PROJECTIONS]; /**< recurrent weights times hidden states */
} bg_unit_sums;

/**
 * Begins a step: with layer->sums makes the sums of all rows, which bg_sum_unit takes from scratch.
 *
 * @param layer    constants; flash, owned by the model
 * @param x        layer->w_ih.columns input codes, owned by the caller
 * @param h        hidden_size codes, owned by the caller
 * @param scratch  of the step (bg_cells.h; with layer->sums as in bg_sums.h), owned by the caller, overwritten
 * @return         where the new hidden states go until all units have theirs: h if it is no longer needed, or scratch
 */
int16_t *bg_begin_units(const bg_layer *layer, const int16_t *x, int16_t *h, int16_t *scratch);

/**
 * Sums of all rows of one unit.
 *
 * @param layer    constants; flash, owned by the model
 * @param unit     0 to hidden_size - 1
 * @param x        layer->w_ih.columns input codes, owned by the caller
 * @param h        hidden_size codes, owned by the caller
 * @param scratch  what bg_begin_units left there; read with layer->sums only
 * @param sums     owned by the caller, overwritten up to the number of projections
 */
void bg_sum_unit(const bg_layer *layer, int32_t unit, const int16_t *x, const int16_t *h, const int16_t *scratch,
                 bg_unit_sums *sums);

/**
 * Whole pre-activation of one gate: inputs, recurrence and bias.
 *
 * @param layer  constants; flash, owned by the model; with sharing
 * @param gate   index of the gate
 * @param row    gate * hidden_size + unit
 * @param sums   of that unit, owned by the caller
 * @return       pre-activation, Q15
 */
int32_t bg_shared_preact(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums);

/** The input's part alone, without bias. Arguments as in bg_shared_preact. */
int32_t bg_shared_preact_input(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums);

/** The recurrence's part alone, without bias. Arguments as in bg_shared_preact. */
int32_t bg_shared_preact_hidden(const bg_layer *layer, int32_t gate, int32_t row, const bg_unit_sums *sums);

#ifdef __cplusplus
}
#endif

#endif
