/* Matrix products of the backward pass, whose operands lie in panels: one line of 64 bytes of every row, row by row. */
#ifndef BG_TRAIN_PRODUCT_H
#define BG_TRAIN_PRODUCT_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_vector.h"

/* acc (R rows of one line) += sum over k < n of a[r, k] times line k of b. */
INLINE void multiply_lines(vec (*acc)[VECS], const real *a, int64_t row_stride, int64_t k_stride, const real *b,
                           int64_t n, const int R) {
    for (int64_t k = 0; k < n; ++k, a += k_stride, b += LINE) {
        vec w[VECS];
        UNROLL for (int v = 0; v < VECS; ++v) { w[v] = load(b + v * LANES); }
        UNROLL for (int r = 0; r < R; ++r) {
            const vec value = splat(a[r * row_stride]);
            UNROLL for (int v = 0; v < VECS; ++v) { acc[r][v] += value * w[v]; }
        }
    }
}

INLINE void load_lines(vec (*acc)[VECS], const real *from, int64_t stride, const int R) {
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int v = 0; v < VECS; ++v) { acc[r][v] = from ? load(from + r * stride + v * LANES) : splat(0); }
    }
}

INLINE void store_lines(vec (*acc)[VECS], real *to, int64_t stride, const int R) {
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int v = 0; v < VECS; ++v) { store(to + r * stride + v * LANES, acc[r][v]); }
    }
}

/* Rows in panels: panel p of `capacity` rows begins at data + p * capacity * LINE. */
typedef struct {
    real *data;
    int64_t capacity;
} panels;

INLINE void product_tile(real *out, int64_t stride, panels a, int64_t row, int64_t n_panels, const real *packed,
                         int accumulate, const int R) {
    vec acc[LINE_ROWS][VECS];
    load_lines(acc, accumulate ? out : NULL, stride, R);
    for (int64_t p = 0; p < n_panels; ++p, packed += LINE * LINE) {
        multiply_lines(acc, a.data + (p * a.capacity + row) * LINE, LINE, 1, packed, LINE, R);
    }
    store_lines(acc, out, stride, R);
}

/* out (rows, stride apart, `lines` lines each) = or += rows of a, beginning at `first`, times packed weights. */
static void product(real *out, int64_t stride, int64_t lines, panels a, int64_t first, int64_t rows, int64_t n_panels,
                    const real *packed, int accumulate) {
    for (int64_t line = 0; line < lines; ++line, out += LINE, packed += n_panels * LINE * LINE) {
        int64_t r = 0;
        for (; r + LINE_ROWS <= rows; r += LINE_ROWS) {
            product_tile(out + r * stride, stride, a, first + r, n_panels, packed, accumulate, LINE_ROWS);
        }
        for (; r + 2 <= rows; r += 2) {
            product_tile(out + r * stride, stride, a, first + r, n_panels, packed, accumulate, 2);
        }
        for (; r < rows; ++r) {
            product_tile(out + r * stride, stride, a, first + r, n_panels, packed, accumulate, 1);
        }
    }
}

/* Packs w (G H, columns) for product: for each line of columns (G Hp, LINE); from block `turn` on, cyclically. */
static real *pack_lines(real *to, const real *w, int64_t columns, const bg_train_layer *l, int turn) {
    const int n_gates = bg_train_n_gates(l->cell);
    for (int64_t line = 0; line < columns; line += LINE) {
        for (int g = 0; g < n_gates; ++g) {
            const real *block = w + (g + turn) % n_gates * l->hidden * columns;
            for (int64_t row = 0; row < l->padded; ++row) {
                for (int64_t j = line; j < line + LINE; ++j) {
                    *to++ = row < l->hidden && j < columns ? block[row * columns + j] : 0;
                }
            }
        }
    }
    return to;
}

/* Inputs of weights, in tiles of LINE_ROWS columns: (tile, capacity, LINE_ROWS). Column `columns` is all ones,
 * for the bias; further ones are zero. */
static int64_t n_tiles(int64_t columns) { return columns / LINE_ROWS + 1; }

static void pack_inputs(real *to, int64_t capacity, int64_t at, const real *from, int64_t stride, int64_t rows,
                        int64_t columns) {
    for (int64_t tile = 0; tile < n_tiles(columns); ++tile) {
        real *out = to + (tile * capacity + at) * LINE_ROWS;
        int64_t begin = tile * LINE_ROWS, whole = begin + LINE_ROWS <= columns;
        for (int64_t r = 0; r < rows; ++r, out += LINE_ROWS) {
            for (int k = 0; k < LINE_ROWS; ++k) {
                out[k] = whole || begin + k < columns ? from[r * stride + begin + k] : begin + k == columns;
            }
        }
    }
}

/* sums (tile, panel, LINE_ROWS, LINE) += inputs^T times panels, over `rows` rows. */
static void add_outer_products(real *sums, const real *inputs, int64_t columns, panels p, int64_t n_panels,
                               int64_t rows) {
    for (int64_t tile = 0; tile < n_tiles(columns); ++tile, inputs += p.capacity * LINE_ROWS) {
        for (int64_t panel = 0; panel < n_panels; ++panel, sums += LINE_ROWS * LINE) {
            vec acc[LINE_ROWS][VECS];
            load_lines(acc, sums, LINE, LINE_ROWS);
            multiply_lines(acc, inputs, 1, LINE_ROWS, p.data + panel * p.capacity * LINE, rows, LINE_ROWS);
            store_lines(acc, sums, LINE, LINE_ROWS);
        }
    }
}

/* Sum over shards of one group into w (G H, columns) and bias (G H,), either of which may be NULL. Row block g of
 * the group is block (g + turn) mod G of the weights. */
static void unpack_sums(real *w, real *bias, real *const *sums, int shards, int64_t columns, const bg_train_layer *l,
                        int turn) {
    const int n_gates = bg_train_n_gates(l->cell);
    const int64_t n_panels = n_gates * l->padded / LINE;
    for (int64_t row = 0; row < n_gates * l->hidden; ++row) {
        const int64_t g = row / l->hidden, to = (g + turn) % n_gates * l->hidden + row % l->hidden;
        const int64_t at = g * l->padded + row % l->hidden;
        for (int64_t k = 0; k <= columns; ++k) {
            const int64_t tile = k / LINE_ROWS * n_panels + at / LINE;
            real sum = 0;
            for (int s = 0; s < shards; ++s) {
                sum += sums[s][(tile * LINE_ROWS + k % LINE_ROWS) * LINE + at % LINE];
            }
            if (k < columns && w) {
                w[to * columns + k] = sum;
            } else if (k == columns && bias) {
                bias[to] = sum;
            }
        }
    }
}

#endif
