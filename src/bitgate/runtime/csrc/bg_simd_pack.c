/* From the arrays of the plain kernels to the order that the vector kernels read. */
#include "bg_simd.h"

#include <stdlib.h>
#include <string.h>

#include "bg_activation.h"
#include "bg_cells.h"
#include "bg_rows.h"
#include "bg_smooth.h"

/* Beyond it a sum of codes in the highest place could leave int32. */
enum { MOST_PACKED_COLUMNS = 65536, ALIGNMENT = 64 };

struct bg_simd_block {
    bg_simd_block *next;
};

void *bg_simd_take(bg_simd_model *model, size_t bytes) {
    char *memory = calloc(1, bytes + 2 * ALIGNMENT);
    if (memory == NULL) {
        return NULL;
    }
    bg_simd_block *block = (bg_simd_block *)(void *)memory;
    block->next = model->memory;
    model->memory = block;
    uintptr_t begin = (uintptr_t)(memory + sizeof *block);
    return memory + sizeof *block + (ALIGNMENT - begin % ALIGNMENT) % ALIGNMENT;
}

void bg_simd_release(bg_simd_model *model) {
    while (model->memory != NULL) {
        bg_simd_block *next = model->memory->next;
        free(model->memory);
        model->memory = next;
    }
}

/* Whether the weights are base + step * code for every code that may occur. */
static int find_progression(const bg_matrix *from, bg_simd_matrix *to) {
    const int8_t *levels = from->levels;
    if (from->bits > 2) {
        return 0;
    }
    to->base = levels[0];
    to->step = levels[1] - levels[0];
    return from->bits == 1 || from->row_sum == bg_row_ternary ||
           (levels[2] - levels[1] == to->step && levels[3] - levels[2] == to->step);
}

static int code_of(const bg_matrix *from, int32_t row, int32_t column) {
    int64_t at = (int64_t)column * from->bits;
    const uint8_t *codes = from->codes + (size_t)row * (size_t)from->row_bytes;
    return (codes[at / 8] >> (at % 8)) & ((1 << from->bits) - 1);
}

/* One row as int8 weights; returns their sum. */
static int32_t pack_weights(const bg_matrix *from, int32_t row, uint32_t *to) {
    int32_t total = 0;
    for (int32_t j = 0; j < from->columns; ++j) {
        int8_t weight = from->levels[code_of(from, row, j)];
        memcpy((char *)(to + (size_t)(j / 4) * BG_SIMD_ROWS) + j % 4, &weight, 1);
        total += weight;
    }
    return total;
}

/* The sum of the codes in a word: of one bit, or of two. */
static int32_t sum_codes(uint32_t word, int bits) {
    word -= bits == 1 ? (word >> 1) & 0x55555555u : 0u;
    word = (word & 0x33333333u) + ((word >> 2) & 0x33333333u);
    word = (word & 0x0f0f0f0fu) + ((word >> 4) & 0x0f0f0f0fu);
    return (int32_t)((word * 0x01010101u) >> 24);
}

/* One row of packed codes, unless to is NULL; returns their sum. The spare bits at its end are zero. */
static int32_t pack_codes(const bg_matrix *from, int32_t row, uint32_t *to) {
    const uint8_t *codes = from->codes + (size_t)row * (size_t)from->row_bytes;
    int32_t total = 0, left = from->row_bytes;
    for (; left > 0; left -= 4, codes += 4) {
        uint32_t word = 0;
        if (left >= 4) {
            memcpy(&word, codes, 4);
        } else {
            memcpy(&word, codes, (size_t)left);
        }
        if (to != NULL) {
            *to = word;
            to += BG_SIMD_ROWS;
        }
        total += sum_codes(word, from->bits);
    }
    return total;
}

/* A byte of four codes as a word of four bytes, one code in each. */
static uint32_t spread_codes(uint32_t byte) {
    uint32_t pairs = (byte | byte << 12) & 0x000f000fu;
    return (pairs | pairs << 6) & 0x03030303u;
}

/* Up to four words of each lane from as many bytes, count, of up to 64 rows. */
static inline void stack_words(const uint8_t *codes, size_t row_bytes, size_t count, int32_t rows, uint32_t *to) {
    uint32_t bytes[BG_SIMD_STACK] = {0};
    for (int32_t row = 0; row < rows; ++row) {
        const uint8_t *from = codes + (size_t)row * row_bytes;
        for (size_t k = 0; k < count; ++k) {
            bytes[row] |= (uint32_t)from[k] << (8 * k);
        }
    }
    for (size_t k = 0; k < count; ++k, to += BG_SIMD_LANES) {
        unsigned shift = 8 * (unsigned)k;
        for (int lane = 0; lane < BG_SIMD_LANES; ++lane) {
            const uint32_t *from = bytes + lane;
            to[lane] = spread_codes(from[0] >> shift & 255u) | spread_codes(from[BG_SIMD_LANES] >> shift & 255u) << 2 |
                       spread_codes(from[2 * BG_SIMD_LANES] >> shift & 255u) << 4 |
                       spread_codes(from[3 * BG_SIMD_LANES] >> shift & 255u) << 6;
        }
    }
}

static void stack_block(const bg_matrix *from, int32_t block, uint32_t *to) {
    size_t row_bytes = (size_t)from->row_bytes;
    const uint8_t *codes = from->codes + (size_t)block * BG_SIMD_STACK * row_bytes;
    int32_t rows = from->rows - block * BG_SIMD_STACK;
    rows = rows < BG_SIMD_STACK ? rows : BG_SIMD_STACK;
    size_t q = 0;
    for (; q + 4 <= row_bytes; q += 4) {
        stack_words(codes + q, row_bytes, 4, rows, to + q * BG_SIMD_LANES);
    }
    if (q < row_bytes) {
        stack_words(codes + q, row_bytes, row_bytes - q, rows, to + q * BG_SIMD_LANES);
    }
}

/* What the sum of a row's products lacks, by how its activations are written (bg_simd_inputs.h). */
static int32_t offset(const bg_simd_matrix *m, int32_t total, int flip) {
    int32_t each = m->planes == 1 ? (flip ? -128 : 0) : flip ? -32768 : 128;
    return (int32_t)((uint32_t)each * (uint32_t)total * (uint32_t)m->step);
}

/* How the weights are to lie. */
static void plan_matrix(const bg_simd_model *model, const bg_matrix *from, bg_simd_matrix *to) {
    int is_packed = find_progression(from, to) && from->columns <= MOST_PACKED_COLUMNS &&
                    (int64_t)from->rows * from->columns > model->int8_weights;
    to->rows = from->rows;
    to->columns = from->columns;
    to->planes = model->plain->state_bits > 8 ? 2 : 1;
    to->bits = is_packed ? from->bits : 8;
    to->base = is_packed ? to->base : 0;
    to->step = is_packed ? to->step : 1;
    to->stacked = model->kernel->stacks && to->bits == 2;
    int32_t block = to->stacked ? BG_SIMD_STACK : BG_SIMD_ROWS;
    to->blocks = (from->rows + block - 1) / block;
    to->row_words = is_packed && !to->stacked ? (from->row_bytes + 3) / 4 : (from->columns + 15) / 16 * 4;
}

static void pack_rows(const bg_simd_model *model, const bg_matrix *from, bg_simd_matrix *to) {
    int flip = model->kernel->int8_flip;
    for (int32_t row = 0; row < from->rows; ++row) {
        uint32_t *words = to->words + (size_t)(row / BG_SIMD_ROWS) * (size_t)to->row_words * BG_SIMD_ROWS;
        words += row % BG_SIMD_ROWS;
        int32_t total = to->bits == 8 ? pack_weights(from, row, words)
                                      : pack_codes(from, row, to->stacked ? NULL : words);
        to->constant[row] = offset(to, total, to->bits == 8 ? flip : 0);
        to->constant_many[row] = offset(to, total, flip);
    }
    for (int32_t block = 0; to->stacked && block < to->blocks; ++block) {
        stack_block(from, block, to->words + (size_t)block * (size_t)to->row_words * BG_SIMD_LANES);
    }
}

static size_t larger_of(size_t a, size_t b) { return a > b ? a : b; }

static int pack_matrix(bg_simd_model *model, const bg_matrix *from, bg_simd_matrix *to) {
    plan_matrix(model, from, to);
    size_t lanes = to->stacked ? BG_SIMD_LANES : BG_SIMD_ROWS;
    size_t rows = (size_t)to->blocks * (to->stacked ? BG_SIMD_STACK : BG_SIMD_ROWS);
    to->words = bg_simd_take(model, (size_t)to->blocks * lanes * (size_t)to->row_words * sizeof *to->words);
    to->constant = bg_simd_take(model, rows * sizeof *to->constant);
    to->constant_many = bg_simd_take(model, rows * sizeof *to->constant_many);
    if (to->words == NULL || to->constant == NULL || to->constant_many == NULL) {
        return -1;
    }
    pack_rows(model, from, to);
    model->widest_rows = larger_of(model->widest_rows, rows);
    model->widest_bytes = larger_of(model->widest_bytes, bg_simd_stride(to));
    model->widest_block = larger_of(model->widest_block, ((size_t)bg_simd_width(to) / 4 + 15) / 16 * 16 * BG_SIMD_ROWS);
    model->products += (int64_t)from->rows * from->columns;
    return 0;
}

/* A copy of an array by row or unit, with room for a vector that reads on behind its end. */
static const int32_t *padded_copy(bg_simd_model *model, const int32_t *from, int32_t count) {
    int32_t *copy = bg_simd_take(model, ((size_t)count + BG_SIMD_UNITS) * sizeof *copy);
    if (copy != NULL) {
        memcpy(copy, from, (size_t)count * sizeof *copy);
    }
    return copy;
}

static int pack_gate(bg_simd_model *model, const bg_gate *from, bg_simd_gate *to) {
    *to = (bg_simd_gate){from->thresholds, NULL, from->values, from->levels};
    if (from->levels <= 2 || from->levels > BG_SIMD_COUNTED) {
        return 0;
    }
    to->increments = bg_simd_take(model, (size_t)from->levels * sizeof *to->increments);
    for (int k = 0; to->increments != NULL && k < from->levels - 1; ++k) {
        to->increments[k] = from->values[k + 1] - from->values[k];
    }
    return to->increments == NULL ? -1 : 0;
}

static void find_cell(const bg_layer *from, bg_simd_layer *to) {
    static const struct {
        bg_step_fn step, shared;
        uint8_t cell, n_gates;
    } cells[] = {
        {bg_lstm_step, bg_shared_lstm_step, BG_SIMD_LSTM, 4},
        {bg_gru_step, bg_shared_gru_step, BG_SIMD_GRU, 3},
        {bg_gated_rnn_step, bg_shared_gated_rnn_step, BG_SIMD_GATED_RNN, 2},
        {bg_coupled_lstm_step, bg_shared_coupled_lstm_step, BG_SIMD_COUPLED, 3},
    };
    bg_step_fn step = from->skip == NULL ? from->step : from->skip->cell;
    int k = 0;
    while (step != cells[k].step && step != cells[k].shared) {
        ++k;
    }
    to->cell = cells[k].cell;
    to->n_gates = cells[k].n_gates;
}

static int pack_layer(bg_simd_model *model, const bg_layer *from, bg_simd_layer *to) {
    int32_t size = from->w_hh.columns;
    find_cell(from, to);
    to->table = model->table;
    to->byte_table = model->byte_table;
    to->size = size;
    to->padded = bg_simd_padded(size);
    to->skip = from->skip;
    to->state_size = from->skip == NULL ? 2 * to->padded : 3 * to->padded + BG_SIMD_UNITS;
    to->mult_per_row = from->mult_per_row;
    to->product_bits = from->product_bits;
    for (int gate = 0; gate < to->n_gates; ++gate) {
        to->row[gate] = (from->sharing == NULL ? gate : from->sharing[gate]) * size;
        to->shift[gate] = from->shift[gate];
        if (pack_gate(model, &from->gates[gate], &to->gates[gate]) < 0) {
            return -1;
        }
    }
    int32_t multipliers = from->mult_per_row ? to->n_gates * size : to->n_gates;
    to->bias = padded_copy(model, from->bias.q15, to->n_gates * size);
    to->mult_ih = padded_copy(model, from->mult_ih, multipliers);
    to->mult_hh = padded_copy(model, from->mult_hh, multipliers);
    to->bias_hn = from->bias_hn == NULL ? NULL : padded_copy(model, from->bias_hn, size);
    if (to->bias == NULL || to->mult_ih == NULL || to->mult_hh == NULL || (from->bias_hn && to->bias_hn == NULL)) {
        return -1;
    }
    return pack_matrix(model, &from->w_ih, &to->w_ih) < 0 ? -1 : pack_matrix(model, &from->w_hh, &to->w_hh);
}

static int make_tables(bg_simd_model *model) {
    enum { ENTRIES = 192, HIGH = 64 };
    model->table = bg_simd_take(model, ENTRIES * sizeof *model->table);
    model->byte_table = bg_simd_take(model, 3 * ENTRIES + HIGH);
    if (model->table == NULL || model->byte_table == NULL) {
        return -1;
    }
    for (int k = 0; k < ENTRIES; ++k) {
        int at = k < BG_SMOOTH_END >> 11 ? k : BG_SMOOTH_END >> 11; /* from there on the table is constant */
        uint32_t value = bg_sigmoid_table[at] - BG_ONE / 2u;
        uint32_t step = (uint32_t)(bg_sigmoid_table[at + 1] - bg_sigmoid_table[at]);
        model->table[k] = (int32_t)(value << 16 | step);
        model->byte_table[k] = (uint8_t)value;
        model->byte_table[ENTRIES + k] = (uint8_t)(value >> 8);
        model->byte_table[2 * ENTRIES + k] = (uint8_t)step;
        if (k < HIGH) {
            model->byte_table[3 * ENTRIES + k] = (uint8_t)(step >> 8);
        }
    }
    return 0;
}

int bg_simd_pack(bg_simd_model *model, const bg_model *plain, const bg_simd_kernel *kernel, int64_t int8_weights,
                 int extensions) {
    *model = (bg_simd_model){.kernel = kernel, .plain = plain, .int8_weights = int8_weights};
    model->units = extensions ? bg_simd_find_units(kernel) : kernel->units;
    model->multiply_many = extensions ? bg_simd_find_products(kernel) : kernel->products;
    model->layers = bg_simd_take(model, (size_t)plain->n_layers * sizeof *model->layers + 1);
    if (model->layers == NULL || make_tables(model) < 0) {
        return -1;
    }
    for (int k = 0; k < plain->n_layers; ++k) {
        if (pack_layer(model, &plain->layers[k], &model->layers[k]) < 0) {
            return -1;
        }
    }
    return plain->readout == NULL ? 0 : pack_matrix(model, &plain->readout->weight, &model->readout);
}
