/* Part of bg_simd_kernel.h: a matrix times many vectors. A block of codes is unpacked once for all of them. */

/* The values of a block, one byte each, in the order of the packed places. */
static void unpack_block(const bg_simd_matrix *m, const uint32_t *words, uint32_t *to) {
    int bits = m->bits, places = 8 / bits;
    uvec mask = (uvec)fill(0x01010101 * ((1 << bits) - 1));
    for (int32_t q = 0; q < m->row_words; ++q) {
        for (int k = 0; k < BLOCK_VECTORS; ++k) {
            uvec word = (uvec)load(words + q * BG_SIMD_ROWS + k * BG_LANES);
            for (int place = 0; place < places; ++place) {
                uint32_t *at = to + (q * places + place) * BG_SIMD_ROWS + k * BG_LANES;
                store(at, (vec)((word >> (bits * place)) & mask));
            }
        }
    }
}

#if BG_STACKS
/* 32 rows of a block as int8, in the order of blocks of int8 weights: its first two places, or its last. */
static void unstack_half(const bg_simd_matrix *m, const uint32_t *words, int half_block, uint32_t *to) {
    for (int32_t q = 0; q < m->row_words; ++q) {
        uvec word = (uvec)load(words + q * BG_LANES) >> (4 * half_block);
        store(to + q * BG_SIMD_ROWS, (vec)(word & (uvec)fill(0x03030303)));
        store(to + q * BG_SIMD_ROWS + BG_LANES, (vec)(word >> 2 & (uvec)fill(0x03030303)));
    }
}
#endif

/* Two vectors of rows times n vectors of activations. */
BG_INLINE void many_rows(const bg_simd_matrix *m, const uint32_t *words, int32_t row_words, int32_t row,
                         const bg_simd_inputs *inputs, int32_t first, int32_t *sums, size_t sums_stride, int planes,
                         int n) {
    vec parts[2 * BG_MANY];
    size_t width = (size_t)row_words * 4;
    const uint8_t *bytes = inputs->bytes + (size_t)first * inputs->stride;
    for (int k = 0; k < 2 * n * planes; ++k) {
        parts[k] = fill(0);
    }
    for (int32_t q = 0; q < row_words; ++q) {
        vec weights[2] = {load(words + q * BG_SIMD_ROWS), load(words + q * BG_SIMD_ROWS + BG_LANES)};
        for (int k = 0; k < n; ++k) {
            for (int plane = 0; plane < planes; ++plane) {
                activation x = spread(bytes + (size_t)k * inputs->stride + (size_t)plane * width + 4 * (size_t)q);
                vec *part = &parts[2 * (k * planes + plane)];
                part[0] = dot_int8(part[0], weights[0], x);
                part[1] = dot_int8(part[1], weights[1], x);
            }
        }
    }
    for (int k = 0; k < n; ++k) {
        ending e = ending_of(m, m->constant_many, row, m->bits, inputs->sums[first + k]);
        int32_t *to = sums + (size_t)(first + k) * sums_stride + row;
        for (int half_block = 0; half_block < 2; ++half_block) {
            vec high = parts[2 * k * planes + half_block];
            vec low = planes == 1 ? high : parts[2 * (k * planes + 1) + half_block];
            store(to + half_block * BG_LANES, finish(&e, half_block * BG_LANES, high, low, planes));
        }
    }
}

/* All vectors, as many at a time as registers hold, for one pair of vectors of rows. */
BG_INLINE void many_as(const bg_simd_matrix *m, const uint32_t *words, int32_t row_words, int32_t row,
                       const bg_simd_inputs *inputs, int32_t n, int32_t *sums, size_t stride, int planes) {
    int32_t k = 0;
    for (; k + BG_MANY / planes <= n; k += BG_MANY / planes) {
        many_rows(m, words, row_words, row, inputs, k, sums, stride, planes, BG_MANY / planes);
    }
    for (; BG_MANY / planes > 2 && k + 2 <= n; k += 2) {
        many_rows(m, words, row_words, row, inputs, k, sums, stride, planes, 2);
    }
    for (; k < n; ++k) {
        many_rows(m, words, row_words, row, inputs, k, sums, stride, planes, 1);
    }
}

/* Block k of 32 rows as int8: where it stands, or unpacked into work. */
BG_INLINE const uint32_t *block_as_int8(const bg_simd_matrix *m, int32_t block, uint32_t *work) {
    size_t block_words = (size_t)m->row_words * BG_SIMD_ROWS;
    if (m->bits == 8) {
        return m->words + (size_t)block * block_words;
    }
#if BG_STACKS
    if (m->stacked) {
        unstack_half(m, m->words + (size_t)(block / 2) * (block_words / 2), block % 2, work);
        return work;
    }
#endif
    unpack_block(m, m->words + (size_t)block * block_words, work);
    return work;
}

static void products(const bg_simd_matrix *m, const bg_simd_inputs *inputs, int32_t n, int32_t *sums,
                     size_t sums_stride, uint32_t *work) {
    int32_t row_words = bg_simd_width(m) / 4;
    for (int32_t block = 0; block < (m->stacked ? 2 : 1) * m->blocks; ++block) {
        const uint32_t *words = block_as_int8(m, block, work);
        for (int k = 0; k < BLOCK_VECTORS; k += 2) {
            int32_t row = block * BG_SIMD_ROWS + k * BG_LANES;
            if (m->planes == 1) {
                many_as(m, words + k * BG_LANES, row_words, row, inputs, n, sums, sums_stride, 1);
            } else {
                many_as(m, words + k * BG_LANES, row_words, row, inputs, n, sums, sums_stride, 2);
            }
        }
    }
}
