#include "bg_shift.h"
#include "bg_sums.h"

/* Bits 0-1 and 14-15 of both halves: the first row's weight plus one, and the second row's weight. */
#define BG_LANES 0xc003c003u

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
/* Eight inputs times four rows; words and x move on. By hand, because compilers load the mask again for every use. */
static inline void bg_lanes_eight(const uint32_t **words, const uint32_t **x, uint32_t mask, int32_t *sum0,
                                  int32_t *sum1) {
    uint32_t word0, word1, x0, x1, lanes;
    __asm__("ldrd %[word0], %[word1], [%[words]], #8\n\t"
            "ldrd %[x0], %[x1], [%[x]], #8\n\t"
            "and %[lanes], %[mask], %[word0]\n\t"
            "smlad %[sum0], %[lanes], %[x0], %[sum0]\n\t"
            "and %[lanes], %[mask], %[word1]\n\t"
            "smlad %[sum1], %[lanes], %[x0], %[sum1]\n\t"
            "and %[lanes], %[mask], %[word0], ror #4\n\t"
            "smlad %[sum0], %[lanes], %[x1], %[sum0]\n\t"
            "and %[lanes], %[mask], %[word1], ror #4\n\t"
            "smlad %[sum1], %[lanes], %[x1], %[sum1]\n\t"
            "ldrd %[x0], %[x1], [%[x]], #8\n\t"
            "and %[lanes], %[mask], %[word0], ror #8\n\t"
            "smlad %[sum0], %[lanes], %[x0], %[sum0]\n\t"
            "and %[lanes], %[mask], %[word1], ror #8\n\t"
            "smlad %[sum1], %[lanes], %[x0], %[sum1]\n\t"
            "and %[lanes], %[mask], %[word0], ror #12\n\t"
            "smlad %[sum0], %[lanes], %[x1], %[sum0]\n\t"
            "and %[lanes], %[mask], %[word1], ror #12\n\t"
            "smlad %[sum1], %[lanes], %[x1], %[sum1]"
            : [words] "+r"(*words), [x] "+r"(*x), [sum0] "+r"(*sum0), [sum1] "+r"(*sum1), [word0] "=&r"(word0),
              [word1] "=&r"(word1), [x0] "=&r"(x0), [x1] "=&r"(x1), [lanes] "=&r"(lanes)
            : [mask] "r"(mask)
            : "memory");
}
#else
/* sum + low half * low half + high half * high half, halves taken as int16. */
static inline int32_t bg_multiply_lanes(uint32_t a, uint32_t b, int32_t sum) {
    int32_t low = (int32_t)(int16_t)(a & 0xffffu) * (int16_t)(b & 0xffffu);
    return sum + low + (int32_t)(int16_t)(a >> 16) * (int16_t)(b >> 16);
}

/* Eight inputs times four rows; words and x move on. */
static inline void bg_lanes_eight(const uint32_t **words, const uint32_t **x, uint32_t mask, int32_t *sum0,
                                  int32_t *sum1) {
    uint32_t word0 = (*words)[0];
    uint32_t word1 = (*words)[1];
    for (int k = 0; k < 4; ++k) {
        *sum0 = bg_multiply_lanes(mask & word0, (*x)[k], *sum0);
        *sum1 = bg_multiply_lanes(mask & word1, (*x)[k], *sum1);
        word0 = word0 >> 4 | word0 << 28;
        word1 = word1 >> 4 | word1 << 28;
    }
    *words += 2;
    *x += 4;
}
#endif

/* Takes apart first + 2^14 * second, |first| < 2^13, and adds both, times their multipliers. */
static inline void bg_add_lanes(int32_t sum, int32_t mult0, int32_t mult1, int32_t *sums) {
    int32_t first = (int32_t)((uint32_t)sum << 18) >> 18;
    sums[0] += mult0 * first;
    sums[1] += mult1 * ((sum - first) >> 14);
}

/* Up to 64 inputs as words of two, with zeros up to a multiple of eight. */
typedef struct {
    uint32_t *words;
    int32_t count; /* of words */
    int32_t total; /* sum of the inputs */
} bg_lane_inputs;

static void bg_copy_inputs(bg_lane_inputs *inputs, const int16_t *x, int32_t columns) {
    uint32_t *words = inputs->words;
    int32_t total = 0;
    int32_t count = columns / 2;
    for (int32_t k = 0; k < count; ++k) {
        words[k] = (uint16_t)x[2 * k] | (uint32_t)(uint16_t)x[2 * k + 1] << 16;
        total += x[2 * k] + x[2 * k + 1];
    }
    if (columns % 2 != 0) {
        total += x[columns - 1];
        words[count++] = (uint16_t)x[columns - 1];
    }
    while (count % 4 != 0) {
        words[count++] = 0;
    }
    inputs->count = count;
    inputs->total = total;
}

/* The rows of one gate with one multiplier; returns the words of the next. Words of weights: by four rows, for every
 * eight inputs that of rows 0 and 1, then that of rows 2 and 3. */
BG_SEPARATE static const uint32_t *bg_lanes_gate(const uint32_t *words, const bg_lane_inputs *inputs, int32_t mult,
                                                 int32_t *sums, int32_t padded) {
    int32_t start = -inputs->total; /* the first row's weights are one too large */
    for (const int32_t *last = sums + padded; sums < last; sums += 4) {
        const uint32_t *x = inputs->words;
        int32_t left = inputs->count;
        int32_t sum0 = start;
        int32_t sum1 = start;
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
        /* Only where it is short: unrolled in C it would take 200 bytes of stack. */
        for (; left >= 16; left -= 16) {
            bg_lanes_eight(&words, &x, BG_LANES, &sum0, &sum1);
            bg_lanes_eight(&words, &x, BG_LANES, &sum0, &sum1);
            bg_lanes_eight(&words, &x, BG_LANES, &sum0, &sum1);
            bg_lanes_eight(&words, &x, BG_LANES, &sum0, &sum1);
        }
#endif
        for (; left > 0; left -= 4) {
            bg_lanes_eight(&words, &x, BG_LANES, &sum0, &sum1);
        }
        bg_add_lanes(sum0, mult, mult, sums);
        bg_add_lanes(sum1, mult, mult, sums + 2);
    }
    return words;
}

/* As bg_lanes_gate, with a multiplier per row. */
BG_SEPARATE static const uint32_t *bg_lanes_rows(const uint32_t *words, const bg_lane_inputs *inputs,
                                                 const int32_t *mult, int32_t *sums, int32_t padded) {
    for (int32_t row = 0; row < padded; row += 4) {
        const uint32_t *x = inputs->words;
        const uint32_t *end = x + inputs->count;
        int32_t sum0 = -inputs->total;
        int32_t sum1 = -inputs->total;
        while (x < end) {
            bg_lanes_eight(&words, &x, BG_LANES, &sum0, &sum1);
        }
        bg_add_lanes(sum0, mult[row], mult[row + 1], sums + row);
        bg_add_lanes(sum1, mult[row + 2], mult[row + 3], sums + row + 2);
    }
    return words;
}

/* The rows of w_hh (is_recurrent) or w_ih; a GRU has its recurrent part of n behind the other gates. */
static void bg_lanes_matrix(const bg_layer *layer, int is_recurrent, const int16_t *x, int32_t *sums, void *work) {
    const bg_matrix *matrix = is_recurrent ? &layer->w_hh : &layer->w_ih;
    const int32_t *mult = is_recurrent ? layer->mult_hh : layer->mult_ih;
    const uint32_t *words = (const uint32_t *)(const void *)matrix->codes;
    int32_t size = layer->w_hh.columns;
    int32_t padded = bg_padded(size);
    bg_lane_inputs inputs = {work, 0, 0};
    for (int32_t left = matrix->columns; left > 0; left -= BG_LANE_INPUTS) {
        int32_t columns = left < BG_LANE_INPUTS ? left : BG_LANE_INPUTS;
        const int32_t *factor = mult;
        int32_t *to = sums;
        bg_copy_inputs(&inputs, x, columns);
        for (int32_t row = size; row <= matrix->rows; row += size) {
            if (row == matrix->rows && is_recurrent && layer->bias_hn) {
                to += padded;
            }
            if (layer->mult_per_row) {
                words = bg_lanes_rows(words, &inputs, factor, to, padded);
                factor += padded;
            } else {
                words = bg_lanes_gate(words, &inputs, *factor++, to, padded);
            }
            to += padded;
        }
        x += columns;
    }
}

void bg_lanes_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    bg_sums_start(layer, sums);
    bg_lanes_matrix(layer, 0, x, sums, work);
    bg_lanes_matrix(layer, 1, h, sums, work);
}
