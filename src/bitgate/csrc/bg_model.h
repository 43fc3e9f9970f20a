/**
 * @file bg_model.h
 * @brief A whole model over a state that belongs to the caller. All functions are reentrant.
 *
 * The state is one array of int16: for each layer its h, then its c, hidden_size values each; a layer with a skip has
 * behind them its anchor, as many, and its position, one. A model without layers keeps its last input instead (input_size
 * values). All zero is the state before the first step.
 * Running in chunks of any length gives the same integers as running at once.
 */
#ifndef BG_MODEL_H
#define BG_MODEL_H

#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Number of int16 in the state of @p model. Stack: under 64 bytes. */
int32_t bg_model_state_size(const bg_model *model);

/** Sets the state (bg_model_state_size values, owned by the caller) to zero. Stack: under 64 bytes. */
void bg_model_reset(const bg_model *model, int16_t *state);

/**
 * One time step of all layers. Stack, calls included: under 384 bytes; with the steps of bg_sums.h under 512, or 640
 * where pointers have 64 bits. A block skip adds 64 bytes.
 *
 * @param model    constants; flash
 * @param state    bg_model_state_size values, owned by the caller, updated
 * @param scratch  as many int16 as the widest layer has units, owned by the caller; its content does not matter
 * @param x        input_size codes within +-(2^(state_bits - 1) - 1), owned by the caller
 */
void bg_model_step(const bg_model *model, int16_t *state, int16_t *scratch, const int16_t *x);

/** The hidden state of the last layer inside @p state; a model without layers has its last input there. */
const int16_t *bg_model_output(const bg_model *model, const int16_t *state);

#ifdef __cplusplus
}
#endif

#endif
