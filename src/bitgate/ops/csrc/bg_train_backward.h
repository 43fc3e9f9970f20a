/* Back-propagation through time. Each step: gradients of the pre-activations, element by element, into panels; their
 * products with the weights, which are the gradients of x and of the step's h. Every few steps: their outer products
 * with x and h, added to the gradients of the weights, while all of it is in the cache.
 */
#ifndef BG_TRAIN_BACKWARD_H
#define BG_TRAIN_BACKWARD_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_gradients.h"
#include "bg_train_product.h"
#include "bg_train_shared.h"
#include "bg_train_vector.h"

enum { CHUNK_ROWS = 64, MOST_CHUNK_ROWS = 256, LARGE_WEIGHTS = 1 << 20, LARGE_PANELS = 1 << 20, MOST_SHARDS = 64 };

static int64_t input_lines(const bg_train_layer *l) { return (l->inputs + LINE - 1) / LINE; }

static int n_sides(const bg_train_layer *l) { return l->v_hh ? 2 : 1; } /* means and variances */

/* Packed, in panels of weights: w_hh, w_ih if x needs its gradient; then v_hh, v_ih. */
static int64_t packed_length(const bg_train_backward *p) {
    const int64_t lines = p->layer.padded / LINE + (p->grad_x ? input_lines(&p->layer) : 0);
    return lines * gate_panels(&p->layer) * LINE * LINE;
}

static int64_t backward_packed_size(const void *params) {
    const bg_train_backward *p = params;
    return n_sides(&p->layer) * packed_length(p) * (int64_t)sizeof(real);
}

static void backward_pack(const void *params, void *packed) {
    const bg_train_backward *p = params;
    const bg_train_layer *l = &p->layer;
    real *to = packed;
    for (int side = 0; side < n_sides(l); ++side) {
        to = pack_lines(to, side ? l->v_hh : l->w_hh, l->hidden, l, 0);
        if (p->grad_x) {
            to = pack_lines(to, side ? p->v_ih : p->w_ih, l->inputs, l, is_gru(l) ? 2 : 0);
        }
    }
}

/* Scratch of a shard, once for the means and once for the variances. */
typedef struct {
    panels grads;          /* of pre-activations, or of their variances */
    real *x, *h;           /* inputs of w_ih and w_hh, packed; squared for the variances */
    real *sums_x, *sums_h; /* gradients of [w_ih, bias] and [w_hh, bias] */
    unit_sums units;       /* those of scales, biases and the skip, likewise sums over steps */
    unsigned char *ends;   /* a byte for every sequence */
} scratch;

static int needs_weights(const bg_train_backward *p) {
    return p->grad_w_ih || p->grad_w_hh || p->grad_v_ih || p->grad_v_hh || p->grad_bias_ih || p->grad_bias_hh;
}

/* Rows after which the weights' gradients are added up. Where these do not stay in the cache from one chunk to the
 * next, each costs a pass over them, so chunks are as large as panels may be. */
static int64_t wanted_rows(const bg_train_layer *l) {
    const int64_t row = n_blocks(l) * l->padded * (int64_t)sizeof(real), weights = row * (l->inputs + l->hidden);
    const int64_t rows = LARGE_PANELS / row;
    if (weights <= LARGE_WEIGHTS || rows < CHUNK_ROWS) {
        return CHUNK_ROWS;
    }
    return rows < MOST_CHUNK_ROWS ? rows : MOST_CHUNK_ROWS;
}

/* Room for whole steps of at least the wanted rows, in lines: what follows stays aligned. */
static int64_t rows_of_chunk(const bg_train_layer *l, int64_t sequences) {
    const int64_t rows = wanted_rows(l), steps = sequences < rows ? rows / (sequences + !sequences) : 1;
    return (sequences * steps + LINE) / LINE * LINE;
}

static int64_t side_length(const bg_train_layer *l, int64_t capacity) {
    const int64_t inputs = (n_tiles(l->inputs) + n_tiles(l->hidden)) * LINE_ROWS;
    const int64_t flags = capacity; /* far more than a byte a sequence, in whole lines */
    return n_blocks(l) * l->padded * capacity + inputs * (gate_panels(l) * LINE + capacity) + unit_sums_length(l) +
           flags;
}

static scratch lay_out(const bg_train_layer *l, void *work, int64_t sequences, int side) {
    const int64_t capacity = rows_of_chunk(l, sequences);
    const int64_t x = n_tiles(l->inputs) * LINE_ROWS, h = n_tiles(l->hidden) * LINE_ROWS;
    scratch s = {.grads = {(real *)work + side * side_length(l, capacity), capacity}};
    s.sums_x = s.grads.data + n_blocks(l) * l->padded * capacity;
    s.sums_h = s.sums_x + x * gate_panels(l) * LINE;
    s.units = find_unit_sums(l, s.sums_h + h * gate_panels(l) * LINE);
    s.x = s.units.scale + unit_sums_length(l);
    s.h = s.x + x * capacity;
    s.ends = (unsigned char *)(s.h + h * capacity);
    return s;
}

static int64_t backward_work_size(const void *params, int64_t sequences) {
    const bg_train_layer *l = &((const bg_train_backward *)params)->layer;
    return n_sides(l) * side_length(l, rows_of_chunk(l, sequences)) * (int64_t)sizeof(real);
}

static panels panels_of_h(const bg_train_layer *l, panels preact) {
    preact.data += is_gru(l) * l->padded * preact.capacity;
    return preact;
}

/* The product of one step of `rows` sequences from `first` on that its predecessor waits for; h is the step's input. */
static void grad_product(const bg_train_backward *p, const grad_view *s, const real *packed, const real *h,
                         int64_t first, int64_t rows) {
    const bg_train_layer *l = &p->layer;
    const int64_t n_panels = gate_panels(l), at = first + s->shift;
    const matrix state = {(real *)h + first * l->padded, l->padded, l->padded};
    const matrix grad_h = {s->grad_h + first * l->padded, l->padded, l->padded};
    const factors mean = {panels_of_h(l, s->preact), at, n_panels, packed};
    const factors var = {panels_of_h(l, s->var), at, n_panels, packed + packed_length(p)};
    const int accumulate = is_gru(l) || l->skip > BG_TRAIN_BLOCK_SKIP;
    product(grad_h, rows, &mean, &var, s->ratios ? &state : NULL, accumulate);
}

/* Gradients of x at the steps `from` down to `to`, whose rows fill the panels: a line of weights at a time for all. */
static void grad_inputs(const bg_train_backward *p, const scratch *w, const real *packed, int64_t from, int64_t to,
                        int64_t first, int64_t last) {
    const bg_train_layer *l = &p->layer;
    const int64_t n_panels = gate_panels(l), size = input_lines(l) * LINE, skipped = l->padded * n_panels * LINE;
    for (int64_t line = 0, done = 0; line < input_lines(l); line += done) {
        for (int64_t t = from, at = 0; t >= to; --t) {
            const int64_t count = bg_train_alive(l, first, last, t) - first, row = t * l->batch + first;
            const matrix x = {(real *)p->x + row * l->inputs, l->inputs, l->inputs};
            const matrix grad_x = {(real *)p->grad_x + row * size, size, size};
            const factors mean = {w[0].grads, at, n_panels, packed + skipped};
            const factors var = {w[l->v_hh ? 1 : 0].grads, at, n_panels, packed + packed_length(p) + skipped};
            done = product_some(grad_x, count, &mean, &var, l->v_hh ? &x : NULL, 0, line);
            at += count;
        }
    }
}

static const real *before(const void *kept, const void *initial, int64_t t, int64_t size) {
    return t > 0 ? (const real *)kept + (t - 1) * size : initial;
}

/* One step of the sequences [first, last), whose rows in the panels begin at `at`. */
static void grad_step(const bg_train_backward *p, const scratch *w, const real *packed, int64_t t, int64_t first,
                      int64_t last, int64_t at) {
    const bg_train_layer *l = &p->layer;
    const int64_t size = l->batch * l->padded, n_gates = bg_train_n_gates(l->cell);
    const real *h = before(l->output, l->h_0, t, size);
    static void (*const elements[])(const bg_train_layer *, const grad_view *, int64_t, int64_t) = {
        lstm_elements, coupled_elements, gru_elements};
    const grad_view s = {
        .grad_output = p->grad_output ? (const real *)p->grad_output + t * size : NULL,
        .gates = l->gates ? (const real *)l->gates + t * n_gates * size : NULL,
        .slopes = l->slopes ? (const real *)l->slopes + t * n_gates * size : NULL,
        .extra = l->extra ? (const real *)l->extra + t * size : NULL,
        .cells = l->cells ? (const real *)l->cells + t * size : NULL,
        .ratios = l->v_hh ? (const real *)l->ratios + t * n_blocks(l) * size : NULL,
        .state = is_gru(l) ? h : before(l->cells, l->c_0, t, size),
        .grad_h = p->grad_h,
        .grad_c = p->grad_c,
        .preact = w[0].grads,
        .var = w[l->v_hh ? 1 : 0].grads,
        .shared = l->gate_scale ? (const real *)l->shared + t * l->projections * size : NULL,
        .h = h,
        .anchor = anchor_before(l, t),
        .grad_anchor = p->grad_anchor,
        .ends = w[0].ends,
        .first = first,
        .units = w[0].units,
        .shift = at - first,
    };
    mark_ends(l, w[0].ends, t, first, last);
    (l->gate_scale ? shared_elements : elements[l->cell])(l, &s, first, last);
    grad_product(p, &s, packed, h, first, last - first);
}

/* Packs the inputs of one step's weights behind `rows` rows of earlier ones. */
static void keep_inputs(const bg_train_backward *p, const scratch *w, int64_t t, int64_t first, int64_t count,
                        int64_t rows) {
    const bg_train_layer *l = &p->layer;
    const real *x = (const real *)p->x + (t * l->batch + first) * l->inputs;
    const real *h = before(l->output, l->h_0, t, l->batch * l->padded) + first * l->padded;
    for (int side = 0; side < n_sides(l); ++side, ++w) {
        pack_inputs(w->x, w->grads.capacity, rows, x, l->inputs, count, l->inputs, side);
        pack_inputs(w->h, w->grads.capacity, rows, h, l->padded, count, l->hidden, side);
    }
}

/* What grad_step and keep_inputs will read of step t. */
static lookahead next_reads(const bg_train_backward *p, int64_t t, int64_t first, int64_t last) {
    const bg_train_layer *l = &p->layer;
    const int64_t wide = bg_train_n_gates(l->cell) * l->padded, narrow = l->padded, rows = last - first;
    const int64_t step = t * l->batch + first, before = step - l->batch;
    lookahead a = {.count = 0};
    if (t > 0) {
        look_ahead(&a, l->output, before * narrow, rows * narrow);
        look_ahead(&a, l->cells, before * narrow, rows * narrow);
    }
    if (t >= 0) {
        look_ahead(&a, p->grad_output, step * narrow, rows * narrow);
        look_ahead(&a, l->extra, step * narrow, rows * narrow);
        look_ahead(&a, l->gates, step * wide, rows * wide);
        look_ahead(&a, l->slopes, step * wide, rows * wide);
        look_ahead(&a, l->shared, step * l->projections * narrow, rows * l->projections * narrow);
    }
    return a;
}

static void add_weights(const bg_train_layer *l, const scratch *w, int64_t rows, lookahead ahead) {
    for (int side = 0; side < n_sides(l); ++side, ++w) {
        add_outer_products(w->sums_x, w->x, l->inputs, w->grads, gate_panels(l), rows, &ahead);
        add_outer_products(w->sums_h, w->h, l->hidden, panels_of_h(l, w->grads), gate_panels(l), rows, &ahead);
    }
}

static void backward(const void *params, const void *packed, void *work, int64_t first, int64_t last) {
    const bg_train_backward *p = params;
    const bg_train_layer *l = &p->layer;
    const int64_t row_size = input_lines(l) * LINE;
    scratch w[2];
    int64_t rows = 0, from = l->steps - 1; /* of the chunk: rows so far, the step it began with */
    for (int side = 0; side < n_sides(l); ++side) {
        w[side] = lay_out(l, work, last - first, side);
        memset(w[side].sums_x, 0, (size_t)((char *)w[side].x - (char *)w[side].sums_x));
        pack_constants(w[side].x, w[side].grads.capacity, l->inputs);
        pack_constants(w[side].h, w[side].grads.capacity, l->hidden);
    }
    for (int64_t t = l->steps - 1; t >= 0; --t) {
        const int64_t alive = bg_train_alive(l, first, last, t), count = alive - first;
        grad_step(p, w, packed, t, first, alive, rows);
        if (p->grad_x) {
            real *behind = (real *)p->grad_x + (t * l->batch + alive) * row_size;
            memset(behind, 0, sizeof(real) * (size_t)((last - alive) * row_size));
        }
        if (needs_weights(p)) {
            keep_inputs(p, w, t, first, count, rows);
        }
        rows += count;
        if (t > 0 && rows + last - first <= w->grads.capacity) {
            continue;
        }
        if (p->grad_x) {
            grad_inputs(p, w, packed, from, t, first, last);
        }
        if (needs_weights(p)) {
            add_weights(l, w, rows, next_reads(p, t - 1, first, alive));
        }
        rows = 0;
        from = t - 1;
    }
}

static void backward_finish(const void *params, void *const *works, int shards) {
    const bg_train_backward *p = params;
    const bg_train_layer *l = &p->layer;
    real *sums_x[MOST_SHARDS], *sums_h[MOST_SHARDS], *units[MOST_SHARDS];
    for (int side = 0; needs_weights(p) && side < n_sides(l); ++side) {
        for (int k = 0; k < shards; ++k) {
            const int64_t sequences = l->batch * (k + 1) / shards - l->batch * k / shards;
            const scratch w = lay_out(l, works[k], sequences, side);
            sums_x[k] = w.sums_x;
            sums_h[k] = w.sums_h;
        }
        unpack_sums(side ? p->grad_v_ih : p->grad_w_ih, side || l->gate_scale ? NULL : p->grad_bias_ih, sums_x, shards,
                    l->inputs, l, is_gru(l) ? 2 : 0);
        unpack_sums(side ? p->grad_v_hh : p->grad_w_hh, side ? NULL : p->grad_bias_hh, sums_h, shards, l->hidden, l, 0);
    }
    void *const to[3] = {p->grad_gate_scale, l->gate_scale ? p->grad_bias_ih : NULL, p->grad_alpha};
    for (int kind = 0; kind < 3; ++kind) {
        for (int k = 0; k < shards; ++k) {
            const int64_t sequences = l->batch * (k + 1) / shards - l->batch * k / shards;
            const unit_sums found = lay_out(l, works[k], sequences, 0).units;
            units[k] = kind == 0 ? found.scale : kind == 1 ? found.bias : found.alpha;
        }
        unpack_unit_sums(to[kind], units, shards, kind == 2 ? 1 : bg_train_n_gates(l->cell), l);
    }
}

#endif
