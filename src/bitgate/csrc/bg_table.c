#include "bg_table_block.h"

/* A matrix, its multipliers, the vector that it is multiplied with, and where the sums of its rows lie. */
typedef struct {
    const bg_matrix *matrix;
    const int32_t *mult;
    const int16_t *x;
    uint32_t *sums; /* modulo 2^32: only the results are known to fit */
    uint32_t *end;
    int32_t gate; /* of the first row; those below 0 and from joint on are separate */
} bg_side;

/* What both matrices have in common. */
typedef struct {
    uint16_t *tables;
    const uint8_t *shift;
    int32_t padded; /* sums of a gate */
    int32_t joint;  /* gates whose sums of both matrices are joined */
    int32_t inputs; /* whose tables exist at a time */
} bg_target;

/* What the entries of a row are too large in all. */
static uint32_t bg_excess(const bg_side *side) {
    return BG_TABLE_OFFSET * ((uint32_t)(side->matrix->columns + 3) >> 2);
}

/* The tables of the pass that begins at input first; returns the number of its groups. */
static int32_t bg_fill_tables(const bg_target *target, const bg_side *side, int32_t first) {
    uint16_t *table = target->tables;
    const int16_t *x = side->x + first;
    int32_t left = side->matrix->columns - first;
    int32_t groups, whole;
    if (left > target->inputs) {
        left = target->inputs;
    }
    groups = whole = left >> 2;
    left &= 3;
    if (whole > 0) {
        bg_fill_groups(table, x, whole);
    }
    if (left > 0) {
        int16_t rest[4] = {0, 0, 0, 0};
        x += 4 * whole;
        while (left-- > 0) {
            rest[left] = x[left];
        }
        bg_fill_groups(table + whole * BG_TABLE_ENTRIES, rest, 1);
        ++groups;
    }
    return groups;
}

/* How the sums of a gate are joined with those of the pass that begins at input first, of the side that comes second. */
static void bg_join(const bg_target *target, const bg_side *side, const bg_side *other, int32_t gate, int32_t first,
                    bg_factors *factors) {
    int is_joint = (uint32_t)gate < (uint32_t)target->joint;
    factors->old = 1;
    factors->added = is_joint ? (uint32_t)side->mult[gate] : 1;
    factors->offset = 0;
    if (first == 0) {
        factors->old = is_joint ? (uint32_t)other->mult[gate] : 0;
        factors->offset = (is_joint ? (uint32_t)1 << (target->shift[gate] - 1) : 0) - factors->added * bg_excess(side);
    }
}

/* Makes the sums of a side: plain ones where other is 0, which takes the fewest instructions; otherwise those of joint
 * gates, which hold the other side's, are scaled. */
BG_SEPARATE static void bg_add_side(const bg_target *target, const bg_side *side, const bg_side *other) {
    const uint8_t *codes = side->matrix->codes;
    int32_t step = other ? target->padded : (int32_t)(side->end - side->sums);
    if (!other) {
        uint32_t start = 0 - bg_excess(side);
        for (uint32_t *sums = side->sums; sums < side->end; sums += 4) {
            sums[0] = sums[1] = sums[2] = sums[3] = start;
        }
    }
    for (int32_t first = 0; first < side->matrix->columns; first += target->inputs) {
        int32_t groups = bg_fill_tables(target, side, first);
        int32_t gate = side->gate;
        for (uint32_t *sums = side->sums; sums < side->end; sums += step) {
            bg_factors factors;
            if (other) {
                bg_join(target, side, other, gate++, first, &factors);
            }
            bg_table_rows(codes, (const uint8_t *)target->tables, sums, sums + step, groups, other ? &factors : 0);
            codes += groups * step;
        }
    }
}

void bg_table_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    int32_t padded = bg_padded(layer->w_hh.columns);
    int32_t joint = layer->joint_gates, separate = layer->separate_gates;
    uint32_t *joined = (uint32_t *)sums + separate * padded;
    uint32_t *end = joined + joint * padded;
    const bg_target target = {work, layer->shift, padded, joint, 4 * layer->table_groups};
    const bg_side inputs = {&layer->w_ih, layer->mult_ih, x, (uint32_t *)sums, end, -separate};
    const bg_side states = {&layer->w_hh, layer->mult_hh, h, joined, end + separate * padded, 0};
    int is_wider = layer->w_hh.columns >= layer->w_ih.columns;
    const bg_side *wider = is_wider ? &states : &inputs;
    const bg_side *other = is_wider ? &inputs : &states;
    bg_add_side(&target, wider, 0);
    bg_add_side(&target, other, joint ? wider : 0);
}
