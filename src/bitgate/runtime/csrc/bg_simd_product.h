/* Part of bg_simd_kernel.h: a matrix times one vector, from packed codes or int8 weights. */

/* Rows of group vectors of a block whose words begin at words. */
BG_INLINE void codes_rows(const bg_simd_matrix *m, const uint32_t *words, int32_t row, const uint8_t *bytes,
                          int32_t sum, int32_t *sums, int bits, int planes, int group) {
    enum { MOST = 16 };
    int places = 8 / bits, apart = BG_SUMS_PER_PLACE ? places : 1;
    int32_t width = m->row_words * 4 * places;
    vec parts[MOST];
    for (int k = 0; k < group * planes * apart; ++k) {
        parts[k] = fill(0);
    }
    for (int32_t q = 0; q < m->row_words; ++q) {
        for (int plane = 0; plane < planes; ++plane) {
            activation x[8];
            for (int place = 0; place < places; ++place) {
                x[place] = spread(bytes + plane * width + 4 * (q * places + place));
            }
            for (int k = 0; k < group; ++k) {
                vec word = load(words + q * BG_SIMD_ROWS + k * BG_LANES);
                dot_codes(&parts[(k * planes + plane) * apart], word, x, bits);
            }
        }
    }
    ending e = ending_of(m, m->constant, row, bits, sum);
    for (int k = 0; k < group; ++k) {
        vec high = total_codes(&parts[k * planes * apart], bits);
        vec low = planes == 1 ? high : total_codes(&parts[(k * planes + 1) * apart], bits);
        store(sums + row + k * BG_LANES, finish(&e, k * BG_LANES, high, low, planes));
    }
}

/* As codes_rows for int8 weights of group vectors of rows, which reach into the next block, apart words further on;
 * several words abreast, so that enough sums are under way. */
BG_INLINE void int8_rows(const bg_simd_matrix *m, const uint32_t *words, size_t apart, int32_t row,
                         const uint8_t *bytes, int32_t *sums, int planes, int group) {
    enum { MOST = 16 };
    int abreast = group < 8 ? 8 / group : 2;
    int32_t width = m->row_words * 4;
    vec parts[MOST];
    for (int k = 0; k < abreast * group * planes; ++k) {
        parts[k] = fill(0);
    }
    for (int32_t q = 0; q < m->row_words; q += abreast) {
        for (int n = 0; n < abreast * planes; ++n) {
            int a = n % abreast, plane = n / abreast;
            activation x = spread(bytes + plane * width + 4 * (q + a));
            for (int k = 0; k < group; ++k) {
                const uint32_t *from = words + (size_t)(k / BLOCK_VECTORS) * apart + (k % BLOCK_VECTORS) * BG_LANES;
                vec *part = &parts[(k * planes + plane) * abreast + a];
                *part = dot_int8(*part, load(from + (q + a) * BG_SIMD_ROWS), x);
            }
        }
    }
    ending e = ending_of(m, m->constant, row, 8, 0);
    for (int k = 0; k < group; ++k) {
        vec total[2] = {fill(0), fill(0)};
        for (int n = 0; n < planes * abreast; ++n) {
            total[n / abreast] = add(total[n / abreast], parts[k * planes * abreast + n]);
        }
        store(sums + row + k * BG_LANES, finish(&e, k * BG_LANES, total[0], total[1], planes));
    }
}

#if BG_NARROW_WORDS > 0
/* Int8 weights in rows of so few words that all their activations stay spread in registers. The processor overlaps the
 * sums of different rows by itself, so each has one chain. */
BG_INLINE void narrow_product(const bg_simd_matrix *m, const uint8_t *bytes, int32_t *sums, int planes,
                              int row_words) {
    const uint32_t *words = m->words;
    int32_t rows = m->blocks * BG_SIMD_ROWS;
    ending e = ending_of(m, m->constant, 0, 8, 0);
    activation x[BG_NARROW_WORDS];
    for (int k = 0; k < planes * row_words; ++k) {
        x[k] = spread(bytes + 4 * k);
    }
    for (int32_t at = 0; at < rows; at += BG_SIMD_ROWS, words += row_words * BG_SIMD_ROWS) {
        for (int k = 0; k < BLOCK_VECTORS; ++k) {
            int32_t row = at + k * BG_LANES;
            vec high = planes == 1 ? load(e.constant + row) : fill(0), low = fill(0);
            for (int q = 0; q < row_words; ++q) {
                vec weights = load(words + q * BG_SIMD_ROWS + k * BG_LANES);
                high = dot_int8(high, weights, x[q]);
                low = planes == 1 ? low : dot_int8(low, weights, x[(planes - 1) * row_words + q]);
            }
            store(sums + row, planes == 1 ? high : finish(&e, row, high, low, planes));
        }
    }
}

/* 0, and nothing is done, if rows have more words. */
BG_INLINE int try_narrow_product(const bg_simd_matrix *m, const uint8_t *bytes, int32_t *sums, int planes) {
    if (m->row_words == 4) {
        narrow_product(m, bytes, sums, planes, 4);
    } else if (m->row_words == 8) {
        narrow_product(m, bytes, sums, planes, 8);
    } else if (m->row_words == 12 && planes == 1) {
        narrow_product(m, bytes, sums, 1, 12);
    } else if (m->row_words == 16 && planes == 1) {
        narrow_product(m, bytes, sums, 1, 16);
    } else {
        return 0;
    }
    return 1;
}
#endif

BG_INLINE void int8_product(const bg_simd_matrix *m, const uint8_t *bytes, int32_t *sums, int planes) {
#if BG_NARROW_WORDS > 0
    if (try_narrow_product(m, bytes, sums, planes)) {
        return;
    }
#endif
    enum { WIDE = BG_INT8_ROWS / BG_SIMD_ROWS };
    size_t apart = (size_t)m->row_words * BG_SIMD_ROWS;
    const uint32_t *words = m->words;
    int32_t block = 0;
    for (; WIDE > 2 && planes == 1 && block + WIDE <= m->blocks; block += WIDE, words += WIDE * apart) {
        int8_rows(m, words, apart, block * BG_SIMD_ROWS, bytes, sums, planes, WIDE * BLOCK_VECTORS);
    }
    for (; BLOCK_VECTORS == 2 && block + 2 <= m->blocks; block += 2, words += 2 * apart) {
        int8_rows(m, words, apart, block * BG_SIMD_ROWS, bytes, sums, planes, 4);
    }
    for (; block < m->blocks; ++block, words += apart) {
        for (int k = 0; k < BLOCK_VECTORS; k += 2) {
            int8_rows(m, words + k * BG_LANES, apart, block * BG_SIMD_ROWS + k * BG_LANES, bytes, sums, planes, 2);
        }
    }
}

#if BG_STACKS
#include "bg_simd_stack.h"
#endif

BG_INLINE void codes_product(const bg_simd_matrix *m, const uint8_t *bytes, int32_t sum, int32_t *sums, int bits,
                             int planes) {
    int group = BG_SUMS_PER_PLACE && bits == 1 ? 1 : 2;
    for (int32_t block = 0; block < m->blocks; ++block) {
        const uint32_t *words = m->words + (size_t)block * (size_t)m->row_words * BG_SIMD_ROWS;
        for (int k = 0; k < BLOCK_VECTORS; k += group) {
            int32_t row = block * BG_SIMD_ROWS + k * BG_LANES;
            codes_rows(m, words + k * BG_LANES, row, bytes, sum, sums, bits, planes, group);
        }
    }
}

BG_INLINE void product_as(const bg_simd_matrix *m, const uint8_t *bytes, int32_t sum, int32_t *sums, int planes) {
    if (m->bits == 8) {
        int8_product(m, bytes, sums, planes);
    } else if (m->bits == 1) {
        codes_product(m, bytes, sum, sums, 1, planes);
    } else {
#if BG_STACKS
        stacked_product(m, bytes, sum, sums, planes);
#else
        codes_product(m, bytes, sum, sums, 2, planes);
#endif
    }
}

static void product(const bg_simd_matrix *m, const uint8_t *bytes, int32_t sum, int32_t *sums) {
    if (m->planes == 1) {
        product_as(m, bytes, sum, sums, 1);
    } else {
        product_as(m, bytes, sum, sums, 2);
    }
}

/* What the product does with a word of packed codes. */
BG_INLINE void dot_packed(vec *sums, vec word, const activation *x, int bits) {
#if BG_STACKS
    if (bits == 2) {
        dot_stack(sums, word, x[0]);
        return;
    }
#endif
    dot_codes(sums, word, x, bits);
}

/* The inner loop without memory: what the multipliers of this processor can do at best. */
BG_INLINE int64_t burn_as(int bits, int64_t rounds) {
    vec parts[16], word = fill(0x55555555);
    uint8_t four[4] = {1, 2, 3, 4};
    activation x[8];
    for (int k = 0; k < 8; ++k) {
        x[k] = spread(four);
    }
    for (int k = 0; k < 16; ++k) {
        parts[k] = fill(0);
    }
    for (int64_t n = 0; n < rounds; ++n) {
        BG_OPAQUE(word);
        if (bits == 8) {
            for (int k = 0; k < 16; ++k) {
                parts[k] = dot_int8(parts[k], word, x[0]);
            }
        } else {
            int apart = BG_SUMS_PER_PLACE ? 8 / bits : 1;
            for (int k = 0; k < 2; ++k) {
                BG_OPAQUE(word);
                dot_packed(&parts[k * apart], word, x, bits);
            }
        }
    }
    for (int k = 0; k < 16; ++k) {
        BG_OPAQUE(parts[k]);
    }
    return rounds * BG_LANES * 4 * (bits == 8 ? 16 : 16 / bits);
}

static int64_t burn(int bits, int64_t rounds) {
    return bits == 8 ? burn_as(8, rounds) : bits == 2 ? burn_as(2, rounds) : burn_as(1, rounds);
}
