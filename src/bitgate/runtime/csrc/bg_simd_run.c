#include "bg_simd_run.h"

#include <string.h>

#include "bg_shift.h"

/* From so many vectors on a block of codes is unpacked once for all. */
enum { MANY = 4, SUMS_BYTES = 640 * 1024 };

static size_t aligned(size_t bytes) { return (bytes + 63u) & ~(size_t)63u; }

/* Sums of a vector; a whole vector may be read behind the rows of the last gate. */
static size_t sums_stride(const bg_simd_model *model) { return model->widest_rows + BG_SIMD_UNITS; }

int32_t bg_simd_vectors(const bg_simd_model *model, int64_t wanted) {
    int64_t fitting = SUMS_BYTES / (int64_t)(model->widest_rows * sizeof(int32_t) + 1);
    /* A multiple of what the widest kernels multiply at once: two tiles, or eight vectors. */
    int64_t most = fitting & ~(int64_t)(fitting < 32 ? 7 : 31);
    most = most < BG_SIMD_VECTORS ? most : BG_SIMD_VECTORS;
    most = most < BG_SIMD_SEQUENCES ? BG_SIMD_SEQUENCES : most;
    return (int32_t)(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

size_t bg_simd_work_size(const bg_simd_model *model, int32_t vectors) {
    size_t n = (size_t)vectors, sums = aligned(n * sums_stride(model) * sizeof(int32_t));
    return 2 * sums + n * model->widest_bytes + aligned(n * sizeof(int32_t)) + model->widest_block * sizeof(uint32_t);
}

void bg_simd_work_place(const bg_simd_model *model, int32_t vectors, void *memory, bg_simd_work *work) {
    size_t n = (size_t)vectors, sums = aligned(n * sums_stride(model) * sizeof(int32_t));
    char *at = memory;
    work->vectors = vectors;
    work->sums_x = (int32_t *)(void *)at;
    work->sums_h = (int32_t *)(void *)(at + sums);
    at += 2 * sums;
    work->inputs.bytes = (uint8_t *)at;
    at += n * model->widest_bytes;
    work->inputs.sums = (int32_t *)(void *)at;
    work->block = (uint32_t *)(void *)(at + aligned(n * sizeof(int32_t)));
}

/* Puts vector k of the next product in place. */
static void put(const bg_simd_model *model, bg_simd_work *work, const bg_simd_matrix *m, int32_t k, int is_many,
                const int16_t *x) {
    work->inputs.stride = bg_simd_stride(m);
    uint8_t *bytes = work->inputs.bytes + (size_t)k * work->inputs.stride;
    work->inputs.sums[k] = model->kernel->arrange(m, x, bytes, is_many);
}

/* Multiplies the n vectors that are in place. */
static void multiply(const bg_simd_model *model, bg_simd_work *work, const bg_simd_matrix *m, int32_t n, int is_many,
                     int32_t *sums) {
    size_t stride = sums_stride(model);
    if (is_many) {
        model->multiply_many(m, &work->inputs, n, sums, stride, work->block);
        return;
    }
    for (int32_t k = 0; k < n; ++k) {
        const uint8_t *bytes = work->inputs.bytes + (size_t)k * work->inputs.stride;
        model->kernel->product(m, bytes, work->inputs.sums[k], sums + (size_t)k * stride);
    }
}

static void multiply_rows(const bg_simd_model *model, bg_simd_work *work, const bg_simd_matrix *m, int32_t n,
                          const int16_t *x, size_t x_stride, int32_t *sums) {
    int is_many = n >= MANY;
    for (int32_t k = 0; k < n; ++k) {
        put(model, work, m, k, is_many, x + (size_t)k * x_stride);
    }
    multiply(model, work, m, n, is_many, sums);
}

/* What comes back of the state at the last block boundary (docs/arithmetic.md, Block skip). */
static void add_skip(const bg_simd_layer *l, uint8_t state_bits, int16_t *h) {
    int16_t *anchor = h + 2 * l->padded, *position = anchor + l->padded;
    if (*position + 1 < l->skip->block_size) {
        *position = (int16_t)(*position + 1);
        return;
    }
    *position = 0;
    int32_t limit = bg_code_limit(state_bits);
    for (int32_t j = 0; j < l->size; ++j) {
        int32_t alpha = l->skip->alpha[l->skip->alpha_per_unit ? j : 0];
        h[j] = bg_clip(h[j] + bg_round_shift32(alpha * anchor[j], 15), limit);
        anchor[j] = h[j];
    }
}

/* The new state, which begins at h, from the sums. */
static void update(const bg_simd_model *model, const bg_simd_layer *l, const int32_t *sums_x, const int32_t *sums_h,
                   int16_t *h) {
    uint8_t bits = model->plain->state_bits, cell_bits = bits;
    if (l->skip != NULL) {
        cell_bits = (uint8_t)(bits - l->skip->range_bits);
    }
    model->units(l, cell_bits, 0, l->padded, sums_x, sums_h, h, h + l->padded);
    if (l->skip != NULL) {
        add_skip(l, bits, h);
    }
}

size_t bg_simd_state_size(const bg_simd_model *model) {
    size_t size = 0;
    for (int k = 0; k < model->plain->n_layers; ++k) {
        size += (size_t)model->layers[k].state_size;
    }
    return size > 0 ? size : (size_t)bg_simd_padded(model->plain->input_size);
}

const int16_t *bg_simd_step(const bg_simd_model *model, bg_simd_work *work, int32_t n, const int16_t *x,
                            int16_t *states) {
    size_t state_size = bg_simd_state_size(model), x_stride = (size_t)model->plain->input_size, at = 0;
    if (model->plain->n_layers == 0) {
        for (int32_t k = 0; k < n; ++k) {
            memcpy(states + (size_t)k * state_size, x + (size_t)k * x_stride, x_stride * sizeof *x);
        }
        return states;
    }
    for (int k = 0; k < model->plain->n_layers; ++k) {
        const bg_simd_layer *l = &model->layers[k];
        int16_t *h = states + at;
        multiply_rows(model, work, &l->w_ih, n, x, x_stride, work->sums_x);
        multiply_rows(model, work, &l->w_hh, n, h, state_size, work->sums_h);
        for (int32_t b = 0; b < n; ++b) {
            size_t row = (size_t)b * sums_stride(model);
            update(model, l, work->sums_x + row, work->sums_h + row, h + (size_t)b * state_size);
        }
        x = h;
        x_stride = state_size;
        at += (size_t)l->state_size;
    }
    return x;
}

void bg_simd_logits(const bg_simd_model *model, bg_simd_work *work, int32_t n, const int16_t *h, size_t h_stride,
                    int32_t *logits) {
    const bg_readout *readout = model->plain->readout;
    int32_t classes = readout->weight.rows;
    multiply_rows(model, work, &model->readout, n, h, h_stride, work->sums_x);
    for (int32_t k = 0; k < n; ++k) {
        const int32_t *sums = work->sums_x + (size_t)k * sums_stride(model);
        for (int32_t j = 0; j < classes; ++j) {
            logits[k * classes + j] = readout->mult[readout->mult_per_row ? j : 0] * sums[j] + readout->bias[j];
        }
    }
}

/* Step k of a sequence stands at this row of its arrays. */
static size_t row_of(int32_t b, int32_t k, int32_t steps, int32_t length, int reverse) {
    return (size_t)b * (size_t)steps + (size_t)(reverse ? length - 1 - k : k);
}

/* Sums of the inputs of steps begin to end of all sequences that reach them, vector (k - begin) * n + b. */
static void project(const bg_simd_model *model, bg_simd_work *work, const bg_simd_matrix *m, int reverse, int32_t n,
                    int32_t steps, const int32_t *lengths, const int16_t *x, size_t x_stride, int32_t begin,
                    int32_t end) {
    int32_t vectors = n * (end - begin);
    int is_many = vectors >= MANY;
    for (int32_t k = begin; k < end; ++k) {
        for (int32_t b = 0; b < n; ++b) {
            /* Behind an end any row will do: nobody reads the sums. */
            int32_t step = k < lengths[b] ? k : 0;
            put(model, work, m, (k - begin) * n + b, is_many,
                x + row_of(b, step, steps, lengths[b], reverse) * x_stride);
        }
    }
    multiply(model, work, m, vectors, is_many, work->sums_x);
}

/* Step k of the sequences alive: their sums of inputs are in place from row first on. */
static void recur(const bg_simd_model *model, bg_simd_work *work, const bg_simd_layer *l, const int32_t *alive,
                  int32_t n_alive, int32_t first, int16_t *states) {
    int is_many = n_alive >= MANY;
    size_t stride = sums_stride(model);
    for (int32_t a = 0; a < n_alive; ++a) {
        put(model, work, &l->w_hh, a, is_many, states + (size_t)alive[a] * (size_t)l->state_size);
    }
    multiply(model, work, &l->w_hh, n_alive, is_many, work->sums_h);
    for (int32_t a = 0; a < n_alive; ++a) {
        const int32_t *sums_x = work->sums_x + (size_t)(first + alive[a]) * stride;
        update(model, l, sums_x, work->sums_h + (size_t)a * stride, states + (size_t)alive[a] * (size_t)l->state_size);
    }
}

static void keep(const bg_simd_layer *l, const int16_t *state, size_t row, const bg_simd_output *output) {
    size_t bytes = (size_t)l->size * sizeof *state;
    memcpy(output->h + row * output->h_stride, state, bytes);
    if (output->c != NULL) {
        memcpy(output->c + row * output->c_stride, state + l->padded, bytes);
    }
}

void bg_simd_layer_run(const bg_simd_model *model, bg_simd_work *work, int layer, int reverse, int32_t n,
                       int32_t steps, const int32_t *lengths, const int16_t *x, size_t x_stride, int16_t *states,
                       const bg_simd_output *output) {
    const bg_simd_layer *l = &model->layers[layer];
    int32_t chunk = work->vectors / n;
    memset(states, 0, (size_t)n * (size_t)l->state_size * sizeof *states);
    for (int32_t begin = 0; begin < steps; begin += chunk) {
        int32_t end = begin + chunk < steps ? begin + chunk : steps;
        project(model, work, &l->w_ih, reverse, n, steps, lengths, x, x_stride, begin, end);
        for (int32_t k = begin; k < end; ++k) {
            int32_t alive[BG_SIMD_SEQUENCES], n_alive = 0;
            for (int32_t b = 0; b < n; ++b) {
                if (k < lengths[b]) {
                    alive[n_alive++] = b;
                }
            }
            if (n_alive == 0) {
                return;
            }
            recur(model, work, l, alive, n_alive, (k - begin) * n, states);
            for (int32_t a = 0; a < n_alive; ++a) {
                int32_t b = alive[a];
                keep(l, states + (size_t)b * (size_t)l->state_size, row_of(b, k, steps, lengths[b], reverse), output);
            }
        }
    }
}
