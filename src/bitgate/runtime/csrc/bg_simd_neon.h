/* Primitives of Arm's dot product: sdot multiplies signed bytes and adds fours of them. */

#define BG_INT8_FLIP 0
#define BG_SUMS_PER_PLACE 0
#define BG_STACKS 0
#define BG_INT8_ROWS 0
#define BG_NARROW_WORDS 0

typedef int8x16_t activation;

BG_INLINE activation spread(const uint8_t *four) {
    int32_t word;
    memcpy(&word, four, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

BG_INLINE vec dot_int8(vec sum, vec weights, activation x) {
    return (vec)vdotq_s32((int32x4_t)sum, (int8x16_t)weights, x);
}

BG_INLINE void dot_codes(vec *sums, vec word, const activation *x, int bits) {
    uint8x16_t mask = vdupq_n_u8((uint8_t)((1 << bits) - 1));
    for (int place = 0; place < 8 / bits; ++place) {
        uint8x16_t codes = vandq_u8(vshlq_u8((uint8x16_t)word, vdupq_n_s8((int8_t)(-bits * place))), mask);
        sums[0] = (vec)vdotq_s32((int32x4_t)sums[0], vreinterpretq_s8_u8(codes), x[place]);
    }
}

BG_INLINE vec total_codes(const vec *sums, int bits) {
    (void)bits;
    return sums[0];
}

BG_INLINE vec smaller(vec a, vec b) { return (vec)vminq_s32((int32x4_t)a, (int32x4_t)b); }
BG_INLINE vec larger(vec a, vec b) { return (vec)vmaxq_s32((int32x4_t)a, (int32x4_t)b); }

typedef struct {
    const int32_t *entries;
} sigmoid;

BG_INLINE sigmoid open_sigmoid(const int32_t *table) { return (sigmoid){table}; }

BG_INLINE vec look_up(const sigmoid *s, vec index) {
    return (vec){s->entries[index[0]], s->entries[index[1]], s->entries[index[2]], s->entries[index[3]]};
}

/* |u|, at most limit, of any u. */
BG_INLINE vec magnitude(vec u, int32_t limit) {
    return (vec)vminq_u32(vreinterpretq_u32_s32(vabsq_s32((int32x4_t)u)), vdupq_n_u32((uint32_t)limit));
}

/* v with the sign of u. */
BG_INLINE vec signed_as(vec v, vec u) { return (v ^ (u >> 31)) - (u >> 31); }

/* (value * 2048 + step * fraction + 1024) >> 11 of entries with the value in the high half and the step in the low. */
BG_INLINE vec interpolate(vec entry, vec fraction) {
    return (entry >> 16) + (((entry & 0xffff) * fraction + 1024) >> 11);
}

/* (a x + b y + 2^(shift - 1)) >> shift, the inside in 64 bits. */
BG_INLINE vec scale_wide(vec a, vec x, vec b, vec y, int shift) {
    int64x2_t count = vdupq_n_s64(-shift);
    int64x2_t low = vmull_s32(vget_low_s32((int32x4_t)a), vget_low_s32((int32x4_t)x));
    int64x2_t high = vmull_high_s32((int32x4_t)a, (int32x4_t)x);
    low = vmlal_s32(low, vget_low_s32((int32x4_t)b), vget_low_s32((int32x4_t)y));
    high = vmlal_high_s32(high, (int32x4_t)b, (int32x4_t)y);
    return (vec)vcombine_s32(vmovn_s64(vrshlq_s64(low, count)), vmovn_s64(vrshlq_s64(high, count)));
}

#define BG_OPAQUE(v) __asm__ volatile("" : "+w"(v))
