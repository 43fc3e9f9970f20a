#include "bg_shift.h"
#include "bg_sums.h"

/* A matrix and the vector that it is multiplied with. */
typedef struct {
    const uint32_t *words; /* by four rows, for every eight inputs: weights of rows 0 and 1, then of rows 2 and 3 */
    const int16_t *x;      /* for every 64 inputs: their negative sum, an int32; then they, with zeros up to eight */
    int32_t eights;
    int32_t mult;
} bg_lane_side;

#if BG_ASSEMBLY && defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
/* By hand, because compilers load the mask again for every use, and run out of registers. Registers: r0, r1: sums of two
 * rows each; r2, r3: where words and inputs come from; r4: eights left; r5: eights of this sum; r6: mask; r7, lr: words;
 * r8 to r11: inputs; r12: lanes. Stack: side, end_side, the side that is being added, sums, eight registers, half. Low
 * registers where they make instructions shorter; a loop of one eight, because it is a third of the function as it is. */
#define BG_LANES_TWO(turn, x)                                                \
    "and r12, r6, r7" turn "\n\tsmlad r0, r12, " x ", r0\n\t"                \
    "and r12, r6, lr" turn "\n\tsmlad r1, r12, " x ", r1\n\t"
#define BG_LANES_EIGHT                                                                                \
    "ldrd r7, lr, [r2], #8\n\tldm r3!, {r8, r9, r10, r11}\n\t" BG_LANES_TWO("", "r8")                 \
    BG_LANES_TWO(", ror #4", "r9") BG_LANES_TWO(", ror #8", "r10") BG_LANES_TWO(", ror #12", "r11")
/* Takes apart first + 2^14 * second, |first| < 2^13, and adds both, times the multiplier in lr. */
#define BG_LANES_ADD(sum, first, second)                                                             \
    "sbfx r7, " sum ", #0, #14\n\tmla " first ", r7, lr, " first "\n\t"                              \
    "subs " sum ", " sum ", r7\n\tasrs " sum ", " sum ", #14\n\tmla " second ", " sum ", lr, " second "\n\t"

/* One gate: half of the divisor, plus the matrices of all sides. */
BG_NAKED static void bg_lanes_gate(BG_ARGUMENT bg_lane_side *side, BG_ARGUMENT const bg_lane_side *end_side,
                                   BG_ARGUMENT uint32_t half, BG_ARGUMENT int32_t *sums,
                                   BG_ARGUMENT const int32_t *end) {
    __asm__ volatile(".syntax unified\n\tmov r12, r2\n\t"
                     "push {r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}\n\t"
                     "mov r5, r3\n\tmovw r6, #0xc003\n\tmovt r6, #0xc003\n\t"
                     "1:\n\tldr r4, [sp, #48]\n\tmov r3, r4\n\tmov r2, r4\n\tmov r1, r4\n\t"
                     "stm r5!, {r1, r2, r3, r4}\n\tldr r0, [sp]\n\t"
                     "2:\n\tstr r0, [sp, #8]\n\tldm r0!, {r2, r3, r4}\n\t"
                     "3:\n\tldm r3!, {r0}\n\tmov r1, r0\n\tmovs r5, #8\n\tcmp r4, #8\n\t"
                     "it lt\n\tmovlt r5, r4\n\tsubs r4, r4, r5\n\t"
                     "4:\n\t" BG_LANES_EIGHT "subs r5, r5, #1\n\tbne 4b\n\t"
                     "ldrd r7, r5, [sp, #8]\n\tldr lr, [r7, #12]\n\tldm r5, {r8, r9, r10, r11}\n\t"
                     BG_LANES_ADD("r0", "r8", "r9") BG_LANES_ADD("r1", "r10", "r11")
                     "stm r5, {r8, r9, r10, r11}\n\tcmp r4, #0\n\tbgt 3b\n\t"
                     "ldrd r1, r0, [sp, #4]\n\tstr r2, [r0], #16\n\tcmp r0, r1\n\tblo 2b\n\t"
                     "adds r5, r5, #16\n\tstr r5, [sp, #12]\n\tldr r1, [sp, #56]\n\tcmp r5, r1\n\tblo 1b\n\t"
                     "add sp, #16\n\tpop {r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}\n\t");
}

#else

/* Bits 0-1 and 14-15 of both halves: the first row's weight plus one, and the second row's weight. */
#define BG_LANES 0xc003c003u

/* Two inputs, the first in the low half; x is aligned to 4 bytes. */
#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
typedef uint32_t __attribute__((may_alias)) bg_two_inputs;

static inline uint32_t bg_load_inputs(const int16_t *x) {
    return *(const bg_two_inputs *)(const void *)x;
}
#else
static inline uint32_t bg_load_inputs(const int16_t *x) {
    return (uint16_t)x[0] | (uint32_t)(uint16_t)x[1] << 16;
}
#endif

/* sum + low half * low half + high half * high half, halves taken as int16. */
static inline int32_t bg_multiply_lanes(uint32_t a, uint32_t b, int32_t sum) {
    int32_t low = (int32_t)(int16_t)(a & 0xffffu) * (int16_t)(b & 0xffffu);
    return sum + low + (int32_t)(int16_t)(a >> 16) * (int16_t)(b >> 16);
}

/* Four rows times eights * 8 inputs; x moves on; returns the words that follow. */
static const uint32_t *bg_lanes_rows(const uint32_t *words, const int16_t **x, int32_t eights, int32_t *sum0,
                                     int32_t *sum1) {
    for (; eights > 0; --eights) {
        uint32_t word0 = words[0];
        uint32_t word1 = words[1];
        for (int k = 0; k < 8; k += 2) {
            uint32_t inputs = bg_load_inputs(*x + k);
            *sum0 = bg_multiply_lanes(BG_LANES & word0, inputs, *sum0);
            *sum1 = bg_multiply_lanes(BG_LANES & word1, inputs, *sum1);
            word0 = word0 >> 4 | word0 << 28;
            word1 = word1 >> 4 | word1 << 28;
        }
        words += 2;
        *x += 8;
    }
    return words;
}

/* Takes apart first + 2^14 * second, |first| < 2^13, and adds both, times their multiplier. */
static BG_INLINE void bg_add_lanes(int32_t sum, int32_t mult, uint32_t *sums) {
    int32_t first = (int32_t)((uint32_t)sum << 18) >> 18;
    sums[0] += (uint32_t)(mult * first);
    sums[1] += (uint32_t)(mult * ((sum - first) >> 14));
}

/* Adds to the sums of four rows; returns the words of the next. */
static BG_INLINE const uint32_t *bg_lanes_block(const bg_lane_side *side, const uint32_t *words, uint32_t *sums) {
    const int16_t *x = side->x;
    int32_t left = side->eights;
    while (left > 0) {
        int32_t eights = left < BG_LANE_INPUTS / 8 ? left : BG_LANE_INPUTS / 8;
        int32_t sum0 = *(const int32_t *)(const void *)x; /* the first row's weights are one too large */
        int32_t sum1 = sum0;
        x += 2;
        left -= eights;
        words = bg_lanes_rows(words, &x, eights, &sum0, &sum1);
        bg_add_lanes(sum0, side->mult, sums);
        bg_add_lanes(sum1, side->mult, sums + 2);
    }
    return words;
}

/* One gate: half of the divisor, plus the matrices of all sides. */
BG_SEPARATE static void bg_lanes_gate(bg_lane_side *side, const bg_lane_side *end_side, uint32_t half, int32_t *sums,
                                      const int32_t *end) {
    for (; sums < end; sums += 4) {
        uint32_t sum[4] = {half, half, half, half};
        for (bg_lane_side *from = side; from < end_side; ++from) {
            from->words = bg_lanes_block(from, from->words, sum);
        }
        for (int row = 0; row < 4; ++row) {
            sums[row] = (int32_t)sum[row];
        }
    }
}

#endif

/* Copies the inputs of a side behind one another; returns their end. */
BG_SEPARATE static int16_t *bg_lanes_copy(bg_lane_side *side, const bg_matrix *matrix, const int16_t *x, int16_t *to) {
    int32_t left = matrix->columns;
    side->words = (const uint32_t *)(const void *)matrix->codes;
    side->x = to;
    side->eights = bg_floor_shift32(left + 7, 3);
    do {
        int32_t *total = (int32_t *)(void *)to;
        int32_t sum = 0;
        int32_t count = left < BG_LANE_INPUTS ? left : BG_LANE_INPUTS;
        left -= count;
        to += 2;
        do {
            *to++ = *x;
            sum -= *x++;
        } while (--count > 0);
        *total = sum;
    } while (left > 0);
    for (left = matrix->columns; left & 7; ++left) {
        *to++ = 0;
    }
    return to;
}

/* The inputs of both sides, copied. */
static BG_INLINE void bg_lanes_sides(const bg_layer *layer, const int16_t *x, const int16_t *h, void *work,
                                     bg_lane_side *sides) {
    bg_lanes_copy(&sides[1], &layer->w_hh, h, bg_lanes_copy(&sides[0], &layer->w_ih, x, work));
}

/* Sums of one matrix alone. */
static void bg_lanes_separate(bg_lane_side *side, int32_t *sums, int32_t count) {
    if (count > 0) {
        side->mult = 1;
        bg_lanes_gate(side, side + 1, 0, sums, sums + count);
    }
}

/* Sums of both, gate by gate; returns their end. */
static BG_INLINE int32_t *bg_lanes_joint(const bg_layer *layer, bg_lane_side *sides, int32_t padded, int32_t *sums) {
    for (int32_t gate = 0; gate < layer->joint_gates; ++gate) {
        sides[0].mult = layer->mult_ih[gate];
        sides[1].mult = layer->mult_hh[gate];
        bg_lanes_gate(sides, sides + 2, (uint32_t)1 << (layer->shift[gate] - 1), sums, sums + padded);
        sums += padded;
    }
    return sums;
}

void bg_lanes_joint_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    bg_lane_side sides[2];
    bg_lanes_sides(layer, x, h, work, sides);
    bg_lanes_joint(layer, sides, bg_padded(layer->w_hh.columns), sums);
}

void bg_lanes_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    int32_t padded = bg_padded(layer->w_hh.columns);
    int32_t separate = layer->separate_gates * padded;
    bg_lane_side sides[2];
    bg_lanes_sides(layer, x, h, work, sides);
    bg_lanes_separate(&sides[0], sums, separate);
    sums = bg_lanes_joint(layer, sides, padded, sums + separate);
    bg_lanes_separate(&sides[1], sums, separate);
}
