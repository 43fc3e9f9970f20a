#include "bg_table_block.h"

enum { GROUPS = BG_TABLE_GROUPS, OFFSET = 16384 /* makes entries positive, so that two of them are one addition */ };

/* Two numbers as one sum: low + 2^16 high, exact in the halves once both sums are positive. */
static inline uint32_t bg_pair(int32_t low, int32_t high) {
    return (uint32_t)low + ((uint32_t)high << 16);
}

/* Entry 10 a + b of a group: OFFSET + (a / 3 - 1) x0 + (a % 3 - 1) x1 + (b / 3 - 1) x2 + (b % 3 - 1) x3. */
BG_SEPARATE static void bg_fill_table(uint16_t *table, int32_t x0, int32_t x1, int32_t x2, int32_t x3) {
    const uint32_t pairs[5] = {bg_pair(-x2 - x3, -x2), bg_pair(x3 - x2, -x3), bg_pair(0, x3), bg_pair(x2 - x3, x2),
                               bg_pair(x2 + x3, 0)};
    uint32_t step = bg_pair(x1, x1);
    uint32_t turn = bg_pair(x0 - 3 * x1, x0 - 3 * x1);
    bg_store_rows(table, bg_pair(OFFSET - x0 - x1, OFFSET - x0 - x1), step, turn, pairs);
}

static void bg_fill_tables(uint16_t *table, const int16_t *x, int32_t columns) {
    for (; columns >= 4; columns -= 4) {
        bg_fill_table(table, x[0], x[1], x[2], x[3]);
        table += BG_TABLE_ENTRIES;
        x += 4;
    }
    if (columns > 0) {
        bg_fill_table(table, x[0], columns > 1 ? x[1] : 0, columns > 2 ? x[2] : 0, 0);
    }
}

/* One gate by whole passes, the case that takes the time. Codes: by four rows, by group, a byte per row. */
BG_SEPARATE static void bg_table_gate(const uint8_t *codes, const uint8_t *table, int32_t mult, int32_t *sums, int32_t padded) {
    for (const int32_t *last = sums + padded; sums < last; sums += 4) {
        int32_t sum[4] = {-OFFSET * GROUPS, -OFFSET * GROUPS, -OFFSET * GROUPS, -OFFSET * GROUPS};
        bg_add_groups(codes, table, sum);
        sums[0] += mult * sum[0];
        sums[1] += mult * sum[1];
        sums[2] += mult * sum[2];
        sums[3] += mult * sum[3];
        codes += 4 * GROUPS;
    }
}

/* One gate with any number of groups, and a multiplier per gate or per row. */
BG_SEPARATE static void bg_table_gate_any(const bg_layer *layer, const uint8_t *codes, const uint8_t *table,
                                          int32_t groups, const int32_t *mult, int32_t *sums) {
    int32_t step = layer->mult_per_row;
    int32_t offset = -OFFSET * groups;
    for (const int32_t *last = sums + bg_padded(layer->w_hh.columns); sums < last; sums += 4) {
        int32_t sum[4] = {offset, offset, offset, offset};
        for (int32_t k = 0; k < groups; ++k) {
            bg_add_group(codes, table + BG_TABLE_BYTES * k, sum);
            codes += 4;
        }
        for (int row = 0; row < 4; ++row) {
            sums[row] += *mult * sum[row];
            mult += step;
        }
    }
}

/* The rows of w_hh (is_recurrent) or w_ih; a GRU has its recurrent part of n behind the other gates. */
static void bg_table_matrix(const bg_layer *layer, int is_recurrent, const int16_t *x, int32_t *sums, uint16_t *work) {
    const bg_matrix *matrix = is_recurrent ? &layer->w_hh : &layer->w_ih;
    const int32_t *mult = is_recurrent ? layer->mult_hh : layer->mult_ih;
    const uint8_t *table = (const uint8_t *)work;
    const uint8_t *codes = matrix->codes;
    int32_t size = layer->w_hh.columns;
    int32_t padded = bg_padded(size);
    for (int32_t left = matrix->columns; left > 0; left -= 4 * GROUPS) {
        int32_t columns = left < 4 * GROUPS ? left : 4 * GROUPS;
        int32_t groups = (columns + 3) / 4;
        const int32_t *factor = mult;
        int32_t *to = sums;
        bg_fill_tables(work, x, columns);
        for (int32_t row = size; row <= matrix->rows; row += size) {
            if (row == matrix->rows && is_recurrent && layer->bias_hn) {
                to += padded;
            }
            if (groups == GROUPS && !layer->mult_per_row) {
                bg_table_gate(codes, table, *factor, to, padded);
            } else {
                bg_table_gate_any(layer, codes, table, groups, factor, to);
            }
            codes += groups * padded;
            factor += layer->mult_per_row ? padded : 1;
            to += padded;
        }
        x += columns;
    }
}

void bg_table_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    bg_sums_start(layer, sums);
    bg_table_matrix(layer, 0, x, sums, work);
    bg_table_matrix(layer, 1, h, sums, work);
}
