#include "bg_simd_run.h"

#include <string.h>

#include "bg_shift.h"
#include "bg_simd_share.h"

enum {
    MANY = 4,  /* from so many vectors on a block of codes is unpacked once for all */
    LONG = 16, /* steps that take longer than a helper to wake up */
    SUMS_BYTES = 640 * 1024
};

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
    return 2 * sums + n * model->widest_bytes + aligned(n * sizeof(int32_t)) +
           aligned(model->widest_block * sizeof(uint32_t));
}

void bg_simd_work_place(const bg_simd_model *model, int32_t vectors, void *memory, bg_simd_work *work) {
    size_t n = (size_t)vectors, sums = aligned(n * sums_stride(model) * sizeof(int32_t));
    char *at = memory;
    work->vectors = vectors;
    work->crew = NULL;
    work->sums_x = (int32_t *)(void *)at;
    work->sums_h = (int32_t *)(void *)(at + sums);
    at += 2 * sums;
    work->inputs.bytes = (uint8_t *)at;
    at += n * model->widest_bytes;
    work->inputs.sums = (int32_t *)(void *)at;
    work->block = (uint32_t *)(void *)(at + aligned(n * sizeof(int32_t)));
}

int bg_simd_workers(const bg_simd_model *model, const bg_crew *crew) {
    int most = 1;
    for (int k = 0; k < model->plain->n_layers; ++k) {
        int members = bg_crew_members(crew, model->layers[k].size);
        most = members > most ? members : most;
    }
    return most;
}

void bg_simd_works_place(const bg_simd_model *model, int32_t vectors, bg_crew *crew, void *memory, bg_simd_work *works) {
    for (int k = 0; k < bg_simd_workers(model, crew); ++k) {
        bg_simd_work_place(model, vectors, (char *)memory + (size_t)k * bg_simd_work_size(model, vectors), &works[k]);
        works[k].crew = crew;
    }
}

/* Puts vector k of the next product in place. */
static void put(const bg_simd_model *model, bg_simd_work *work, const bg_simd_matrix *m, int32_t k, int is_many,
                const int16_t *x) {
    work->inputs.stride = bg_simd_stride(m);
    uint8_t *bytes = work->inputs.bytes + (size_t)k * work->inputs.stride;
    work->inputs.sums[k] = model->kernel->arrange(m, x, bytes, is_many);
}

/* Multiplies the n vectors that are in place. */
static void multiply_all(const bg_simd_model *model, bg_simd_work *work, const bg_simd_matrix *m, int32_t n, int is_many,
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

/* The same for the rows of a share's units alone, and of their neighbours in blocks: to each gate some blocks. */
static void multiply(const bg_simd_model *model, bg_simd_work *work, const bg_simd_share *share,
                     const bg_simd_matrix *m, int32_t n, int is_many, int32_t *sums) {
    if (share->crew == NULL) {
        multiply_all(model, work, m, n, is_many, sums);
        return;
    }
    int32_t height = bg_simd_block_rows(m), done = 0;
    for (int32_t row = 0; row < m->rows && share->begin < share->units_end; row += share->layer->size) {
        int32_t begin = (row + share->begin) / height, end = (row + share->units_end + height - 1) / height;
        begin = begin < done ? done : begin;
        if (begin < end) {
            bg_simd_matrix part = bg_simd_blocks(m, begin, end);
            multiply_all(model, work, &part, n, is_many, sums + begin * height);
            done = end;
        }
    }
}

static void put_rows(const bg_simd_model *model, bg_simd_work *work, const bg_simd_matrix *m, int32_t n,
                     const int16_t *x, size_t x_stride) {
    for (int32_t k = 0; k < n; ++k) {
        put(model, work, m, k, n >= MANY, x + (size_t)k * x_stride);
    }
}

/* Counts the step that begins; at the boundary of a block the position is 0. */
static void advance(const bg_simd_layer *l, int16_t *h) {
    int16_t *position = h + 3 * l->padded;
    *position = (int16_t)(*position + 1 < l->skip->block_size ? *position + 1 : 0);
}

/* What comes back of the state at the last block boundary (docs/arithmetic.md, Block skip). */
static void add_skip(const bg_simd_share *share, uint8_t state_bits, int16_t *h) {
    const bg_simd_layer *l = share->layer;
    int16_t *anchor = h + 2 * l->padded;
    int32_t limit = bg_code_limit(state_bits);
    for (int32_t j = share->begin; j < share->units_end; ++j) {
        int32_t alpha = l->skip->alpha[l->skip->alpha_per_unit ? j : 0];
        h[j] = bg_clip(h[j] + bg_round_shift32(alpha * anchor[j], 15), limit);
        anchor[j] = h[j];
    }
}

/* The new state of a share's units from the sums; that of the layer begins at h. */
static void update(const bg_simd_model *model, const bg_simd_share *share, const int32_t *sums_x,
                   const int32_t *sums_h, int16_t *h) {
    const bg_simd_layer *l = share->layer;
    uint8_t bits = model->plain->state_bits, cell_bits = bits;
    if (l->skip != NULL) {
        cell_bits = (uint8_t)(bits - l->skip->range_bits);
    }
    model->units(l, cell_bits, share->begin, share->end, sums_x, sums_h, h, h + l->padded);
    if (l->skip != NULL && h[3 * l->padded] == 0) {
        add_skip(share, bits, h);
    }
}

size_t bg_simd_state_size(const bg_simd_model *model) {
    size_t size = 0;
    for (int k = 0; k < model->plain->n_layers; ++k) {
        size += (size_t)model->layers[k].state_size;
    }
    return size > 0 ? size : (size_t)bg_simd_padded(model->plain->input_size);
}

/* One step of a layer of n streams. */
typedef struct {
    const bg_simd_model *model;
    bg_simd_work *works;
    const bg_simd_layer *layer;
    int members;
    int32_t n;
    const int16_t *x;
    size_t x_stride, state_size;
    int16_t *h;
} layer_step;

static void step_share(void *argument, int member) {
    const layer_step *s = argument;
    bg_simd_work own = s->works[member], *work = &own; /* written to, so not beside that of another */
    bg_simd_share share = bg_simd_share_of(s->layer, work->crew, s->members, member);
    int is_many = s->n >= MANY;
    put_rows(s->model, work, &s->layer->w_ih, s->n, s->x, s->x_stride);
    multiply(s->model, work, &share, &s->layer->w_ih, s->n, is_many, work->sums_x);
    put_rows(s->model, work, &s->layer->w_hh, s->n, s->h, s->state_size);
    for (int32_t b = 0; b < s->n && s->layer->skip != NULL && member == 0; ++b) {
        advance(s->layer, s->h + (size_t)b * s->state_size);
    }
    uint32_t read = bg_simd_arrive(&share);
    multiply(s->model, work, &share, &s->layer->w_hh, s->n, is_many, work->sums_h);
    bg_simd_await(&share, read);
    for (int32_t b = 0; b < s->n; ++b) {
        size_t row = (size_t)b * sums_stride(s->model);
        update(s->model, &share, work->sums_x + row, work->sums_h + row, s->h + (size_t)b * s->state_size);
    }
}

const int16_t *bg_simd_step(const bg_simd_model *model, bg_simd_work *work, int32_t n, const int16_t *x,
                            int16_t *states) {
    size_t state_size = bg_simd_state_size(model), x_stride = (size_t)model->plain->input_size;
    if (model->plain->n_layers == 0) {
        for (int32_t k = 0; k < n; ++k) {
            memcpy(states + (size_t)k * state_size, x + (size_t)k * x_stride, x_stride * sizeof *x);
        }
        return states;
    }
    for (int k = 0; k < model->plain->n_layers; ++k) {
        const bg_simd_layer *l = &model->layers[k];
        layer_step s = {model, work, l, bg_crew_members(work->crew, l->size), n, x, x_stride, state_size, states};
        bg_crew_run(work->crew, &s.members, 0, step_share, &s);
        x = states;
        x_stride = state_size;
        states += l->state_size;
    }
    return x;
}

void bg_simd_logits(const bg_simd_model *model, bg_simd_work *work, int32_t n, const int16_t *h, size_t h_stride,
                    int32_t *logits) {
    const bg_readout *readout = model->plain->readout;
    int32_t classes = readout->weight.rows;
    put_rows(model, work, &model->readout, n, h, h_stride);
    multiply_all(model, work, &model->readout, n, n >= MANY, work->sums_x);
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

/* One layer over sequences; the arguments of bg_simd_layer_run. */
typedef struct {
    const bg_simd_model *model;
    bg_simd_work *works;
    const bg_simd_layer *layer;
    int members, reverse;
    int32_t n, steps;
    const int32_t *lengths;
    const int16_t *x;
    size_t x_stride;
    int16_t *states;
    const bg_simd_output *output;
} layer_run;

/* Sums of the inputs of steps begin to end of all sequences that reach them, vector (k - begin) * n + b. */
static void project(const layer_run *r, bg_simd_work *work, const bg_simd_share *share, int32_t begin, int32_t end) {
    const bg_simd_matrix *m = &r->layer->w_ih;
    int32_t vectors = r->n * (end - begin);
    int is_many = vectors >= MANY;
    for (int32_t k = begin; k < end; ++k) {
        for (int32_t b = 0; b < r->n; ++b) {
            /* Behind an end any row will do: nobody reads the sums. */
            int32_t step = k < r->lengths[b] ? k : 0;
            size_t row = row_of(b, step, r->steps, r->lengths[b], r->reverse);
            put(r->model, work, m, (k - begin) * r->n + b, is_many, r->x + row * r->x_stride);
        }
    }
    multiply(r->model, work, share, m, vectors, is_many, work->sums_x);
}

/* The next step of the sequences alive: their sums of inputs are in place from row first on. */
static void recur(const layer_run *r, bg_simd_work *work, const bg_simd_share *share, const int32_t *alive,
                  int32_t n_alive, int32_t first) {
    const bg_simd_layer *l = r->layer;
    int is_many = n_alive >= MANY;
    size_t stride = sums_stride(r->model);
    for (int32_t a = 0; a < n_alive; ++a) {
        int16_t *h = r->states + (size_t)alive[a] * (size_t)l->state_size;
        put(r->model, work, &l->w_hh, a, is_many, h);
        if (l->skip != NULL && share->member == 0) {
            advance(l, h);
        }
    }
    uint32_t read = bg_simd_arrive(share);
    multiply(r->model, work, share, &l->w_hh, n_alive, is_many, work->sums_h);
    bg_simd_await(share, read);
    for (int32_t a = 0; a < n_alive; ++a) {
        const int32_t *sums_x = work->sums_x + (size_t)(first + alive[a]) * stride;
        int16_t *h = r->states + (size_t)alive[a] * (size_t)l->state_size;
        update(r->model, share, sums_x, work->sums_h + (size_t)a * stride, h);
    }
}

static void keep(const bg_simd_share *share, const int16_t *state, size_t row, const bg_simd_output *output) {
    if (share->begin >= share->units_end) {
        return;
    }
    size_t begin = (size_t)share->begin, bytes = (size_t)(share->units_end - share->begin) * sizeof *state;
    memcpy(output->h + row * output->h_stride + begin, state + begin, bytes);
    if (output->c != NULL) {
        memcpy(output->c + row * output->c_stride + begin, state + share->layer->padded + begin, bytes);
    }
}

/* Step k of all sequences that reach it, which is kept; returns how many they are. */
static int32_t run_step(const layer_run *r, bg_simd_work *work, const bg_simd_share *share, int32_t k, int32_t first) {
    int32_t alive[BG_SIMD_SEQUENCES], n_alive = 0;
    for (int32_t b = 0; b < r->n; ++b) {
        if (k < r->lengths[b]) {
            alive[n_alive++] = b;
        }
    }
    if (n_alive == 0) {
        return 0;
    }
    recur(r, work, share, alive, n_alive, first);
    for (int32_t a = 0; a < n_alive; ++a) {
        int32_t b = alive[a];
        keep(share, r->states + (size_t)b * (size_t)r->layer->state_size,
             row_of(b, k, r->steps, r->lengths[b], r->reverse), r->output);
    }
    bg_simd_await(share, bg_simd_arrive(share));
    return n_alive;
}

static void run_share(void *argument, int member) {
    const layer_run *r = argument;
    bg_simd_work own = r->works[member], *work = &own;
    bg_simd_share share = bg_simd_share_of(r->layer, work->crew, r->members, member);
    int32_t chunk = work->vectors / r->n;
    if (member == 0) {
        memset(r->states, 0, (size_t)r->n * (size_t)r->layer->state_size * sizeof *r->states);
    }
    bg_simd_await(&share, bg_simd_arrive(&share));
    for (int32_t begin = 0; begin < r->steps; begin += chunk) {
        int32_t end = begin + chunk < r->steps ? begin + chunk : r->steps;
        project(r, work, &share, begin, end);
        for (int32_t k = begin; k < end; ++k) {
            if (run_step(r, work, &share, k, (k - begin) * r->n) == 0) {
                return;
            }
        }
    }
}

void bg_simd_layer_run(const bg_simd_model *model, bg_simd_work *work, int layer, int reverse, int32_t n,
                       int32_t steps, const int32_t *lengths, const int16_t *x, size_t x_stride, int16_t *states,
                       const bg_simd_output *output) {
    const bg_simd_layer *l = &model->layers[layer];
    int members = bg_crew_members(work->crew, l->size);
    layer_run r = {model, work, l, members, reverse, n, steps, lengths, x, x_stride, states, output};
    bg_crew_run(work->crew, &r.members, (int64_t)n * steps >= LONG, run_share, &r);
}
