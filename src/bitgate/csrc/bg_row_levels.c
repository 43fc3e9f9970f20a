#include "bg_rows.h"

int32_t bg_row_levels(const bg_matrix *matrix, int32_t row, const int16_t *x) {
    const uint8_t *codes = matrix->codes + row * matrix->row_bytes;
    const int8_t *levels = matrix->levels;
    int32_t columns = matrix->columns;
    int32_t per_byte = 8 / matrix->bits;
    int mask = (1 << matrix->bits) - 1;
    int32_t sum = 0;
    int32_t j = 0;
    while (j < columns) {
        int byte = *codes++;
        int32_t end = columns - j < per_byte ? columns : j + per_byte;
        for (; j < end; ++j) {
            sum += (int32_t)levels[byte & mask] * x[j];
            byte >>= matrix->bits;
        }
    }
    return sum;
}
