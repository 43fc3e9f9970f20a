/* Primitives of AVX-512 VNNI: vpdpbusd multiplies unsigned by signed bytes and adds fours of them. */

/* Weights as int8 are the signed operand, so activations are unsigned: code + 128. */
#define BG_INT8_FLIP 0x80
/* A masked code keeps its place in the byte: one accumulator for each place. */
#define BG_SUMS_PER_PLACE 1
/* Codes of two bits are stacked (bg_simd_stack.h), where a mask less is a good part of the time. */
#define BG_STACKS 1
/* So many rows of int8 weights at a time, two words of each: a spread activation meets eight vectors. */
#define BG_INT8_ROWS 128
/* Registers for the spread activations of rows with few int8 weights. */
#define BG_NARROW_WORDS 16

typedef vec activation;

BG_INLINE activation spread(const uint8_t *four) {
    int32_t word;
    memcpy(&word, four, 4);
    return (vec)_mm512_set1_epi32(word);
}

BG_INLINE vec dot_int8(vec sum, vec weights, activation x) {
    return (vec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)weights);
}

BG_INLINE vec dot_unsigned(vec sum, vec codes, activation x) {
    return (vec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)codes, (__m512i)x);
}

/* Adds the codes of one word of each lane, four activations for each of the 8 / bits places, to as many sums. */
BG_INLINE void dot_codes(vec *sums, vec word, const activation *x, int bits) {
    int mask = (1 << bits) - 1;
    for (int place = 0; place < 8 / bits; ++place) {
        vec codes = word & fill((mask << (bits * place)) * 0x01010101);
        sums[place] = dot_unsigned(sums[place], codes, x[place]);
    }
}

BG_INLINE vec total_codes(const vec *sums, int bits) {
    vec total = sums[0];
    for (int place = 1; place < 8 / bits; ++place) {
        total += sums[place] >> (bits * place);
    }
    return total;
}

BG_INLINE vec smaller(vec a, vec b) { return (vec)_mm512_min_epi32((__m512i)a, (__m512i)b); }
BG_INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_epi32((__m512i)a, (__m512i)b); }

/* The 192 entries of the sigmoid stay in registers: two a permutation, which is faster than to gather from memory. */
typedef struct {
    __m512i entries[12];
} sigmoid;

BG_INLINE sigmoid open_sigmoid(const int32_t *table) {
    sigmoid s;
    for (int k = 0; k < 12; ++k) {
        s.entries[k] = _mm512_load_si512(table + 16 * k);
    }
    return s;
}

BG_INLINE vec look_up(const sigmoid *s, vec index) {
    __m512i at = (__m512i)index, part[6];
    for (int k = 0; k < 6; ++k) {
        part[k] = _mm512_permutex2var_epi32(s->entries[2 * k], at, s->entries[2 * k + 1]);
    }
    __mmask16 odd = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
    __mmask16 second = _mm512_test_epi32_mask(at, _mm512_set1_epi32(64));
    __mmask16 last = _mm512_test_epi32_mask(at, _mm512_set1_epi32(128));
    __m512i low = _mm512_mask_blend_epi32(odd, part[0], part[1]), middle = _mm512_mask_blend_epi32(odd, part[2], part[3]);
    __m512i high = _mm512_mask_blend_epi32(odd, part[4], part[5]);
    return (vec)_mm512_mask_blend_epi32(last, _mm512_mask_blend_epi32(second, low, middle), high);
}

/* |u|, at most limit, of any u. */
BG_INLINE vec magnitude(vec u, int32_t limit) {
    return (vec)_mm512_min_epu32(_mm512_abs_epi32((__m512i)u), _mm512_set1_epi32(limit));
}

/* v with the sign of u. */
BG_INLINE vec signed_as(vec v, vec u) {
    __m512i value = (__m512i)v;
    return (vec)_mm512_mask_sub_epi32(value, _mm512_movepi32_mask((__m512i)u), _mm512_setzero_si512(), value);
}

/* (value * 2048 + step * fraction + 1024) >> 11 of entries with the value in the high half and the step in the low. */
BG_INLINE vec interpolate(vec entry, vec fraction) {
    __m512i factors = _mm512_or_si512((__m512i)fraction, _mm512_set1_epi32(2048 << 16));
    return (vec)_mm512_dpwssd_epi32(_mm512_set1_epi32(1024), (__m512i)entry, factors) >> 11;
}

/* (a x + b y + 2^(shift - 1)) >> shift, the inside in 64 bits. */
BG_INLINE vec scale_wide(vec a, vec x, vec b, vec y, int shift) {
    __m512i rounding = _mm512_set1_epi64((int64_t)1 << (shift - 1));
    __m128i count = _mm_cvtsi32_si128(shift);
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32((__m512i)a, (__m512i)x), _mm512_mul_epi32((__m512i)b, (__m512i)y));
    __m512i a1 = _mm512_srli_epi64((__m512i)a, 32), x1 = _mm512_srli_epi64((__m512i)x, 32);
    __m512i b1 = _mm512_srli_epi64((__m512i)b, 32), y1 = _mm512_srli_epi64((__m512i)y, 32);
    __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(a1, x1), _mm512_mul_epi32(b1, y1));
    even = _mm512_sra_epi64(_mm512_add_epi64(even, rounding), count);
    odd = _mm512_slli_epi64(_mm512_sra_epi64(_mm512_add_epi64(odd, rounding), count), 32);
    return (vec)_mm512_mask_blend_epi32(0xaaaa, even, odd);
}

#define BG_OPAQUE(v) __asm__ volatile("" : "+v"(v))
