/* Part of bg_simd_kernel.h: what all products end with. */

enum { BLOCK_VECTORS = BG_SIMD_ROWS / BG_LANES };

/* Sums of one vector of rows from the totals of the planes. */
BG_INLINE vec finish(const bg_simd_matrix *m, const int32_t *constant, int32_t row, vec high, vec low, int planes,
                     int32_t sum) {
    vec total = planes == 1 ? high : add((vec)((uvec)high << 8), low);
    if (m->bits == 8) {
        return add(total, load(constant + row));
    }
    int32_t offset = (int32_t)((uint32_t)m->base * (uint32_t)sum);
    total = m->step == 1 ? total : multiply(total, fill(m->step));
    return add(total, add(load(constant + row), fill(offset)));
}
