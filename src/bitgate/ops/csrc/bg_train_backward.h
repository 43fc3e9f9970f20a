/* Back-propagation through time. Each step: gradients of the pre-activations, element by element, into panels; their
 * products with the weights, which are the gradients of x and of the step's h. Every few steps: their outer products
 * with x and h, added to the gradients of the weights, while all of it is in the cache.
 */
#ifndef BG_TRAIN_BACKWARD_H
#define BG_TRAIN_BACKWARD_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_product.h"
#include "bg_train_vector.h"

enum { CHUNK_ROWS = 64, MOST_SHARDS = 64 };

/* Row blocks of the panels: those of the cell; of a GRU n (input's part), r, z, n (hidden state's part), so that the
 * three of x and the three of h lie together. */
static int n_blocks(const bg_train_layer *l) { return l->cell == BG_TRAIN_COUPLED_LSTM ? 3 : 4; }
static int is_gru(const bg_train_layer *l) { return l->cell == BG_TRAIN_GRU; }
static int64_t gate_panels(const bg_train_layer *l) { return bg_train_n_gates(l->cell) * l->padded / LINE; }
static int64_t input_lines(const bg_train_layer *l) { return (l->inputs + LINE - 1) / LINE; }

/* Packed: w_hh, then w_ih if x needs its gradient. */
static int64_t backward_packed_size(const void *params) {
    const bg_train_backward *p = params;
    int64_t lines = p->layer.padded / LINE + (p->grad_x ? input_lines(&p->layer) : 0);
    return lines * gate_panels(&p->layer) * LINE * 64;
}

static void backward_pack(const void *params, void *packed) {
    const bg_train_backward *p = params;
    real *to = pack_lines(packed, p->layer.w_hh, p->layer.hidden, &p->layer, 0);
    if (p->grad_x) {
        pack_lines(to, p->w_ih, p->layer.inputs, &p->layer, is_gru(&p->layer) ? 2 : 0);
    }
}

/* Scratch of a shard. */
typedef struct {
    panels preact;
    real *x, *h;           /* inputs of w_ih and w_hh, packed */
    real *sums_x, *sums_h; /* gradients of [w_ih, bias] and [w_hh, bias] */
} scratch;

static int needs_weights(const bg_train_backward *p) {
    return p->grad_w_ih || p->grad_w_hh || p->grad_bias_ih || p->grad_bias_hh;
}

/* Room for whole steps of at least CHUNK_ROWS rows, in lines: what follows stays aligned. */
static int64_t rows_of_chunk(int64_t sequences) {
    const int64_t steps = sequences < CHUNK_ROWS ? CHUNK_ROWS / (sequences + !sequences) : 1;
    return (sequences * steps + LINE) / LINE * LINE;
}

static scratch lay_out(const bg_train_backward *p, void *work, int64_t sequences) {
    const bg_train_layer *l = &p->layer;
    const int64_t capacity = rows_of_chunk(sequences);
    const int64_t x = n_tiles(l->inputs) * LINE_ROWS, h = n_tiles(l->hidden) * LINE_ROWS;
    scratch s = {.preact = {work, capacity}};
    s.sums_x = s.preact.data + n_blocks(l) * l->padded * capacity;
    s.sums_h = s.sums_x + x * gate_panels(l) * LINE;
    s.x = s.sums_h + h * gate_panels(l) * LINE;
    s.h = s.x + x * capacity;
    return s;
}

static int64_t backward_work_size(const void *params, int64_t sequences) {
    const bg_train_layer *l = &((const bg_train_backward *)params)->layer;
    const int64_t inputs = (n_tiles(l->inputs) + n_tiles(l->hidden)) * LINE_ROWS, capacity = rows_of_chunk(sequences);
    return (n_blocks(l) * l->padded * capacity + inputs * (gate_panels(l) * LINE + capacity)) * (int64_t)sizeof(real);
}

/* What one step reads and writes. */
typedef struct {
    const real *grad_output, *gates, *slopes, *extra; /* grad_output and slopes may be NULL */
    const real *state;                                /* c before the step; of a GRU h before it */
    real *grad_h, *grad_c;
    panels preact;
    int64_t shift; /* from a sequence to its row in the panels */
} grad_view;

INLINE void put(const grad_view *s, const bg_train_layer *l, int block, int64_t row, int64_t j, vec value) {
    const int64_t panel = (block * l->padded + j) / LINE;
    store(s->preact.data + (panel * s->preact.capacity + row + s->shift) * LINE + j % LINE, value);
}

INLINE vec read_slope(const grad_view *s, int64_t at, vec value, int is_tanh) {
    return s->slopes ? load(s->slopes + at) : slope_of(value, is_tanh);
}

INLINE vec read_grad_h(const grad_view *s, int64_t at) {
    vec grad = load(s->grad_h + at);
    return s->grad_output ? grad + load(s->grad_output + at) : grad;
}

INLINE void lstm_grad(const bg_train_layer *l, const grad_view *s, int64_t row, int64_t j, const int is_coupled) {
    const int64_t at = row * l->padded + j, Hp = l->padded;
    const int64_t at_i = row * (4 - is_coupled) * Hp + j, at_f = at_i + Hp;
    const int64_t at_g = at_i + (2 - is_coupled) * Hp, at_o = at_g + Hp;
    vec i = load(s->gates + at_i), g = load(s->gates + at_g), o = load(s->gates + at_o);
    vec squashed = load(s->extra + at), c = load(s->state + at), grad_h = read_grad_h(s, at);
    vec grad_c = load(s->grad_c + at) + grad_h * o * (1 - squashed * squashed);
    vec f = is_coupled ? 1 - i : load(s->gates + at_f);
    put(s, l, 0, row, j, grad_c * (is_coupled ? g - c : g) * read_slope(s, at_i, i, 0));
    if (!is_coupled) {
        put(s, l, 1, row, j, grad_c * c * read_slope(s, at_f, f, 0));
    }
    put(s, l, 2 - is_coupled, row, j, grad_c * i * read_slope(s, at_g, g, 1));
    put(s, l, 3 - is_coupled, row, j, grad_h * squashed * read_slope(s, at_o, o, 0));
    store(s->grad_c + at, grad_c * f);
}

INLINE void gru_grad(const bg_train_layer *l, const grad_view *s, int64_t row, int64_t j) {
    const int64_t at = row * l->padded + j, Hp = l->padded;
    const int64_t at_r = row * 3 * Hp + j, at_z = at_r + Hp, at_n = at_z + Hp;
    vec r = load(s->gates + at_r), z = load(s->gates + at_z), n = load(s->gates + at_n), grad_h = read_grad_h(s, at);
    vec grad_n = grad_h * (1 - z) * read_slope(s, at_n, n, 1);
    put(s, l, 0, row, j, grad_n);
    put(s, l, 1, row, j, grad_n * load(s->extra + at) * read_slope(s, at_r, r, 0));
    put(s, l, 2, row, j, grad_h * (load(s->state + at) - n) * read_slope(s, at_z, z, 0));
    put(s, l, 3, row, j, grad_n * r);
    store(s->grad_h + at, grad_h * z);
}

#define ELEMENTS(gradient)                                                                                      \
    for (int64_t row = first; row < last; ++row) {                                                              \
        for (int64_t j = 0; j < l->padded; j += LANES) {                                                        \
            gradient;                                                                                           \
        }                                                                                                       \
    }

static void lstm_elements(const bg_train_layer *l, const grad_view *s, int64_t first, int64_t last) {
    ELEMENTS(lstm_grad(l, s, row, j, 0))
}

static void coupled_elements(const bg_train_layer *l, const grad_view *s, int64_t first, int64_t last) {
    ELEMENTS(lstm_grad(l, s, row, j, 1))
}

static void gru_elements(const bg_train_layer *l, const grad_view *s, int64_t first, int64_t last) {
    ELEMENTS(gru_grad(l, s, row, j))
}

static panels panels_of_h(const bg_train_layer *l, panels preact) {
    preact.data += is_gru(l) * l->padded * preact.capacity;
    return preact;
}

/* The products of one step of `rows` sequences from `first` on. */
static void grad_products(const bg_train_backward *p, const grad_view *s, const real *packed, int64_t t, int64_t first,
                          int64_t rows) {
    const bg_train_layer *l = &p->layer;
    const int64_t n_panels = gate_panels(l), lines = l->padded / LINE, at = first + s->shift;
    panels preact = panels_of_h(l, s->preact);
    product(s->grad_h + first * l->padded, l->padded, lines, preact, at, rows, n_panels, packed, is_gru(l));
    if (p->grad_x) {
        const int64_t size = input_lines(l) * LINE;
        real *to = (real *)p->grad_x + (t * l->batch + first) * size;
        product(to, size, input_lines(l), s->preact, at, rows, n_panels, packed + lines * n_panels * LINE * LINE, 0);
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
    const grad_view s = {
        .grad_output = p->grad_output ? (const real *)p->grad_output + t * size : NULL,
        .gates = (const real *)l->gates + t * n_gates * size,
        .slopes = l->slopes ? (const real *)l->slopes + t * n_gates * size : NULL,
        .extra = (const real *)l->extra + t * size,
        .state = is_gru(l) ? before(l->output, l->h_0, t, size) : before(l->cells, l->c_0, t, size),
        .grad_h = p->grad_h,
        .grad_c = p->grad_c,
        .preact = w->preact,
        .shift = at - first,
    };
    (l->cell == BG_TRAIN_LSTM ? lstm_elements : is_gru(l) ? gru_elements : coupled_elements)(l, &s, first, last);
    grad_products(p, &s, packed, t, first, last - first);
}

static void backward(const void *params, const void *packed, void *work, int64_t first, int64_t last) {
    const bg_train_backward *p = params;
    const bg_train_layer *l = &p->layer;
    const scratch s = lay_out(p, work, last - first);
    const int64_t row_size = input_lines(l) * LINE, size = l->batch * l->padded;
    int64_t rows = 0;
    memset(s.sums_x, 0, (size_t)((char *)s.x - (char *)s.sums_x));
    for (int64_t t = l->steps - 1; t >= 0; --t) {
        const int64_t alive = bg_train_alive(l, first, last, t), count = alive - first;
        grad_step(p, &s, packed, t, first, alive, rows);
        if (p->grad_x) {
            real *behind = (real *)p->grad_x + (t * l->batch + alive) * row_size;
            memset(behind, 0, sizeof(real) * (size_t)((last - alive) * row_size));
        }
        if (!needs_weights(p)) {
            continue;
        }
        const real *x = (const real *)p->x + (t * l->batch + first) * l->inputs;
        pack_inputs(s.x, s.preact.capacity, rows, x, l->inputs, count, l->inputs);
        const real *h = before(l->output, l->h_0, t, size) + first * l->padded;
        pack_inputs(s.h, s.preact.capacity, rows, h, l->padded, count, l->hidden);
        rows += count;
        if (t == 0 || rows + last - first > s.preact.capacity) {
            add_outer_products(s.sums_x, s.x, l->inputs, s.preact, gate_panels(l), rows);
            add_outer_products(s.sums_h, s.h, l->hidden, panels_of_h(l, s.preact), gate_panels(l), rows);
            rows = 0;
        }
    }
}

static void backward_finish(const void *params, void *const *works, int shards) {
    const bg_train_backward *p = params;
    const bg_train_layer *l = &p->layer;
    real *sums_x[MOST_SHARDS], *sums_h[MOST_SHARDS];
    for (int k = 0; k < shards; ++k) {
        scratch s = lay_out(p, works[k], l->batch * (k + 1) / shards - l->batch * k / shards);
        sums_x[k] = s.sums_x;
        sums_h[k] = s.sums_h;
    }
    if (needs_weights(p)) {
        unpack_sums(p->grad_w_ih, p->grad_bias_ih, sums_x, shards, l->inputs, l, is_gru(l) ? 2 : 0);
        unpack_sums(p->grad_w_hh, p->grad_bias_hh, sums_h, shards, l->hidden, l, 0);
    }
}

#endif
