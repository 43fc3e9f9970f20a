/**
 * @file bg_cells.h
 * @brief One time step of one layer, by cell; one source file each, so that a model links what it uses.
 *
 * Every function takes
 * - layer: constants; flash, owned by the model;
 * - state_bits: bits n of the codes, 8 to 16;
 * - x: layer->w_ih.columns codes within +-(2^(n-1) - 1), owned by the caller, not changed;
 * - h: hidden_size codes (hidden state, Q(n-1)), owned by the caller, replaced by the new ones;
 * - c: hidden_size int16 (cell state, Q11 for the LSTM and Q15 otherwise), owned by the caller, replaced;
 * - scratch: hidden_size int16 of working memory, owned by the caller, overlapping none of the others.
 * Stack: under 320 bytes, calls included; under 352 with shared projections. Reentrant: all memory is the caller's.
 */
#ifndef BG_CELLS_H
#define BG_CELLS_H

#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** LSTM, gate rows i f g o. */
void bg_lstm_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                  int16_t *scratch);

/** LSTM with f = 1 - i, gate rows i g o. */
void bg_coupled_lstm_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                          int16_t *scratch);

/** Gated RNN (a GRU without reset gate), gate rows z n; c is the hidden state in Q15. */
void bg_gated_rnn_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                       int16_t *scratch);

/** GRU, gate rows r z n; c is the hidden state in Q15. */
void bg_gru_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                 int16_t *scratch);

/** As bg_lstm_step, for gates that share projections: layer->sharing. */
void bg_shared_lstm_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                         int16_t *scratch);

/** As bg_coupled_lstm_step, for gates that share projections. */
void bg_shared_coupled_lstm_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                                 int16_t *scratch);

/** As bg_gru_step, for gates that share projections. */
void bg_shared_gru_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                        int16_t *scratch);

/** As bg_gated_rnn_step, for gates that share projections. */
void bg_shared_gated_rnn_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                              int16_t *scratch);

#ifdef __cplusplus
}
#endif

#endif
