#include "bg_rows.h"

int32_t bg_row_dense(const bg_matrix *matrix, int32_t row, const int16_t *x) {
    const uint8_t *codes = matrix->codes + row * matrix->row_bytes;
    const int8_t *levels = matrix->levels;
    int32_t columns = matrix->columns;
    int32_t sum = 0;
    int32_t j = 0;
    while (j < columns) {
        uint32_t byte = *codes++;
        int32_t end = columns - j < 5 ? columns : j + 5;
        for (; j < end; ++j) {
            uint32_t rest = (byte * 171u) >> 9; /* byte / 3, exact up to 255; small cores cannot divide */
            sum += (int32_t)levels[byte - 3 * rest] * x[j];
            byte = rest;
        }
    }
    return sum;
}
