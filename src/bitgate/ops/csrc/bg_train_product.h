/* Matrix products of the backward pass, whose operands lie in panels: one line of 64 bytes of every row, row by row. */
#ifndef BG_TRAIN_PRODUCT_H
#define BG_TRAIN_PRODUCT_H

#include "bg_train.h"

#include <string.h>

#include "bg_train_vector.h"

/* Lines side by side in a tile: two where a line is one vector, so that each number of the other operand, which has to
 * be spread over a vector, is used twice. */
#define WIDE (VECS == 1 ? 2 : 1)

/* acc (R rows of W lines) += sum over k < n of a[r, k] times line k of b, and of b + next. */
INLINE void multiply_lines(vec (*acc)[WIDE * VECS], const real *a, int64_t row_stride, int64_t k_stride, const real *b,
                           int64_t next, int64_t n, const int R, const int W) {
    for (int64_t k = 0; k < n; ++k, a += k_stride, b += LINE) {
        vec w[WIDE * VECS];
        UNROLL for (int v = 0; v < W * VECS; ++v) { w[v] = load(b + v / VECS * next + v % VECS * LANES); }
        UNROLL for (int r = 0; r < R; ++r) {
            const vec value = splat(a[r * row_stride]);
            UNROLL for (int v = 0; v < W * VECS; ++v) { acc[r][v] += value * w[v]; }
        }
    }
}

/* R rows of W lines, `stride` and `next` apart. */
INLINE void load_lines(vec (*acc)[WIDE * VECS], const real *from, int64_t stride, int64_t next, const int R,
                       const int W) {
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int v = 0; v < W * VECS; ++v) {
            acc[r][v] = from ? load(from + r * stride + v / VECS * next + v % VECS * LANES) : splat(0);
        }
    }
}

INLINE void store_lines(vec (*acc)[WIDE * VECS], real *to, int64_t stride, int64_t next, const int R, const int W) {
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int v = 0; v < W * VECS; ++v) {
            store(to + r * stride + v / VECS * next + v % VECS * LANES, acc[r][v]);
        }
    }
}

/* Rows in panels: panel p of `capacity` rows begins at data + p * capacity * LINE. */
typedef struct {
    real *data;
    int64_t capacity;
} panels;

/* One operand of a product: rows of panels, beginning at `row`, and packed weights. */
typedef struct {
    panels rows;
    int64_t row, n_panels;
    const real *packed;
} factors;

/* Where a product goes: rows `stride` apart, of `columns` columns. */
typedef struct {
    real *data;
    int64_t stride, columns;
} matrix;

INLINE void multiply_panels(vec (*acc)[WIDE * VECS], const factors *f, int64_t line, int64_t row, const int R,
                            const int W) {
    const int64_t length = f->n_panels * LINE * LINE;
    const real *packed = f->packed + line * length;
    for (int64_t p = 0; p < f->n_panels; ++p, packed += LINE * LINE) {
        const real *rows = f->rows.data + (p * f->rows.capacity + f->row + row) * LINE;
        multiply_lines(acc, rows, LINE, 1, packed, length, LINE, R, W);
    }
}

/* acc *= 2 of, whose rows may end inside a line. */
INLINE void multiply_twice(vec (*acc)[WIDE * VECS], const matrix *of, int64_t line, int64_t row, const int R,
                           const int W) {
    for (int w = 0; w < W; ++w, ++line) {
        const int64_t left = of->columns - line * LINE;
        UNROLL for (int r = 0; r < R; ++r) {
            real copy[LINE] = {0};
            const real *from = of->data + (row + r) * of->stride + line * LINE;
            if (left < LINE) {
                memcpy(copy, from, sizeof(real) * (size_t)left);
                from = copy;
            }
            UNROLL for (int v = 0; v < VECS; ++v) { acc[r][w * VECS + v] *= 2 * load(from + v * LANES); }
        }
    }
}

/* With `squares`: inputs whose squares the weights in `var` were multiplied with. */
INLINE void product_tile(matrix out, const factors *mean, const factors *var, const matrix *squares, int64_t line,
                         int64_t row, int accumulate, const int R, const int W) {
    vec acc[MOST_LINE_ROWS][WIDE * VECS];
    real *to = out.data + row * out.stride + line * LINE;
    load_lines(acc, accumulate && !squares ? to : NULL, out.stride, LINE, R, W);
    if (squares) {
        multiply_panels(acc, var, line, row, R, W);
        multiply_twice(acc, squares, line, row, R, W);
        if (accumulate) {
            UNROLL for (int r = 0; r < R; ++r) {
                UNROLL for (int v = 0; v < W * VECS; ++v) { acc[r][v] += load(to + r * out.stride + v * LANES); }
            }
        }
    }
    multiply_panels(acc, mean, line, row, R, W);
    store_lines(acc, to, out.stride, LINE, R, W);
}

/* W lines of `out` = or += mean, and if `squares` is there 2 squares (elementwise) times var. Rows that are left over
 * go in tiles as large as possible: with few accumulators every sum would wait for the one before. */
INLINE void product_lines(matrix out, int64_t rows, const factors *mean, const factors *var, const matrix *squares,
                          int accumulate, int64_t line, const int W) {
    int64_t r = 0;
    for (; r + LINE_ROWS <= rows; r += LINE_ROWS) {
        product_tile(out, mean, var, squares, line, r, accumulate, LINE_ROWS, W);
    }
    for (; LINE_ROWS > 8 && r + 8 <= rows; r += 8) {
        product_tile(out, mean, var, squares, line, r, accumulate, 8, W);
    }
    for (; LINE_ROWS > 4 && r + 4 <= rows; r += 4) {
        product_tile(out, mean, var, squares, line, r, accumulate, 4, W);
    }
    for (; r + 2 <= rows; r += 2) {
        product_tile(out, mean, var, squares, line, r, accumulate, 2, W);
    }
    for (; r < rows; ++r) {
        product_tile(out, mean, var, squares, line, r, accumulate, 1, W);
    }
}

/* As many lines as go side by side, from `line` on; returns how many. */
static int product_some(matrix out, int64_t rows, const factors *mean, const factors *var, const matrix *squares,
                        int accumulate, int64_t line) {
    if ((line + WIDE) * LINE <= out.stride) {
        product_lines(out, rows, mean, var, squares, accumulate, line, WIDE);
        return WIDE;
    }
    product_lines(out, rows, mean, var, squares, accumulate, line, 1);
    return 1;
}

/* All lines of it. */
static void product(matrix out, int64_t rows, const factors *mean, const factors *var, const matrix *squares,
                    int accumulate) {
    for (int64_t line = 0; line * LINE < out.columns;) {
        line += product_some(out, rows, mean, var, squares, accumulate, line);
    }
}

/* Packs w (P H, columns) for product: for each line of columns (P Hp, LINE); from block `turn` on, cyclically. */
static real *pack_lines(real *to, const real *w, int64_t columns, const bg_train_layer *l, int turn) {
    const int P = l->projections;
    for (int64_t line = 0; line < columns; line += LINE) {
        for (int g = 0; g < P; ++g) {
            const real *block = w + (g + turn) % P * l->hidden * columns;
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

/* The columns that no input fills, once for all rows. */
static void pack_constants(real *to, int64_t capacity, int64_t columns) {
    const int64_t last = n_tiles(columns) - 1;
    to += last * capacity * LINE_ROWS;
    for (int64_t r = 0; r < capacity; ++r, to += LINE_ROWS) {
        for (int k = 0; k < LINE_ROWS; ++k) {
            to[k] = last * LINE_ROWS + k == columns;
        }
    }
}

/* n columns of `rows` rows into one tile. */
INLINE void pack_tile(real *to, const real *from, int64_t stride, int64_t rows, const int64_t n, int squared) {
    for (int64_t r = 0; r < rows; ++r, to += LINE_ROWS, from += stride) {
        memcpy(to, from, sizeof(real) * (size_t)n);
        for (int k = 0; squared && k < n; ++k) {
            to[k] *= to[k];
        }
    }
}

static void pack_inputs(real *to, int64_t capacity, int64_t at, const real *from, int64_t stride, int64_t rows,
                        int64_t columns, int squared) {
    for (to += at * LINE_ROWS; columns >= LINE_ROWS; columns -= LINE_ROWS, from += LINE_ROWS) {
        pack_tile(to, from, stride, rows, LINE_ROWS, squared);
        to += capacity * LINE_ROWS;
    }
    pack_tile(to, from, stride, rows, columns, squared);
}

/* Memory that the next step will read: lines of it are asked for one by one between products, which need none. */
enum { MOST_AHEAD = 8 };
typedef struct {
    const real *from[MOST_AHEAD];
    int64_t lines[MOST_AHEAD];
    int count;
} lookahead;

static void look_ahead(lookahead *a, const void *array, int64_t at, int64_t size) {
    if (array && size > 0) {
        a->from[a->count] = (const real *)array + at;
        a->lines[a->count++] = size / LINE;
    }
}

/* Where the next n of its lines begin, or any that are in the cache. */
INLINE const real *next_lines(lookahead *a, int64_t n, const real *cached) {
    if (a->count == 0) {
        return cached;
    }
    const int last = a->count - 1;
    const real *from = a->from[last];
    a->from[last] += n * LINE;
    a->lines[last] -= n;
    a->count -= a->lines[last] <= 0;
    return from;
}

/* R rows of the sums of one tile and W panels. */
INLINE void add_outer_product(real *sums, const real *inputs, panels p, int64_t panel, int64_t rows, lookahead *ahead,
                              const int R, const int W) {
    vec acc[LINE_ROWS][WIDE * VECS];
    const int64_t next = LINE_ROWS * LINE, size = p.capacity * LINE;
    const real *lines = p.data + panel * size, *wanted = next_lines(ahead, rows, lines);
    load_lines(acc, sums, LINE, next, R, W);
    for (int64_t k = 0; k < rows; ++k) {
        __builtin_prefetch(wanted + k * LINE, 0, 2);
        multiply_lines(acc, inputs + k * LINE_ROWS, 1, LINE_ROWS, lines + k * LINE, size, 1, R, W);
    }
    store_lines(acc, sums, LINE, next, R, W);
}

INLINE void add_tile(real *sums, const real *inputs, panels p, int64_t n_panels, int64_t rows,
                     lookahead *ahead, const int R) {
    int64_t panel = 0;
    for (; panel + WIDE <= n_panels; panel += WIDE, sums += WIDE * LINE_ROWS * LINE) {
        add_outer_product(sums, inputs, p, panel, rows, ahead, R, WIDE);
    }
    for (; panel < n_panels; ++panel, sums += LINE_ROWS * LINE) {
        add_outer_product(sums, inputs, p, panel, rows, ahead, R, 1);
    }
}

/* sums (tile, panel, LINE_ROWS, LINE) += inputs^T times panels, over `rows` rows. Of the last tile only the columns
 * that are there count, rounded up. */
static void add_outer_products(real *sums, const real *inputs, int64_t columns, panels p, int64_t n_panels,
                               int64_t rows, lookahead *ahead) {
    enum { FEW = LINE_ROWS > 8 ? 4 : LINE_ROWS, SOME = LINE_ROWS > 8 ? 8 : LINE_ROWS };
    for (int64_t left = columns + 1; left > 0; left -= LINE_ROWS) {
        if (left <= FEW) {
            add_tile(sums, inputs, p, n_panels, rows, ahead, FEW);
        } else if (left <= SOME) {
            add_tile(sums, inputs, p, n_panels, rows, ahead, SOME);
        } else {
            add_tile(sums, inputs, p, n_panels, rows, ahead, LINE_ROWS);
        }
        inputs += p.capacity * LINE_ROWS;
        sums += n_panels * LINE_ROWS * LINE;
    }
}

/* Sum over shards of one group into w (P H, columns) and bias (P H,), either of which may be NULL. Row block g of
 * the group is block (g + turn) mod P of the weights. */
static void unpack_sums(real *w, real *bias, real *const *sums, int shards, int64_t columns, const bg_train_layer *l,
                        int turn) {
    const int P = l->projections;
    const int64_t n_panels = P * l->padded / LINE, tile_size = n_panels * LINE_ROWS * LINE;
    for (int64_t row = 0; row < P * l->hidden; ++row) {
        const int64_t g = row / l->hidden, to = (g + turn) % P * l->hidden + row % l->hidden;
        const int64_t at = g * l->padded + row % l->hidden, place = at / LINE * LINE_ROWS * LINE + at % LINE;
        for (int64_t tile = 0; tile < n_tiles(columns); ++tile) {
            for (int64_t k = tile * LINE_ROWS; k <= columns && k < (tile + 1) * LINE_ROWS; ++k) {
                const int64_t from = tile * tile_size + (k - tile * LINE_ROWS) * LINE + place;
                real sum = 0;
                for (int s = 0; s < shards; ++s) {
                    sum += sums[s][from];
                }
                if (k < columns && w) {
                    w[to * columns + k] = sum;
                } else if (k == columns && bias) {
                    bias[to] = sum;
                }
            }
        }
    }
}

#endif
