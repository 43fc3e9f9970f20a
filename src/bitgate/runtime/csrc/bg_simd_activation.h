/* Part of bg_simd_kernel.h: pre-activations and gates of a run of units, one gate at a time, in place in an array. */

enum {
    EDGE = 12 * 32768 - 1,  /* S is constant from here on */
    FAR = 1 << 24           /* beyond every threshold */
};

/* S(u) - 1/2, half of tanh(u / 2). */
BG_INLINE vec smooth_odd(const sigmoid *table, vec u) {
    vec m = magnitude(u, EDGE);
    return signed_as(interpolate(look_up(table, m >> 11), m & 2047), u);
}

/* Value behind the last threshold that each lane reaches. */
static void search_levels(const bg_simd_gate *gate, int32_t *values, int32_t count) {
    for (int32_t k = 0; k < count; ++k) {
        int32_t reached = 0, end = gate->levels - 1;
        while (reached < end) {
            int32_t middle = (reached + end) / 2;
            if (values[k] >= gate->thresholds[middle]) {
                reached = middle + 1;
            } else {
                end = middle;
            }
        }
        values[k] = gate->values[reached];
    }
}

static void count_levels(const bg_simd_gate *gate, int32_t *values, int32_t count) {
    for (int32_t j = 0; j < count; j += BG_LANES) {
        vec value = fill(0), u = smaller(larger(load(values + j), fill(-FAR)), fill(FAR));
        for (int32_t k = 0; k < gate->levels - 1; ++k) {
            value += ~((u - gate->thresholds[k]) >> 31) & gate->increments[k];
        }
        store(values + j, value);
    }
}

/* Pre-activations become values of the sigmoid gate, 0 to 32768. */
static void activate(const bg_simd_gate *gate, const int32_t *table, int32_t *values, int32_t count) {
    if (gate->levels == 0) {
        sigmoid s = open_sigmoid(table);
        for (int32_t j = 0; j < count; j += BG_LANES) {
            store(values + j, smooth_odd(&s, load(values + j)) + BG_ONE / 2);
        }
    } else if (gate->levels == 2) {
        for (int32_t j = 0; j < count; j += BG_LANES) {
            store(values + j, ~(load(values + j) >> 31) & BG_ONE);
        }
    } else if (gate->levels <= BG_SIMD_COUNTED) {
        count_levels(gate, values, count);
    } else {
        search_levels(gate, values, count);
    }
}

/* The arguments of pre-activations: M_ih and sums of inputs, M_hh and sums of states. A sum that is NULL counts as 0. */
typedef struct {
    const int32_t *mult_x, *sums_x, *mult_h, *sums_h, *bias;
    int shift;
} preacts;

/* The constants here decide the loop: width of products, where multipliers stand, which sums there are, and whether the
 * smooth gate follows at once. */
typedef struct {
    int is_wide, is_per_row, has_x, has_h, is_smooth;
} preacts_kind;

BG_INLINE void preacts_as(const preacts *p, const int32_t *table, int32_t *u, int32_t count, preacts_kind kind) {
    sigmoid s = open_sigmoid(table);
    vec m_x = kind.has_x ? fill(*p->mult_x) : fill(0), m_h = kind.has_h ? fill(*p->mult_h) : fill(0);
    vec rounding = fill((int32_t)(1u << ((p->shift - 1) & 31)));
    for (int32_t j = 0; j < count; j += BG_LANES) {
        vec x = kind.has_x ? load(p->sums_x + j) : fill(0), h = kind.has_h ? load(p->sums_h + j) : fill(0), total;
        if (kind.is_per_row) {
            m_x = kind.has_x ? load(p->mult_x + j) : m_x;
            m_h = kind.has_h ? load(p->mult_h + j) : m_h;
        }
        if (kind.is_wide) {
            total = scale_wide(m_x, x, m_h, h, p->shift);
        } else {
            total = add(add(multiply(m_x, x), multiply(m_h, h)), rounding) >> p->shift;
        }
        total = add(total, load(p->bias + j));
        store(u + j, kind.is_smooth ? smooth_odd(&s, total) + BG_ONE / 2 : total);
    }
}

/* u = round_shift(M_ih acc_x + M_hh acc_h, shift) + bias of count units, or S(u). */
BG_INLINE void preactivate(const bg_simd_layer *l, const preacts *p, int32_t *u, int32_t count, int has_x, int has_h,
                           int is_smooth) {
    if (l->product_bits == 64) {
        if (l->mult_per_row) {
            preacts_as(p, l->table, u, count, (preacts_kind){1, 1, has_x, has_h, is_smooth});
        } else {
            preacts_as(p, l->table, u, count, (preacts_kind){1, 0, has_x, has_h, is_smooth});
        }
    } else if (l->mult_per_row) {
        preacts_as(p, l->table, u, count, (preacts_kind){0, 1, has_x, has_h, is_smooth});
    } else {
        preacts_as(p, l->table, u, count, (preacts_kind){0, 0, has_x, has_h, is_smooth});
    }
}

/* What the pre-activations of a gate's units from j on are made of. */
static preacts preacts_of(const bg_simd_layer *l, int gate, int32_t j, const int32_t *sums_x, const int32_t *sums_h) {
    int32_t row = l->row[gate] + j, unit = gate * l->size + j, mult = l->mult_per_row ? unit : gate;
    return (preacts){l->mult_ih + mult, sums_x + row, l->mult_hh + mult, sums_h + row, l->bias + unit,
                     l->shift[gate]};
}

static void gate_values(const bg_simd_layer *l, int gate, int32_t j, int32_t count, const int32_t *sums_x,
                        const int32_t *sums_h, int32_t *values) {
    preacts p = preacts_of(l, gate, j, sums_x, sums_h);
    if (l->gates[gate].levels == 0) {
        preactivate(l, &p, values, count, 1, 1, 1);
    } else {
        preactivate(l, &p, values, count, 1, 1, 0);
        activate(&l->gates[gate], l->table, values, count);
    }
}
