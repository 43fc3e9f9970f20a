/* Primitives of AVX2: vpmaddubsw multiplies unsigned by signed bytes and adds pairs of them into int16. */

#define BG_INT8_FLIP 0
#define BG_SUMS_PER_PLACE 0
#define BG_STACKS 0
#define BG_INT8_ROWS 0
#define BG_NARROW_WORDS 0

typedef struct {
    __m256i value, magnitude;
} activation;

BG_INLINE activation spread(const uint8_t *four) {
    int32_t word;
    memcpy(&word, four, 4);
    __m256i value = _mm256_set1_epi32(word);
    return (activation){value, _mm256_abs_epi8(value)};
}

/* |x| is at most 128 and a weight at most 127: two products are at most 32512, so nothing saturates. */
BG_INLINE vec dot_int8(vec sum, vec weights, activation x) {
    __m256i pairs = _mm256_maddubs_epi16(x.magnitude, _mm256_sign_epi8((__m256i)weights, x.value));
    return sum + (vec)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* Sums of pairs stay small: at most 8 products of 3 and 128 for two bits, or 16 of 1 and 128 for one. */
BG_INLINE void dot_codes(vec *sums, vec word, const activation *x, int bits) {
    __m256i mask = _mm256_set1_epi8((char)((1 << bits) - 1));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_and_si256((__m256i)word, mask), x[0].value);
    for (int place = 1; place < 8 / bits; ++place) {
        __m256i codes = _mm256_and_si256(_mm256_srli_epi16((__m256i)word, bits * place), mask);
        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(codes, x[place].value));
    }
    sums[0] += (vec)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

BG_INLINE vec total_codes(const vec *sums, int bits) {
    (void)bits;
    return sums[0];
}

BG_INLINE vec smaller(vec a, vec b) { return (vec)_mm256_min_epi32((__m256i)a, (__m256i)b); }
BG_INLINE vec larger(vec a, vec b) { return (vec)_mm256_max_epi32((__m256i)a, (__m256i)b); }

typedef struct {
    const int32_t *entries;
} sigmoid;

BG_INLINE sigmoid open_sigmoid(const int32_t *table) { return (sigmoid){table}; }

BG_INLINE vec look_up(const sigmoid *s, vec index) {
    return (vec)_mm256_i32gather_epi32(s->entries, (__m256i)index, 4);
}

/* |u|, at most limit, of any u. */
BG_INLINE vec magnitude(vec u, int32_t limit) {
    return (vec)_mm256_min_epu32(_mm256_abs_epi32((__m256i)u), _mm256_set1_epi32(limit));
}

/* v with the sign of u; v is 0 where u is. */
BG_INLINE vec signed_as(vec v, vec u) { return (vec)_mm256_sign_epi32((__m256i)v, (__m256i)u); }

/* (value * 2048 + step * fraction + 1024) >> 11 of entries with the value in the high half and the step in the low. */
BG_INLINE vec interpolate(vec entry, vec fraction) {
    __m256i factors = _mm256_or_si256((__m256i)fraction, _mm256_set1_epi32(2048 << 16));
    return ((vec)_mm256_madd_epi16((__m256i)entry, factors) + 1024) >> 11;
}

/* There is no arithmetic shift of 64 bits: a logical one, and the sign put back. */
BG_INLINE __m256i shift_wide(__m256i value, int shift) {
    __m256i sign = _mm256_set1_epi64x((int64_t)1 << (63 - shift));
    value = _mm256_add_epi64(value, _mm256_set1_epi64x((int64_t)1 << (shift - 1)));
    value = _mm256_srl_epi64(value, _mm_cvtsi32_si128(shift));
    return _mm256_sub_epi64(_mm256_xor_si256(value, sign), sign);
}

/* (a x + b y + 2^(shift - 1)) >> shift, the inside in 64 bits. */
BG_INLINE vec scale_wide(vec a, vec x, vec b, vec y, int shift) {
    __m256i even = _mm256_add_epi64(_mm256_mul_epi32((__m256i)a, (__m256i)x), _mm256_mul_epi32((__m256i)b, (__m256i)y));
    __m256i a1 = _mm256_srli_epi64((__m256i)a, 32), x1 = _mm256_srli_epi64((__m256i)x, 32);
    __m256i b1 = _mm256_srli_epi64((__m256i)b, 32), y1 = _mm256_srli_epi64((__m256i)y, 32);
    __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(a1, x1), _mm256_mul_epi32(b1, y1));
    odd = _mm256_slli_epi64(shift_wide(odd, shift), 32);
    return (vec)_mm256_blend_epi32(shift_wide(even, shift), odd, 0xaa);
}

#define BG_OPAQUE(v) __asm__ volatile("" : "+x"(v))
