#include "bg_table_block.h"

/* A matrix, its multipliers, and the vector that it is multiplied with. */
typedef struct {
    const bg_matrix *matrix;
    const int32_t *mult;
    const int16_t *x;
    int32_t is_apart; /* 1 for the recurrent matrix of a GRU: the sums of its last gate lie behind all others */
} bg_side;

/* Where the sums of both matrices go. */
typedef struct {
    uint32_t *sums; /* modulo 2^32: only the results are known to fit */
    uint16_t *tables;
    const uint8_t *shift;
    int32_t padded; /* sums of a gate */
    int32_t gates;
    int32_t pass; /* groups whose tables exist at a time */
} bg_target;

static uint32_t bg_groups(const bg_side *side) {
    return (uint32_t)(side->matrix->columns + 3) / 4;
}

/* The tables of the pass that begins at input first; returns the number of its groups. */
BG_SEPARATE static int32_t bg_fill_tables(const bg_target *target, const bg_side *side, int32_t first) {
    uint16_t *table = target->tables;
    const int16_t *x = side->x + first;
    int32_t left = side->matrix->columns - first;
    int32_t groups = 0;
    for (; groups < target->pass && left > 0; ++groups) {
        int16_t rest[4] = {0, 0, 0, 0};
        if (left < 4) {
            for (int32_t k = 0; k < left; ++k) {
                rest[k] = x[k];
            }
            x = rest;
        }
        bg_fill_table(table, x);
        table += BG_TABLE_ENTRIES;
        x += 4;
        left -= 4;
    }
    return groups;
}

/* Plain sums: the fewest instructions, so for the wider matrix. */
BG_SEPARATE static void bg_add_plain(const bg_target *target, const bg_side *side) {
    const uint8_t *table = (const uint8_t *)target->tables;
    const uint8_t *codes = side->matrix->codes;
    int32_t joined = (target->gates - side->is_apart) * target->padded;
    uint32_t *apart = target->sums + joined + target->padded;
    for (int32_t first = 0; first < side->matrix->columns; first += 4 * target->pass) {
        int32_t groups = bg_fill_tables(target, side, first);
        bg_add_rows(codes, table, target->sums, target->sums + joined, groups);
        codes += groups * joined;
        if (side->is_apart) {
            bg_add_rows(codes, table, apart, apart + target->padded, groups);
            codes += groups * target->padded;
        }
    }
}

/* Half of a gate's divisor, less what the entries are too large. */
static uint32_t bg_offset(const bg_target *target, int32_t gate, uint32_t entries) {
    return ((uint32_t)1 << (target->shift[gate] - 1)) - BG_TABLE_OFFSET * entries;
}

/* Adds the other matrix, and scales both. */
BG_SEPARATE static void bg_add_scaled(const bg_target *target, const bg_side *side, const bg_side *plain) {
    const uint8_t *codes = side->matrix->codes;
    int32_t padded = target->padded;
    for (int32_t first = 0; first < side->matrix->columns; first += 4 * target->pass) {
        int32_t groups = bg_fill_tables(target, side, first);
        for (int32_t gate = 0; gate < target->gates; ++gate) {
            int is_apart = gate == target->gates - 1 && (side->is_apart || plain->is_apart);
            uint32_t *sums = target->sums + (is_apart && side->is_apart ? gate + 1 : gate) * padded;
            uint32_t added = (uint32_t)side->mult[gate];
            uint32_t old = is_apart ? 0 : (uint32_t)plain->mult[gate];
            bg_factors factors = {1, added, 0};
            if (first == 0) {
                factors.old = old;
                factors.offset = bg_offset(target, gate, old * bg_groups(plain) + added * bg_groups(side));
            }
            bg_rescale_rows(codes, (const uint8_t *)target->tables, sums, sums + padded, groups, &factors);
            codes += groups * padded;
        }
    }
}

/* Scales sums that hold nothing of the other matrix: those of plain for the last gate of a GRU. */
static void bg_scale_apart(const bg_target *target, const bg_side *plain) {
    int32_t gate = target->gates - 1;
    uint32_t *sums = target->sums + (plain->is_apart ? gate + 1 : gate) * target->padded;
    bg_factors factors = {(uint32_t)plain->mult[gate], 0, 0};
    factors.offset = bg_offset(target, gate, factors.old * bg_groups(plain));
    bg_rescale_rows(plain->matrix->codes, (const uint8_t *)target->tables, sums, sums + target->padded, 0, &factors);
}

void bg_table_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    int32_t size = layer->w_hh.columns;
    int is_gru = layer->bias_hn != 0;
    const bg_side sides[2] = {{&layer->w_ih, layer->mult_ih, x, 0}, {&layer->w_hh, layer->mult_hh, h, is_gru}};
    int wider = size >= layer->w_ih.columns;
    int32_t gates = layer->w_hh.rows == 4 * size ? 4 : 3;
    bg_target target = {(uint32_t *)sums, work, layer->shift, bg_padded(size), gates, layer->table_groups};
    for (int32_t j = (gates + is_gru) * target.padded; j > 0; j -= 4) {
        sums[0] = sums[1] = sums[2] = sums[3] = 0;
        sums += 4;
    }
    bg_add_plain(&target, &sides[wider]);
    bg_add_scaled(&target, &sides[1 - wider], &sides[wider]);
    if (is_gru) {
        bg_scale_apart(&target, &sides[wider]);
    }
}
