/**
 * @file bg_types.h
 * @brief The constant description of a frozen model. Units and formats: docs/arithmetic.md of bitgate.
 *
 * Every structure here is read-only while the kernels run and is meant for flash. No structure owns memory: each
 * pointer refers to an array that whoever filled the structure keeps alive. Nothing in the kernels allocates.
 */
#ifndef BG_TYPES_H
#define BG_TYPES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** See struct bg_matrix. */
typedef struct bg_matrix bg_matrix;

/** See struct bg_layer. */
typedef struct bg_layer bg_layer;

/** Sum of row @p row times the vector @p x (matrix->columns codes): an exact int32. */
typedef int32_t (*bg_row_fn)(const bg_matrix *matrix, int32_t row, const int16_t *x);

/** One time step of one layer; see bg_lstm_step for the arguments. */
typedef void (*bg_step_fn)(const bg_layer *layer, uint8_t state_bits, const int16_t *x, int16_t *h, int16_t *c,
                           int16_t *scratch);

/** Sums of all rows of a layer, joined or separate; see bg_sums.h. */
typedef void (*bg_sums_fn)(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work);

/** A matrix of discrete weights: packed codes and the level that each code stands for. */
struct bg_matrix {
    bg_row_fn row_sum;     /**< kernel that fits the levels */
    const uint8_t *codes;  /**< rows * row_bytes bytes; code j in bits j * bits % 8 and up of byte j * bits / 8 */
    const int8_t *levels;  /**< one integer weight per code value that occurs in codes */
    int32_t rows;          /**< number of rows */
    int32_t columns;       /**< codes per row */
    int32_t row_bytes;     /**< bytes from one row to the next */
    uint8_t bits;          /**< bits per code: 1, 2, 4 or 8 */
};

/** How a gate turns its pre-activation into a value in Q15. */
typedef struct {
    const int32_t *thresholds; /**< levels - 1 ascending thresholds, Q15; unused (NULL) for levels 0 and 2 */
    const uint16_t *values;    /**< levels ascending values, Q15, 0 to 32768; unused (NULL) for levels 0 and 2 */
    uint16_t levels;           /**< number of levels; 0 is the smooth gate, 2 the step (or sign) */
} bg_gate;

/** Biases of the rows of a layer; the step says in which form. */
typedef union {
    const int32_t *q15; /**< as the rows lie */
    const int16_t *q12; /**< unit by unit, i g o each: for bg_coupled_lstm_smooth_step and bg_coupled_lstm_binary_step */
} bg_bias;

/** Additive skip of hidden states from one block boundary to the next; see bg_skip.h. */
typedef struct {
    bg_step_fn cell;         /**< the cell */
    const uint16_t *alpha;   /**< factors of the anchor, Q15, 0 to 32768: one, or one per unit */
    int16_t block_size;      /**< steps from boundary to boundary, 1 to 32767 */
    uint8_t alpha_per_unit;  /**< 1: alpha by unit; 0: a single one */
    uint8_t range_bits;      /**< hidden states reach 2^range_bits; 0 to state_bits - 4 */
} bg_skip;

/** One recurrent layer. Rows lie gate by gate: row = gate * hidden_size + unit; those of the weights projection by
 * projection. */
struct bg_layer {
    bg_step_fn step;         /**< the cell, or bg_block_skip_step */
    bg_matrix w_ih;          /**< input weights, projections * hidden_size rows; without sharing a projection per gate */
    bg_matrix w_hh;          /**< recurrent weights, as many rows of hidden_size columns */
    const bg_gate *gates;    /**< one per gate, in row order: i f g o, i g o, r z n, or z n; NULL for the two steps of
                                  bg_sums.h that know them */
    const int32_t *mult_ih;  /**< multipliers of the input sums: one per gate, or one per row of the gates */
    const int32_t *mult_hh;  /**< multipliers of the recurrent sums: as many as mult_ih */
    const uint8_t *shift;    /**< one right shift per gate, 1 to product_bits - 2 */
    bg_bias bias;            /**< one per row */
    const int32_t *bias_hn;  /**< GRU: one per unit, Q15; NULL for other cells */
    uint8_t mult_per_row;    /**< 1: multipliers per row; 0: per gate */
    uint8_t product_bits;    /**< 32 or 64: width in which multiplier times sum is proven to fit */
    bg_sums_fn sums;         /**< the steps of bg_sums.h: how rows are summed; NULL for those of bg_cells.h */
    uint8_t joint_gates;     /**< with sums: the first gates, whose sums of inputs and states are scaled and joined */
    uint8_t separate_gates;  /**< with sums: gates or projections behind these, whose sums remain two */
    uint8_t table_groups;    /**< bg_table_sums: groups of four inputs that are tabulated at a time, 1 to 8 */
    const uint8_t *sharing;  /**< projection that feeds each gate; NULL: each gate its own. For bg_shared_..._step */
    const bg_skip *skip;     /**< NULL if there is none */
    int32_t state_size;      /**< int16 in its state: h, c and what a skip needs; see bg_model.h */
};

/** Linear layer on the last hidden state. */
typedef struct {
    bg_matrix weight;        /**< one row per class */
    const int32_t *mult;     /**< one multiplier, or one per class */
    const int32_t *bias;     /**< one per class, in units of a logit */
    uint8_t mult_per_row;    /**< 1: multipliers per class; 0: a single one */
} bg_readout;

/** A whole model. */
typedef struct {
    const bg_layer *layers;    /**< n_layers layers, first to last; NULL if there are none */
    const bg_readout *readout; /**< NULL if the output is the hidden state */
    int32_t input_size;        /**< features per step */
    uint8_t n_layers;          /**< number of layers */
    uint8_t state_bits;        /**< bits of inputs and hidden states, 8 to 16 */
} bg_model;

#ifdef __cplusplus
}
#endif

#endif
