/* Part of bg_simd_kernel.h: what all products end with. */

enum { BLOCK_VECTORS = BG_SIMD_ROWS / BG_LANES };

/* What is read of a matrix for the end of a product, once: as far as the compiler knows, storing a sum may change it. */
typedef struct {
    const int32_t *constant;
    int32_t offset, step;
    int bits;
} ending;

/* Of rows from row on; sum: of the activations. */
BG_INLINE ending ending_of(const bg_simd_matrix *m, const int32_t *constant, int32_t row, int bits, int32_t sum) {
    return (ending){constant + row, (int32_t)((uint32_t)m->base * (uint32_t)sum), m->step, bits};
}

/* Sums of one vector of rows, at behind the first, from the totals of the planes. */
BG_INLINE vec finish(const ending *e, int32_t at, vec high, vec low, int planes) {
    vec total = planes == 1 ? high : add((vec)((uvec)high << 8), low);
    if (e->bits == 8) {
        return add(total, load(e->constant + at));
    }
    total = e->step == 1 ? total : multiply(total, fill(e->step));
    return add(total, add(load(e->constant + at), fill(e->offset)));
}
