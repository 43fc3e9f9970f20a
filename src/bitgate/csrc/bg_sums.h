/**
 * @file bg_sums.h
 * @brief Fast steps for ternary layers on small cores: first the sums of all rows, then gates and states.
 *
 * The same integers as bg_cells.h in fewer instructions, for more working memory. Conditions, which the export checks:
 * levels -1, 0, 1; codes of at most 13 bits (bg_table_sums) or of 8 bits (bg_lanes_sums).
 * The weights lie in an order of their own, written by the export (bitgate/export/c_fast.py).
 *
 * Sums are laid out gate by gate, with bg_padded(hidden_size) int32 each:
 * - layer->separate_gates times the sums of the inputs alone,
 * - layer->joint_gates times half of the divisor 2^shift, plus multiplier times input sum, plus multiplier times recurrent
 *   sum: the first gates, each with multipliers and shift of its own, products of 32 bits,
 * - layer->separate_gates times the sums of the recurrence alone.
 *
 * In an LSTM all gates are joint; of a GRU r and z, and n is separate; where gates share projections or their rows have
 * multipliers of their own, all projections are separate. All functions are reentrant: all memory is the caller's.
 */
#ifndef BG_SUMS_H
#define BG_SUMS_H

#include "bg_options.h"
#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Entries of a group's table: nine rows of nine sums and a spare. */
#define BG_TABLE_ENTRIES 90
/** Inputs that are summed in lanes at once: 64 * 127 fits the lane. */
#define BG_LANE_INPUTS 64

/** Units of a gate up to a whole number of blocks of four rows. */
static inline int32_t bg_padded(int32_t size) {
    return (size + 3) & ~(int32_t)3;
}

/**
 * Sums by tables: the 81 signed sums of every four inputs are made once and looked up by each row.
 *
 * @param layer  constants; flash, owned by the model
 * @param x      layer->w_ih.columns codes of at most 13 bits, owned by the caller
 * @param h      hidden_size codes of at most 13 bits, owned by the caller
 * @param sums   (joint_gates + 2 * separate_gates) * bg_padded(hidden_size) int32, owned by the caller, overwritten
 * @param work   layer->table_groups * BG_TABLE_ENTRIES uint16, aligned to 4 bytes, owned by the caller, overwritten
 *
 * Stack: under 320 bytes, calls included; under 448 where pointers have 64 bits.
 */
void bg_table_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work);

/**
 * Sums in lanes: two rows in one multiply-accumulate of two 16-bit lanes (SMLAD; plain C without DSP instructions).
 *
 * Arguments as in bg_table_sums, but for
 * - x, h: codes of 8 bits;
 * - work: for x and for h, their number up to a multiple of 8, plus 2 for every 64 begun; in int16, aligned to 4 bytes.
 *
 * Stack: under 320 bytes, calls included; under 448 where pointers have 64 bits.
 */
void bg_lanes_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work);

/** As bg_lanes_sums, where separate_gates is 0: less code. */
void bg_lanes_joint_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work);

/**
 * One gate of all units, in place: sums become values in Q15, 0 to 32768.
 *
 * @param layer  constants; flash, owned by the model
 * @param gate   index of the gate
 * @param sums   hidden_size sums of that gate, owned by the caller, overwritten
 *
 * Stack: under 64 bytes.
 */
void bg_gate_values(const bg_layer *layer, int32_t gate, int32_t *sums);

/**
 * Hidden states of an LSTM from its output gate and cell state: o times tanh(c), rounded to n bits.
 *
 * @param o           size values in Q15, owned by the caller
 * @param c           size cell states, owned by the caller
 * @param c_shift     what makes twice a cell state Q15: 1 for Q15, 5 for Q11
 * @param state_bits  bits n of the codes
 * @param h           size codes, owned by the caller, overwritten
 * @param size        number of units
 *
 * Stack: under 64 bytes.
 */
void bg_outputs(const int32_t *o, const int16_t *c, int c_shift, uint8_t state_bits, int16_t *h, int32_t size);

/** Steps with the arguments of bg_cells.h, except scratch: sums, then work, aligned to 4 bytes. Stack: under
 * 448, or 576 where pointers have 64 bits. */
void bg_lstm_sums_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                       int16_t *scratch);

/** As bg_lstm_sums_step, for bg_coupled_lstm_step. */
void bg_coupled_lstm_sums_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                               int16_t *scratch);

/** As bg_coupled_lstm_sums_step, where all gates are smooth and biases are of 16 bits, Q12: faster, and without the code
 * of the other gates. */
void bg_coupled_lstm_smooth_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                                 int16_t *scratch);

/** As bg_coupled_lstm_smooth_step, where g and o are steps and i is smooth. */
void bg_coupled_lstm_binary_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                                 int16_t *scratch);

/** As bg_lstm_sums_step, for bg_gru_step. */
void bg_gru_sums_step(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                      int16_t *scratch);

#ifdef __cplusplus
}
#endif

#endif
