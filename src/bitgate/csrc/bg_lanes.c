#include "bg_shift.h"
#include "bg_sums.h"

/* A matrix and the vector that it is multiplied with. */
typedef struct {
    const uint32_t *words; /* by four rows, for every eight inputs: weights of rows 0 and 1, then of rows 2 and 3 */
    const uint32_t *x;     /* for every 64 inputs: their negative sum, then words of two, with zeros up to eight */
    int32_t eights;
    int32_t mult;
} bg_lane_side;

#if BG_ASSEMBLY && defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
/* By hand, because compilers load the mask again for every use, and run out of registers. Registers: r0, r1: sums of two
 * rows each; r2, lr: their words; r3 to r6: inputs; r7, r8: where words and inputs come from; r9: eights left; r10: mask;
 * r11: eights of this sum; r12: lanes. Stack: side, end_side, half, sums, the side that is being added. */
#define BG_LANES_TWO(turn, x)                                                \
    "and r12, r10, r2" turn "\n\tsmlad r0, r12, " x ", r0\n\t"               \
    "and r12, r10, lr" turn "\n\tsmlad r1, r12, " x ", r1\n\t"
#define BG_LANES_EIGHT                                                                              \
    "ldrd r2, lr, [r7], #8\n\tldm r8!, {r3, r4, r5, r6}\n\t" BG_LANES_TWO("", "r3")                 \
    BG_LANES_TWO(", ror #4", "r4") BG_LANES_TWO(", ror #8", "r5") BG_LANES_TWO(", ror #12", "r6")
/* Takes apart first + 2^14 * second, |first| < 2^13, and adds both, times the multiplier in lr. */
#define BG_LANES_ADD(sum, first, second)                                                             \
    "sbfx r12, " sum ", #0, #14\n\tmla " first ", r12, lr, " first "\n\t"                            \
    "sub " sum ", " sum ", r12\n\tasr " sum ", " sum ", #14\n\tmla " second ", " sum ", lr, " second "\n\t"

/* One gate: half of the divisor, plus the matrices of all sides. */
BG_NAKED static void bg_lanes_gate(BG_ARGUMENT bg_lane_side *side, BG_ARGUMENT const bg_lane_side *end_side,
                                   BG_ARGUMENT uint32_t half, BG_ARGUMENT int32_t *sums,
                                   BG_ARGUMENT const int32_t *end) {
    __asm__ volatile(".syntax unified\n\tpush {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\tsub sp, #20\n\t"
                     "stm sp, {r0, r1, r2, r3}\n\tmovw r10, #0xc003\n\tmovt r10, #0xc003\n\t"
                     "1:\n\tldrd r3, r2, [sp, #8]\n\tmov r4, r3\n\tmov r5, r3\n\tmov r6, r3\n\t"
                     "stm r2, {r3, r4, r5, r6}\n\tldr r0, [sp]\n\t"
                     "2:\n\tstr r0, [sp, #16]\n\tldm r0, {r7, r8, r9}\n\t"
                     "3:\n\tldr r0, [r8], #4\n\tmov r1, r0\n\tmovs r11, #8\n\tcmp r9, #8\n\t"
                     "it lt\n\tmovlt r11, r9\n\tsub r9, r9, r11\n\tsubs r11, r11, #4\n\tblt 5f\n\t"
                     "4:\n\t" BG_LANES_EIGHT BG_LANES_EIGHT BG_LANES_EIGHT BG_LANES_EIGHT
                     "subs r11, r11, #4\n\tbge 4b\n\t"
                     "5:\n\tadds r11, r11, #4\n\tbeq 7f\n\t"
                     "6:\n\t" BG_LANES_EIGHT "subs r11, r11, #1\n\tbne 6b\n\t"
                     "7:\n\tldrd r2, r3, [sp, #12]\n\tldr lr, [r3, #12]\n\tldm r2, {r3, r4, r5, r6}\n\t"
                     BG_LANES_ADD("r0", "r3", "r4") BG_LANES_ADD("r1", "r5", "r6")
                     "stm r2, {r3, r4, r5, r6}\n\tcmp r9, #0\n\tbgt 3b\n\t"
                     "ldr r0, [sp, #16]\n\tldr r1, [sp, #4]\n\tstr r7, [r0], #16\n\tcmp r0, r1\n\tblo 2b\n\t"
                     "adds r2, r2, #16\n\tstr r2, [sp, #12]\n\tldr r1, [sp, #56]\n\tcmp r2, r1\n\tblo 1b\n\t"
                     "add sp, #20\n\tpop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n\t");
}

#else

/* Bits 0-1 and 14-15 of both halves: the first row's weight plus one, and the second row's weight. */
#define BG_LANES 0xc003c003u

/* sum + low half * low half + high half * high half, halves taken as int16. */
static inline int32_t bg_multiply_lanes(uint32_t a, uint32_t b, int32_t sum) {
    int32_t low = (int32_t)(int16_t)(a & 0xffffu) * (int16_t)(b & 0xffffu);
    return sum + low + (int32_t)(int16_t)(a >> 16) * (int16_t)(b >> 16);
}

/* Four rows times eights * 8 inputs; x moves on; returns the words that follow. */
static const uint32_t *bg_lanes_rows(const uint32_t *words, const uint32_t **x, int32_t eights,
                                                 int32_t *sum0, int32_t *sum1) {
    for (; eights > 0; --eights) {
        uint32_t word0 = words[0];
        uint32_t word1 = words[1];
        for (int k = 0; k < 4; ++k) {
            *sum0 = bg_multiply_lanes(BG_LANES & word0, (*x)[k], *sum0);
            *sum1 = bg_multiply_lanes(BG_LANES & word1, (*x)[k], *sum1);
            word0 = word0 >> 4 | word0 << 28;
            word1 = word1 >> 4 | word1 << 28;
        }
        words += 2;
        *x += 4;
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
    const uint32_t *x = side->x;
    int32_t left = side->eights;
    while (left > 0) {
        int32_t eights = left < BG_LANE_INPUTS / 8 ? left : BG_LANE_INPUTS / 8;
        int32_t sum0 = (int32_t)*x++; /* the first row's weights are one too large */
        int32_t sum1 = sum0;
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

/* Copies the inputs of a side to words; returns their end. */
BG_SEPARATE static uint32_t *bg_lanes_copy(bg_lane_side *side, const bg_matrix *matrix, const int16_t *x,
                                           uint32_t *words) {
    int32_t left = matrix->columns;
    side->words = (const uint32_t *)(const void *)matrix->codes;
    side->x = words;
    side->eights = (left + 7) / 8;
    while (left > 0) {
        uint32_t *total = words++;
        int32_t sum = 0;
        for (int32_t k = 0; k < BG_LANE_INPUTS && left > 0; k += 8) {
            for (int32_t j = 0; j < 8; j += 2) {
                int32_t low = left > j ? x[j] : 0;
                int32_t high = left > j + 1 ? x[j + 1] : 0;
                sum -= low + high;
                *words++ = (uint16_t)low | (uint32_t)high << 16;
            }
            x += 8;
            left -= 8;
        }
        *total = (uint32_t)sum;
    }
    return words;
}

/* Sums of one matrix alone. */
static void bg_lanes_separate(bg_lane_side *side, int32_t *sums, int32_t count) {
    if (count > 0) {
        side->mult = 1;
        bg_lanes_gate(side, side + 1, 0, sums, sums + count);
    }
}

void bg_lanes_sums(const bg_layer *layer, const int16_t *x, const int16_t *h, int32_t *sums, void *work) {
    int32_t padded = bg_padded(layer->w_hh.columns);
    int32_t separate = layer->separate_gates * padded;
    bg_lane_side sides[2];
    bg_lanes_copy(&sides[1], &layer->w_hh, h, bg_lanes_copy(&sides[0], &layer->w_ih, x, work));
    bg_lanes_separate(&sides[0], sums, separate);
    sums += separate;
    for (int32_t gate = 0; gate < layer->joint_gates; ++gate) {
        sides[0].mult = layer->mult_ih[gate];
        sides[1].mult = layer->mult_hh[gate];
        bg_lanes_gate(sides, sides + 2, (uint32_t)1 << (layer->shift[gate] - 1), sums, sums + padded);
        sums += padded;
    }
    bg_lanes_separate(&sides[1], sums, separate);
}
