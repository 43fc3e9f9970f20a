/* Part of bg_simd_kernel.h: a matrix times many vectors in AMX's tiles of 16 rows of 64 bytes.
 *
 * 16 words of 16 rows of a block are a tile of weights as they lie, and 64 bytes of 16 vectors a tile of activations.
 * Two tiles of either make four of sums: of 32 vectors, or of both planes of 16. The last vectors are taken together
 * with some that are done already; behind the last column weights are 0, whatever is read of the activations. */

/* All memory, and what the pointer leads to, is as written: not every compiler knows what tiles read and write. */
#define BG_USED(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

enum { TILE = 16, TILE_WORDS = 256, SUM_TILES = 4 };

/* All eight tiles whole. */
static void open_tiles(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int k = 0; k < 8; ++k) {
        shape.row_bytes[k] = 64;
        shape.rows[k] = TILE;
    }
    BG_USED(&shape);
    _tile_loadconfig(&shape);
}

/* Sums of two tiles' vectors, stride bytes apart, with the 32 rows of a block. */
static void multiply_tiles(const uint32_t *words, int32_t row_words, const uint8_t *first, const uint8_t *second,
                           size_t stride, int32_t *sums) {
    BG_USED(words);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int32_t q = 0; q < row_words; q += TILE) {
        const uint32_t *from = words + (size_t)q * BG_SIMD_ROWS;
        _tile_loadd(4, first + 4 * (size_t)q, stride);
        _tile_loadd(6, from, BG_SIMD_ROWS * sizeof *words);
        _tile_loadd(7, from + TILE, BG_SIMD_ROWS * sizeof *words);
        _tile_loadd(5, second + 4 * (size_t)q, stride);
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + TILE_WORDS, 64);
    _tile_stored(2, sums + 2 * TILE_WORDS, 64);
    _tile_stored(3, sums + 3 * TILE_WORDS, 64);
    BG_USED(sums);
}

/* The sums of 16 vectors from first on: of one plane, or of the high one and the low one. */
BG_INLINE void finish_tiles(const bg_simd_matrix *m, int32_t row, const bg_simd_inputs *inputs, int32_t first,
                            const int32_t *high, const int32_t *low, int planes, int32_t *sums, size_t sums_stride) {
    for (int k = 0; k < TILE; ++k) {
        ending e = ending_of(m, m->constant_many, row, m->bits, inputs->sums[first + k]);
        int32_t *to = sums + (size_t)(first + k) * sums_stride + row;
        for (int half_block = 0; half_block < 2; ++half_block) {
            int at = half_block * TILE_WORDS + k * TILE;
            store(to + half_block * TILE, finish(&e, half_block * TILE, load(high + at), load(low + at), planes));
        }
    }
}

/* A block as int8 whose words reach to the end of the last tile. */
static const uint32_t *block_for_tiles(const bg_simd_matrix *m, int32_t block, int32_t row_words, uint32_t *work) {
    const uint32_t *words = block_as_int8(m, block, work);
    size_t size = (size_t)row_words * BG_SIMD_ROWS, padding = (size_t)(-row_words & (TILE - 1)) * BG_SIMD_ROWS;
    if (padding == 0) {
        return words;
    }
    if (words != work) {
        memcpy(work, words, size * sizeof *work);
    }
    memset(work + size, 0, padding * sizeof *work);
    return work;
}

static void products_by_tiles(const bg_simd_matrix *m, const bg_simd_inputs *inputs, int32_t n, int32_t *sums,
                              size_t sums_stride, uint32_t *work) {
    int32_t tile_sums[SUM_TILES * TILE_WORDS] __attribute__((aligned(64)));
    int32_t row_words = bg_simd_width(m) / 4, at_once = 2 * TILE / m->planes;
    if (n < TILE) {
        products(m, inputs, n, sums, sums_stride, work);
        return;
    }
    open_tiles();
    for (int32_t block = 0; block < (m->stacked ? 2 : 1) * m->blocks; ++block) {
        const uint32_t *words = block_for_tiles(m, block, row_words, work);
        for (int32_t k = 0; k < n; k += at_once) {
            int32_t first = k < n - TILE ? k : n - TILE, second = k + TILE < n - TILE ? k + TILE : n - TILE;
            const uint8_t *bytes = inputs->bytes + (size_t)first * inputs->stride;
            const uint8_t *others = m->planes == 2 ? bytes + 4 * (size_t)row_words
                                                   : inputs->bytes + (size_t)second * inputs->stride;
            const int32_t *low = tile_sums + 2 * TILE_WORDS;
            multiply_tiles(words, row_words, bytes, others, inputs->stride, tile_sums);
            if (m->planes == 2) {
                finish_tiles(m, block * BG_SIMD_ROWS, inputs, first, tile_sums, low, 2, sums, sums_stride);
            } else {
                finish_tiles(m, block * BG_SIMD_ROWS, inputs, first, tile_sums, tile_sums, 1, sums, sums_stride);
                finish_tiles(m, block * BG_SIMD_ROWS, inputs, second, low, low, 1, sums, sums_stride);
            }
        }
    }
    _tile_release();
}
