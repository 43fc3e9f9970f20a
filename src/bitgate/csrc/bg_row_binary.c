#include "bg_rows.h"

int32_t bg_row_binary(const bg_matrix *matrix, int32_t row, const int16_t *x) {
    const uint8_t *codes = matrix->codes + row * matrix->row_bytes;
    int32_t columns = matrix->columns;
    int32_t sum = 0;
    int32_t j = 0;
    while (j < columns) {
        uint8_t byte = *codes++;
        int32_t end = columns - j < 8 ? columns : j + 8;
        for (; j < end; ++j) {
            sum += (byte & 1) ? x[j] : -x[j];
            byte = (uint8_t)(byte >> 1);
        }
    }
    return sum;
}
