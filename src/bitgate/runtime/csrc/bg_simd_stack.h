/* Part of bg_simd_kernel.h: a matrix of stacked codes times one vector.
 *
 * Each byte holds codes of four rows, at the bit positions 0, 2, 4 and 6. A mask that keeps the lower rows leaves the
 * sum of a row and of those below it in one number, so the last row needs no mask, and the difference of two sums is
 * one row's alone. A stack takes one spread activation instead of four. */

enum {
    STACKED = 4,  /* rows of a stack */
    AHEAD = 2048   /* bytes that memory is asked for in advance: the processor alone follows too closely */
};

/* Adds the products of one word of each lane to the sums of 1, 2, 3 and 4 rows. */
BG_INLINE void dot_stack(vec *sums, vec word, activation x) {
    for (int place = 0; place < STACKED; ++place) {
        vec codes = place == STACKED - 1 ? word : word & fill(((4 << (2 * place)) - 1) * 0x01010101);
        sums[place] = dot_unsigned(sums[place], codes, x);
    }
}

/* Sums of the row at a place; they count modulo 2^32 until the rows below are gone. */
BG_INLINE vec row_of_stack(const vec *sums, int place) {
    return place == 0 ? sums[0] : (vec)((uvec)sums[place] - (uvec)sums[place - 1]) >> (2 * place);
}

/* The rows of group blocks, whose words are apart. */
BG_INLINE void stacked_rows(const bg_simd_matrix *m, const uint32_t *words, size_t apart, int32_t row,
                            const uint8_t *bytes, int32_t sum, int32_t *sums, int planes, int group) {
    vec parts[4 * STACKED];
    int32_t width = m->row_words * 4;
    for (int k = 0; k < group * planes * STACKED; ++k) {
        parts[k] = fill(0);
    }
    for (int32_t q = 0; q < m->row_words; ++q) {
        activation x[2] = {spread(bytes + 4 * q), spread(bytes + (planes - 1) * width + 4 * q)};
        for (int k = 0; k < group; ++k) {
            const uint32_t *from = words + (size_t)k * apart + (size_t)q * BG_LANES;
            __builtin_prefetch((const char *)from + AHEAD);
            vec word = load(from);
            for (int plane = 0; plane < planes; ++plane) {
                dot_stack(&parts[(k * planes + plane) * STACKED], word, x[plane]);
            }
        }
    }
    ending e = ending_of(m, m->constant, row, 2, sum);
    for (int k = 0; k < group * STACKED; ++k) {
        const vec *of_block = &parts[k / STACKED * planes * STACKED];
        vec high = row_of_stack(of_block, k % STACKED);
        vec low = planes == 1 ? high : row_of_stack(of_block + STACKED, k % STACKED);
        store(sums + row + k * BG_LANES, finish(&e, k * BG_LANES, high, low, planes));
    }
}

BG_INLINE void stacked_product(const bg_simd_matrix *m, const uint8_t *bytes, int32_t sum, int32_t *sums, int planes) {
    size_t apart = (size_t)m->row_words * BG_LANES;
    const uint32_t *words = m->words;
    int32_t block = 0;
    for (; block + 2 <= m->blocks; block += 2, words += 2 * apart) {
        stacked_rows(m, words, apart, block * BG_SIMD_STACK, bytes, sum, sums, planes, 2);
    }
    if (block < m->blocks) {
        stacked_rows(m, words, apart, block * BG_SIMD_STACK, bytes, sum, sums, planes, 1);
    }
}
