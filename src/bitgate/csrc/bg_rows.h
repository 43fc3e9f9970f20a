/**
 * @file bg_rows.h
 * @brief Sums of one packed row times a vector; one source file per kind of level, so that a model links what it uses.
 *
 * Every function takes
 * - matrix: the packed weights; flash, owned by the model;
 * - row: 0 to matrix->rows - 1;
 * - x: matrix->columns int16 codes, owned by the caller;
 * and returns the exact sum, which freezing has proven to fit in int32. Stack: under 64 bytes. Reentrant.
 */
#ifndef BG_ROWS_H
#define BG_ROWS_H

#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Levels -1, +1 for the codes 0, 1; one bit each. */
int32_t bg_row_binary(const bg_matrix *matrix, int32_t row, const int16_t *x);

/** Levels -1, 0, +1 for the codes 0, 1, 2; two bits each. */
int32_t bg_row_ternary(const bg_matrix *matrix, int32_t row, const int16_t *x);

/** Any three levels, five codes to a byte: digits in base three, the first the least. */
int32_t bg_row_dense(const bg_matrix *matrix, int32_t row, const int16_t *x);

/** Any levels, any of the four code widths. */
int32_t bg_row_levels(const bg_matrix *matrix, int32_t row, const int16_t *x);

#ifdef __cplusplus
}
#endif

#endif
