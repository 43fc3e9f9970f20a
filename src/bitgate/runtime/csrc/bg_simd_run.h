/* Whole steps and sequences on the kernels of a path. Memory is the caller's; nothing here allocates. */
#ifndef BG_SIMD_RUN_H
#define BG_SIMD_RUN_H

#include "bg_crew.h"
#include "bg_simd.h"

/* Vectors that are multiplied at once at most, and sequences that run side by side. */
enum { BG_SIMD_VECTORS = 64, BG_SIMD_SEQUENCES = 8 };

/* Working memory for up to BG_SIMD_VECTORS vectors; one for each thread. Where a crew shares the work, the first of as
 * many as it has members, one behind the other, is what functions take. */
typedef struct {
    bg_simd_inputs inputs;
    int32_t *sums_x, *sums_h;
    uint32_t *block;
    int32_t vectors;        /* room for so many */
    bg_crew *crew;          /* NULL for one thread */
} bg_simd_work;

/* Bytes, a multiple of 64, of the arrays of a bg_simd_work for up to vectors vectors, and how they are laid over memory
 * aligned to 64, without a crew. */
size_t bg_simd_work_size(const bg_simd_model *model, int32_t vectors);
void bg_simd_work_place(const bg_simd_model *model, int32_t vectors, void *memory, bg_simd_work *work);

/* The same for all that may work at a layer of model: one, or the members of a crew. */
int bg_simd_workers(const bg_simd_model *model, const bg_crew *crew);
void bg_simd_works_place(const bg_simd_model *model, int32_t vectors, bg_crew *crew, void *memory, bg_simd_work *works);

/* Vectors to make room for: as many as wanted, but few enough for their sums to stay in the caches. */
int32_t bg_simd_vectors(const bg_simd_model *model, int64_t wanted);

/* int16 of the states of one stream: for each layer its state_size. */
size_t bg_simd_state_size(const bg_simd_model *model);

/* One step of n streams, at most work->vectors: codes x (n, inputs), states (n, state size). Returns the hidden codes
 * of the last layer of the first stream; those of the next are state size further on. */
const int16_t *bg_simd_step(const bg_simd_model *model, bg_simd_work *work, int32_t n, const int16_t *x,
                            int16_t *states);

/* Logits (n, classes) of hidden codes, h_stride apart. */
void bg_simd_logits(const bg_simd_model *model, bg_simd_work *work, int32_t n, const int16_t *h, size_t h_stride,
                    int32_t *logits);

/* Where the states of a layer's sequences go: row t of sequence b at (b * steps + t) * stride. c may be NULL. */
typedef struct {
    int16_t *h, *c;
    size_t h_stride, c_stride;
} bg_simd_output;

/* One layer over n sequences, at most BG_SIMD_SEQUENCES and work->vectors, of codes x, x_stride apart; writes what lies
 * before the ends only. states: state_size int16 of the layer for each sequence, cleared here. */
void bg_simd_layer_run(const bg_simd_model *model, bg_simd_work *work, int layer, int reverse, int32_t n,
                       int32_t steps, const int32_t *lengths, const int16_t *x, size_t x_stride, int16_t *states,
                       const bg_simd_output *output);

#endif
