/* Primitives without any instruction set: whole words of four lanes, one byte of each at a time. */

#define BG_INT8_FLIP 0
#define BG_SUMS_PER_PLACE 0
#define BG_STACKS 0
#define BG_INT8_ROWS 0
#define BG_NARROW_WORDS 0

typedef struct {
    int32_t byte[4];
} activation;

BG_INLINE activation spread(const uint8_t *four) {
    return (activation){{(int8_t)four[0], (int8_t)four[1], (int8_t)four[2], (int8_t)four[3]}};
}

/* Byte k of a word is the one at the address word + k, on either byte order. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BG_BYTE_SHIFT(k) (24 - 8 * (k))
#else
#define BG_BYTE_SHIFT(k) (8 * (k))
#endif

BG_INLINE vec dot_int8(vec sum, vec weights, activation x) {
    for (int k = 0; k < 4; ++k) {
        sum += ((vec)((uvec)weights << (24 - BG_BYTE_SHIFT(k))) >> 24) * x.byte[k];
    }
    return sum;
}

BG_INLINE void dot_codes(vec *sums, vec word, const activation *x, int bits) {
    for (int place = 0; place < 8 / bits; ++place) {
        for (int k = 0; k < 4; ++k) {
            sums[0] += ((word >> (BG_BYTE_SHIFT(k) + bits * place)) & ((1 << bits) - 1)) * x[place].byte[k];
        }
    }
}

BG_INLINE vec total_codes(const vec *sums, int bits) {
    (void)bits;
    return sums[0];
}

BG_INLINE vec smaller(vec a, vec b) {
    vec less = a < b;
    return (a & less) | (b & ~less);
}

BG_INLINE vec larger(vec a, vec b) {
    vec less = a < b;
    return (b & less) | (a & ~less);
}

typedef struct {
    const int32_t *entries;
} sigmoid;

BG_INLINE sigmoid open_sigmoid(const int32_t *table) { return (sigmoid){table}; }

BG_INLINE vec look_up(const sigmoid *s, vec index) {
    return (vec){s->entries[index[0]], s->entries[index[1]], s->entries[index[2]], s->entries[index[3]]};
}

/* |u|, at most limit, of any u. */
BG_INLINE vec magnitude(vec u, int32_t limit) {
    u = smaller(larger(u, fill(-limit)), fill(limit));
    return (u ^ (u >> 31)) - (u >> 31);
}

/* v with the sign of u. */
BG_INLINE vec signed_as(vec v, vec u) { return (v ^ (u >> 31)) - (u >> 31); }

/* (value * 2048 + step * fraction + 1024) >> 11 of entries with the value in the high half and the step in the low. */
BG_INLINE vec interpolate(vec entry, vec fraction) {
    return (entry >> 16) + (((entry & 0xffff) * fraction + 1024) >> 11);
}

/* (a x + b y + 2^(shift - 1)) >> shift, the inside in 64 bits; padding lanes may wrap around. */
BG_INLINE vec scale_wide(vec a, vec x, vec b, vec y, int shift) {
    vec result;
    for (int k = 0; k < BG_LANES; ++k) {
        uint64_t value = (uint64_t)((int64_t)a[k] * x[k]) + (uint64_t)((int64_t)b[k] * y[k]);
        result[k] = (int32_t)((int64_t)(value + ((uint64_t)1 << (shift - 1))) >> shift);
    }
    return result;
}

#define BG_OPAQUE(v) __asm__ volatile("" : "+m"(v))
