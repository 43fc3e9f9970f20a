#include "bg_rows.h"

int32_t bg_row_ternary(const bg_matrix *matrix, int32_t row, const int16_t *x) {
    const uint8_t *codes = matrix->codes + row * matrix->row_bytes;
    uint32_t left = (uint32_t)matrix->columns;
    int32_t sum = 0;
    /* A product per weight, not a branch: the small cores multiply in one cycle and mispredict every branch. */
    for (; left >= 4; left -= 4) {
        int32_t byte = *codes++;
        sum += ((byte & 3) - 1) * x[0];
        sum += (((byte >> 2) & 3) - 1) * x[1];
        sum += (((byte >> 4) & 3) - 1) * x[2];
        sum += ((byte >> 6) - 1) * x[3];
        x += 4;
    }
    if (left > 0) {
        int32_t byte = *codes;
        do {
            sum += ((byte & 3) - 1) * *x++;
            byte >>= 2;
        } while (--left > 0);
    }
    return sum;
}
