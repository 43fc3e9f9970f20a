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

/* One gate over up to 64 inputs, with step 0 for a multiplier per gate and 1 for one per row; returns the next
 * words. Words: by four rows, for every eight inputs that of rows 0 and 1, then that of rows 2 and 3. */
BG_SEPARATE static const uint32_t *bg_lanes_gate(const uint32_t *words, const uint32_t *inputs, const uint32_t *end,
                                     int32_t total, const int32_t *mult, int32_t step, int32_t *sums,
                                     int32_t padded) {
    int32_t mult0 = mult[0];
    for (const int32_t *last = sums + padded; sums < last; sums += 4) {
        const uint32_t *x = inputs;
        int32_t sum0 = -total; /* the first row's weights are one too large */
        int32_t sum1 = -total;
        do {
            bg_lanes_eight(&words, &x, BG_LANES, &sum0, &sum1);
        } while (x < end);
        if (step == 0) {
            bg_add_lanes(sum0, mult0, mult0, sums);
            bg_add_lanes(sum1, mult0, mult0, sums + 2);
        } else {
            bg_add_lanes(sum0, mult[0], mult[1], sums);
            bg_add_lanes(sum1, mult[2], mult[3], sums + 2);
            mult += 4;
        }
    }
    return words;
}

/* Inputs as words of two, with zeros up to a multiple of eight; returns their sum, and where they end. */
static int32_t bg_copy_inputs(uint32_t *words, const int16_t *x, int32_t columns, const uint32_t **end) {
    int32_t total = 0;
    int32_t whole = columns / 2;
    for (int32_t k = 0; k < whole; ++k) {
        words[k] = (uint16_t)x[2 * k] | (uint32_t)(uint16_t)x[2 * k + 1] << 16;
        total += x[2 * k] + x[2 * k + 1];
    }
    if (columns % 2 != 0) {
        total += x[columns - 1];
        words[whole++] = (uint16_t)x[columns - 1];
    }
    while (whole % 4 != 0) {
        words[whole++] = 0;
    }
    *end = words + whole;
    return total;
}

/* One matrix; the last gate's rows go separate further on, where a GRU keeps its recurrent part of n. */
static void bg_lanes_matrix(const bg_layer *layer, const bg_matrix *matrix, const int32_t *mult, const int16_t *x,
                            int32_t *sums, int32_t separate, uint32_t *inputs) {
    const uint32_t *words = (const uint32_t *)(const void *)matrix->codes;
    int32_t size = layer->w_hh.columns;
    int32_t padded = bg_padded(size);
    int32_t step = layer->mult_per_row;
    for (int32_t left = matrix->columns; left > 0; left -= BG_LANE_INPUTS) {
        int32_t columns = left < BG_LANE_INPUTS ? left : BG_LANE_INPUTS;
        const uint32_t *end;
        int32_t total = bg_copy_inputs(inputs, x, columns, &end);
        const int32_t *factor = mult;
        int32_t *to = sums;
        for (int32_t row = size; row <= matrix->rows; row += size) {
            if (row == matrix->rows) {
                to += separate;
            }
            words = bg_lanes_gate(words, inputs, end, total, factor, step, to, padded);
            factor += step ? padded : 1;
            to += padded;
        }
        x += columns;
    }
}

void bg_lanes_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    int32_t separate = layer->bias_hn ? bg_padded(layer->w_hh.columns) : 0;
    bg_sums_start(layer, sums);
    bg_lanes_matrix(layer, &layer->w_ih, layer->mult_ih, x, sums, 0, work);
    bg_lanes_matrix(layer, &layer->w_hh, layer->mult_hh, h, sums, separate, work);
}
