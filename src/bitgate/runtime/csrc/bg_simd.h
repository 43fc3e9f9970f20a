/**
 * @file bg_simd.h
 * @brief Inference of frozen layers with the vector instructions of the processor; the same integers as csrc.
 *
 * Weights lie in blocks of 32 rows: for every 32-bit word of a row, that word of all 32 rows, one behind the other, so
 * that one vector holds a word of several rows. A word is four int8 weights, or four bytes of packed codes exactly as
 * the model file holds them (16 ternary or 32 binary weights). The codes of one bit position in the four bytes of a
 * word belong to columns that are 8 / bits apart; the activations are put into that order instead of the weights.
 *
 * A path may want codes of two bits stacked instead, in blocks of 64 rows: word q of lane l holds columns 4 q to
 * 4 q + 3, one a byte, of the rows l, l + 16, l + 32 and l + 48, one at each bit position.
 */
#ifndef BG_SIMD_H
#define BG_SIMD_H

#include <stddef.h>
#include <stdint.h>

#include "bg_types.h"

enum {
    BG_SIMD_ROWS = 32,    /* rows of a block */
    BG_SIMD_STACK = 64,   /* rows of a block of stacked codes */
    BG_SIMD_LANES = 16,   /* words of a row's block of stacked codes that lie side by side */
    BG_SIMD_UNITS = 16,   /* units are handled by so many: arrays by unit are padded to it */
    BG_SIMD_GATES = 4,
    BG_SIMD_COUNTED = 33  /* gates of up to so many levels are evaluated by counting thresholds */
};

/* In the order of bitgate.runtime.simd.PATHS. */
enum { BG_SIMD_PORTABLE, BG_SIMD_NEON, BG_SIMD_AVX2, BG_SIMD_AVX512, BG_SIMD_PATHS };

/* weight = base + step * value, where a value is a code, or the weight itself (bits = 8). */
typedef struct {
    uint32_t *words;      /* blocks * row_words * 32, or 16 if stacked */
    int32_t *constant;    /* by row: what is added to the sum of one vector */
    int32_t *constant_many;  /* the same for sums of many vectors, whose values are always int8 */
    int32_t rows, columns;
    int32_t blocks;       /* of 32 rows, or 64 if stacked */
    int32_t row_words;    /* 32-bit words of a row */
    int32_t base, step;
    uint8_t bits;         /* 1, 2 or 8 */
    uint8_t stacked;      /* whether a word holds codes of four rows */
    uint8_t planes;       /* bytes of an activation: 1, or 2 for states of more than 8 bits */
} bg_simd_matrix;

typedef struct {
    const int32_t *thresholds;  /* levels - 1 */
    int32_t *increments;        /* levels - 1: steps between the values; the first value is 0 */
    const uint16_t *values;
    int32_t levels;             /* 0 smooth, 2 step */
} bg_simd_gate;

enum { BG_SIMD_LSTM, BG_SIMD_COUPLED, BG_SIMD_GRU, BG_SIMD_GATED_RNN };

typedef struct {
    bg_simd_matrix w_ih, w_hh;
    bg_simd_gate gates[BG_SIMD_GATES];
    const int32_t *table;                  /* sigmoid: (value - 1/2) << 16 | step to the next, 192 entries */
    const uint8_t *byte_table;             /* the same as bytes: low, high, low of the steps; high of the first 64 */
    const int32_t *bias, *bias_hn;         /* by row and by unit, padded */
    const int32_t *mult_ih, *mult_hh;      /* by gate, or by row and then padded */
    int32_t row[BG_SIMD_GATES];            /* first row of each gate's projection in the sums */
    uint8_t shift[BG_SIMD_GATES];
    int32_t size, padded;                  /* units; the same rounded up to 16 */
    int32_t state_size;                    /* int16: h, c, with a skip anchor, all padded, then position and padding */
    const bg_skip *skip;                   /* NULL if there is none */
    uint8_t n_gates, cell, mult_per_row, product_bits;
} bg_simd_layer;

/* Activations of one matrix: planes of bytes in the order that its words want, and their sum. */
typedef struct {
    uint8_t *bytes;
    int32_t *sums;
    size_t stride;   /* bytes from one vector to the next */
} bg_simd_inputs;

/* New states of units begin to end (multiples of 16) from the sums of inputs and states. */
typedef void (*bg_simd_units_fn)(const bg_simd_layer *layer, uint8_t state_bits, int32_t begin, int32_t end,
                                 const int32_t *sums_x, const int32_t *sums_h, int16_t *h, int16_t *c);

/* sums of n vectors, sums_stride apart; work holds a block as int8, to the next multiple of 16 words of a row. */
typedef void (*bg_simd_products_fn)(const bg_simd_matrix *m, const bg_simd_inputs *inputs, int32_t n, int32_t *sums,
                                    size_t sums_stride, uint32_t *work);

/* What an instruction set brings: one instance per path. */
typedef struct {
    /* Bytes of one vector of codes for the product with m; returns the sum of the codes. */
    int32_t (*arrange)(const bg_simd_matrix *m, const int16_t *x, uint8_t *bytes, int many);
    /* sums (all rows of all blocks) of one vector. */
    void (*product)(const bg_simd_matrix *m, const uint8_t *bytes, int32_t sum, int32_t *sums);
    bg_simd_products_fn products;
    bg_simd_units_fn units;
    /* Features to codes as bg_quantize; 0 if a feature is not finite. */
    int (*quantize)(const float *mean, const float *gain, int32_t size, uint8_t state_bits, const float *features,
                    int16_t *codes);
    /* Multiplications of the product's inner loop in registers alone, to measure the floor; returns how many. */
    int64_t (*burn)(int bits, int64_t rounds);
    int int8_flip;  /* whether products with int8 weights take activations as code + 128 */
    int stacks;     /* whether codes of two bits are to be stacked */
} bg_simd_kernel;

/* The kernels of a path, NULL if this build or processor lacks it. */
const bg_simd_kernel *bg_simd_find(int path);
/* The fastest for a path: its own, or those of an extension that this processor has. */
bg_simd_units_fn bg_simd_find_units(const bg_simd_kernel *kernel);
bg_simd_products_fn bg_simd_find_products(const bg_simd_kernel *kernel);

extern const bg_simd_kernel bg_simd_portable;
#if defined(__x86_64__)
extern const bg_simd_kernel bg_simd_avx2, bg_simd_avx512;
void bg_simd_vbmi_units(const bg_simd_layer *layer, uint8_t state_bits, int32_t begin, int32_t end,
                        const int32_t *sums_x, const int32_t *sums_h, int16_t *h, int16_t *c);
void bg_simd_amx_products(const bg_simd_matrix *m, const bg_simd_inputs *inputs, int32_t n, int32_t *sums,
                          size_t sums_stride, uint32_t *work);
/* Whether compiler, processor and system have AMX; asks the system for it. */
int bg_simd_amx_works(void);
#endif
#if defined(__aarch64__) && defined(__GNUC__)
extern const bg_simd_kernel bg_simd_neon;
#endif

typedef struct bg_simd_block bg_simd_block;

/* A whole model; never changes after packing, so threads may share it. */
typedef struct {
    const bg_simd_kernel *kernel;
    bg_simd_units_fn units;     /* the fastest; those of the kernel give the same */
    bg_simd_products_fn multiply_many;
    bg_simd_layer *layers;
    bg_simd_matrix readout;
    const bg_model *plain;      /* sizes, readout's multipliers and bias */
    const float *mean, *gain;   /* of the features; set by whoever holds them */
    int32_t *table;             /* of the layers */
    uint8_t *byte_table;
    bg_simd_block *memory;      /* everything that packing has allocated */
    size_t widest_rows;         /* over all matrices: sums of a vector, padded */
    size_t widest_bytes;        /* bytes of a vector of activations */
    size_t widest_block;        /* words of an unpacked block */
    int64_t int8_weights;
    int64_t products;           /* multiplications of a step of one stream: its work */
} bg_simd_model;

/* Up to so many weights of a matrix the nearest cache holds them as int8, which multiplies without unpacking. */
enum { BG_SIMD_INT8_WEIGHTS = 24576 };

/* Packs all weights of plain, which must outlive the model: as int8 where a matrix has at most int8_weights, else as
 * codes if its levels allow. 0, or -1 without memory; release in both cases. */
int bg_simd_pack(bg_simd_model *model, const bg_model *plain, const bg_simd_kernel *kernel, int64_t int8_weights,
                 int extensions);
void bg_simd_release(bg_simd_model *model);
/* Memory that lives as long as the model, cleared and aligned to 64 bytes; NULL if there is none. */
void *bg_simd_take(bg_simd_model *model, size_t bytes);

/* Bytes of one plane of an activation vector of m. */
static inline int32_t bg_simd_width(const bg_simd_matrix *m) {
    return m->row_words * (m->stacked ? 4 : 32 / m->bits);
}

/* Bytes of one activation vector of m, a multiple of 64. */
static inline size_t bg_simd_stride(const bg_simd_matrix *m) {
    return ((size_t)bg_simd_width(m) * m->planes + 63u) & ~(size_t)63u;
}

static inline int32_t bg_simd_padded(int32_t units) {
    return (units + BG_SIMD_UNITS - 1) / BG_SIMD_UNITS * BG_SIMD_UNITS;
}

#endif
