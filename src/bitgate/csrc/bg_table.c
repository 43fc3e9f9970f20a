#include "bg_table_block.h"

/* A matrix, its multipliers, and the vector that it is multiplied with. */
typedef struct {
    const bg_matrix *matrix;
    const int32_t *mult;
    const int16_t *x;
    int32_t offset; /* of the sums of the gate that is apart, behind where that gate begins */
} bg_side;

/* Where the sums of both matrices go. */
typedef struct {
    uint32_t *sums; /* modulo 2^32: only the results are known to fit */
    uint16_t *tables;
    const uint8_t *shift;
    int32_t padded; /* sums of a gate */
    int32_t gates;
    int32_t apart; /* the gate whose recurrent sums lie behind all others: the last of a GRU; gates where there is none */
    int32_t pass;  /* groups whose tables exist at a time */
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

/* Half of a gate's divisor, less what the entries are too large. */
static uint32_t bg_offset(const bg_target *target, int32_t gate, uint32_t entries) {
    return ((uint32_t)1 << (target->shift[gate] - 1)) - BG_TABLE_OFFSET * entries;
}

/* Adds a matrix: plain sums where other is 0, which takes the fewest instructions; otherwise both are scaled. */
BG_SEPARATE static void bg_add_side(const bg_target *target, const bg_side *side, const bg_side *other) {
    const uint8_t *codes = side->matrix->codes;
    for (int32_t first = 0; first < side->matrix->columns; first += 4 * target->pass) {
        int32_t groups = bg_fill_tables(target, side, first);
        uint32_t *sums = target->sums;
        int32_t gate = 0;
        while (gate < target->gates) {
            bg_factors factors;
            int32_t end = gate < target->apart ? target->apart : target->gates;
            if (gate == target->apart) {
                sums += side->offset;
            }
            if (other) {
                end = gate + 1;
                factors.added = (uint32_t)side->mult[gate];
                factors.old = 1;
                factors.offset = 0;
                if (first == 0) {
                    factors.old = gate == target->apart ? 0 : (uint32_t)other->mult[gate];
                    factors.offset = bg_offset(target, gate, factors.old * bg_groups(other) + factors.added * bg_groups(side));
                }
            }
            uint32_t *end_sums = sums + (end - gate) * target->padded;
            bg_table_rows(codes, (const uint8_t *)target->tables, sums, end_sums, groups, other ? &factors : 0);
            codes += groups * (end_sums - sums);
            sums = end_sums;
            gate = end;
        }
    }
}

/* Scales what bg_add_side left plain: its sums of the gate that is apart. */
static void bg_scale_apart(const bg_target *target, const bg_side *side) {
    int32_t gate = target->apart;
    uint32_t *sums = target->sums + gate * target->padded + side->offset;
    bg_factors factors = {(uint32_t)side->mult[gate], 0, 0};
    factors.offset = bg_offset(target, gate, factors.old * bg_groups(side));
    bg_table_rows(side->matrix->codes, (const uint8_t *)target->tables, sums, sums + target->padded, 0, &factors);
}

void bg_table_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    int32_t size = layer->w_hh.columns;
    int is_gru = layer->bias_hn != 0;
    int32_t gates = layer->w_hh.rows == 4 * size ? 4 : 3;
    bg_target target = {(uint32_t *)sums, work, layer->shift, bg_padded(size), gates, gates - is_gru, layer->table_groups};
    const bg_side inputs = {&layer->w_ih, layer->mult_ih, x, 0};
    const bg_side states = {&layer->w_hh, layer->mult_hh, h, target.padded};
    int is_wider = size >= layer->w_ih.columns;
    const bg_side *wider = is_wider ? &states : &inputs;
    for (int32_t j = (gates + is_gru) * target.padded; j > 0; j -= 4) {
        sums[0] = sums[1] = sums[2] = sums[3] = 0;
        sums += 4;
    }
    bg_add_side(&target, wider, 0);
    bg_add_side(&target, is_wider ? &inputs : &states, wider);
    if (is_gru) {
        bg_scale_apart(&target, wider);
    }
}
