/* Part of bg_simd_kernel.h: LSTM units with the sigmoid's table as bytes (AVX-512 VBMI).
 *
 * One permutation looks up 64 bytes in 64. The table is four planes: low and high bytes of S - 1/2 and of the step to
 * the next entry. Gates, cells and outputs are 16 bits wide from there on, two vectors of 32 units at a time, in the
 * order that packing leaves: in each quarter of a vector four of the first 16 units, then four of the next. */

enum { GROUP = 64, PAIR = 32 };

typedef struct {
    __m512i low[3], high[3], step[3], step_high;  /* steps of more than a byte are all in the first third */
} byte_table;

BG_INLINE byte_table open_bytes(const uint8_t *bytes) {
    byte_table t;
    for (int k = 0; k < 3; ++k) {
        t.low[k] = _mm512_load_si512(bytes + 64 * k);
        t.high[k] = _mm512_load_si512(bytes + 192 + 64 * k);
        t.step[k] = _mm512_load_si512(bytes + 384 + 64 * k);
    }
    t.step_high = _mm512_load_si512(bytes + 576);
    return t;
}

BG_INLINE __m512i look_up_bytes(const __m512i *plane, __m512i at, __mmask64 first, __mmask64 last) {
    __m512i found = _mm512_permutexvar_epi8(at, plane[1]);
    found = _mm512_mask_permutexvar_epi8(found, first, at, plane[0]);
    return _mm512_mask_permutexvar_epi8(found, last, at, plane[2]);
}

/* S - 1/2 of two vectors of 16-bit numbers: entries of the table, fractions in Q15, and what has the wanted sign. The
 * rounded product of 16 bits is (step * fraction + 1024) >> 11, for the fraction counts sixteenfold. */
BG_INLINE void smooth_pairs(const byte_table *t, const __m512i *entry, const __m512i *fraction, const __m512i *sign,
                            __m512i *odd) {
    __m512i at = _mm512_packus_epi16(entry[0], entry[1]);
    __mmask64 first = _mm512_cmplt_epu8_mask(at, _mm512_set1_epi8(64)), last = _mm512_movepi8_mask(at);
    __m512i low = look_up_bytes(t->low, at, first, last), high = look_up_bytes(t->high, at, first, last);
    __m512i step = look_up_bytes(t->step, at, first, last);
    __m512i step_high = _mm512_maskz_permutexvar_epi8(first, at, t->step_high);
    __m512i values[2] = {_mm512_unpacklo_epi8(low, high), _mm512_unpackhi_epi8(low, high)};
    __m512i steps[2] = {_mm512_unpacklo_epi8(step, step_high), _mm512_unpackhi_epi8(step, step_high)};
    for (int k = 0; k < 2; ++k) {
        __m512i value = _mm512_add_epi16(values[k], _mm512_mulhrs_epi16(steps[k], fraction[k]));
        odd[k] = _mm512_mask_sub_epi16(value, _mm512_movepi16_mask(sign[k]), _mm512_setzero_si512(), value);
    }
}

/* S - 1/2 of 64 pre-activations, of which only so many pairs of vectors count. */
BG_INLINE void smooth_group(const byte_table *t, const int32_t *u, int pairs, __m512i *odd) {
    __m512i entry[2], fraction[2], sign[2];
    for (int k = 0; k < 2; ++k) {
        const int32_t *from = u + (k < pairs ? PAIR * k : 0);
        __m512i first = _mm512_loadu_si512(from), second = _mm512_loadu_si512(from + BG_LANES);
        __m512i a = (__m512i)magnitude((vec)first, EDGE), b = (__m512i)magnitude((vec)second, EDGE);
        __m512i mask = _mm512_set1_epi32(2047);
        entry[k] = _mm512_packus_epi32(_mm512_srli_epi32(a, 11), _mm512_srli_epi32(b, 11));
        fraction[k] = _mm512_packus_epi32(_mm512_and_si512(a, mask), _mm512_and_si512(b, mask));
        fraction[k] = _mm512_slli_epi16(fraction[k], 4);
        sign[k] = _mm512_packs_epi32(first, second);
    }
    smooth_pairs(t, entry, fraction, sign, odd);
}

/* S - 1/2 of c << c_shift. */
BG_INLINE void smooth_cells(const byte_table *t, const __m512i *c, int c_shift, __m512i *odd) {
    __m512i entry[2], fraction[2];
    for (int k = 0; k < 2; ++k) {
        __m512i m = _mm512_abs_epi16(c[k]);
        if (c_shift == 5) {
            m = _mm512_min_epu16(m, _mm512_set1_epi16(EDGE >> 5));
        }
        entry[k] = _mm512_srli_epi16(m, (unsigned)(11 - c_shift));
        fraction[k] = _mm512_and_si512(_mm512_slli_epi16(m, (unsigned)(4 + c_shift)), _mm512_set1_epi16(32767));
    }
    smooth_pairs(t, entry, fraction, c, odd);
}

/* Adds a (b + 1/2) of Q15, or rather b (a + 2^14), to 32 sums. */
BG_INLINE void add_products(__m512i *sums, __m512i a, __m512i b) {
    __m512i half = _mm512_set1_epi16(BG_ONE / 2);
    sums[0] = _mm512_dpwssd_epi32(sums[0], _mm512_unpacklo_epi16(a, b), _mm512_unpacklo_epi16(b, half));
    sums[1] = _mm512_dpwssd_epi32(sums[1], _mm512_unpackhi_epi16(a, b), _mm512_unpackhi_epi16(b, half));
}

/* Packs sums >> shift, at most limit. */
BG_INLINE __m512i narrow(const __m512i *sums, int shift, int32_t limit) {
    __m128i count = _mm_cvtsi32_si128(shift);
    __m512i packed = _mm512_packs_epi32(_mm512_sra_epi32(sums[0], count), _mm512_sra_epi32(sums[1], count));
    packed = _mm512_min_epi16(packed, _mm512_set1_epi16((int16_t)limit));
    return _mm512_max_epi16(packed, _mm512_set1_epi16((int16_t)-limit));
}

/* New cells of 32 units; gates are less 1/2. */
BG_INLINE __m512i lstm_cell16(__m512i i, __m512i f, __m512i g, __m512i c) {
    __m512i rounding = _mm512_set1_epi32(BG_ONE / 2), sums[2] = {rounding, rounding};
    __m512i change[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    add_products(change, i, g);
    add_products(sums, f, c);
    for (int k = 0; k < 2; ++k) {
        sums[k] = _mm512_add_epi32(sums[k], _mm512_srai_epi32(change[k], 3));
    }
    return narrow(sums, 15, 32767);
}

BG_INLINE __m512i coupled_cell16(__m512i i, __m512i g, __m512i c) {
    __m512i rounding = _mm512_set1_epi32(BG_ONE / 2), sums[2] = {rounding, rounding};
    add_products(sums, _mm512_sub_epi16(_mm512_setzero_si512(), i), c);
    add_products(sums, i, g);
    add_products(sums, i, g);
    return narrow(sums, 15, 32767);
}

/* A gate of up to 64 units, less 1/2. */
BG_INLINE void gate16(const bg_simd_layer *l, const byte_table *t, int gate, int32_t j, int32_t count,
                      const int32_t *sums_x, const int32_t *sums_h, int pairs, __m512i *odd) {
    int32_t u[GROUP];
    if (count < GROUP) {
        memset(u, 0, sizeof u);
    }
    if (l->gates[gate].levels == 0) {
        preacts p = preacts_of(l, gate, j, sums_x, sums_h);
        preactivate(l, &p, u, count, 1, 1, 0);
        smooth_group(t, u, pairs, odd);
        return;
    }
    gate_values(l, gate, j, count, sums_x, sums_h, u);
    for (int k = 0; k < pairs; ++k) {
        vec half = fill(BG_ONE / 2), first = load(u + PAIR * k) - half, second = load(u + PAIR * k + BG_LANES) - half;
        odd[k] = _mm512_packs_epi32((__m512i)first, (__m512i)second);
    }
}

/* Between the order of memory and that of packing: fours of units. */
BG_INLINE __m512i packed_order(__m512i units) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), units);
}

BG_INLINE __m512i memory_order(__m512i units) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), units);
}

BG_INLINE void group_as(const bg_simd_layer *l, uint8_t state_bits, int32_t j, int32_t count, const int32_t *sums_x,
                        const int32_t *sums_h, int16_t *h, int16_t *c, int is_coupled, int pairs) {
    byte_table t = open_bytes(l->byte_table);
    __m512i gates[BG_SIMD_GATES][2], cells[2], tanh_half[2];
    int shift = 30 - state_bits;
    int32_t limit = bg_code_limit(state_bits);
    for (int gate = 0; gate < (is_coupled ? 3 : 4); ++gate) {
        gate16(l, &t, gate, j, count, sums_x, sums_h, pairs, gates[gate]);
    }
    __mmask32 rest = (1u << count % PAIR) - 1, kept[2] = {count < PAIR ? rest : ~0u, count < GROUP ? rest : ~0u};
    for (int k = 0; k < pairs; ++k) {
        __m512i old = packed_order(_mm512_maskz_loadu_epi16(kept[k], c + j + PAIR * k));
        cells[k] = is_coupled ? coupled_cell16(gates[0][k], gates[1][k], old)
                              : lstm_cell16(gates[0][k], gates[1][k], gates[2][k], old);
        _mm512_mask_storeu_epi16(c + j + PAIR * k, kept[k], memory_order(cells[k]));
    }
    cells[1] = cells[pairs - 1];
    smooth_cells(&t, cells, is_coupled ? 1 : 5, tanh_half);
    for (int k = 0; k < pairs; ++k) {
        __m512i rounding = _mm512_set1_epi32(1 << (shift - 1)), sums[2] = {rounding, rounding};
        add_products(sums, gates[is_coupled ? 2 : 3][k], tanh_half[k]);
        _mm512_mask_storeu_epi16(h + j + PAIR * k, kept[k], memory_order(narrow(sums, shift, limit)));
    }
}

BG_INLINE void groups(const bg_simd_layer *l, uint8_t state_bits, int32_t begin, int32_t end, const int32_t *sums_x,
                      const int32_t *sums_h, int16_t *h, int16_t *c, int is_coupled) {
    int32_t j = begin;
    for (; j + GROUP <= end; j += GROUP) {
        group_as(l, state_bits, j, GROUP, sums_x, sums_h, h, c, is_coupled, 2);
    }
    if (end - j > PAIR) {
        group_as(l, state_bits, j, end - j, sums_x, sums_h, h, c, is_coupled, 2);
    } else if (j < end) {
        group_as(l, state_bits, j, end - j, sums_x, sums_h, h, c, is_coupled, 1);
    }
}

static void units_by_bytes(const bg_simd_layer *l, uint8_t state_bits, int32_t begin, int32_t end,
                           const int32_t *sums_x, const int32_t *sums_h, int16_t *h, int16_t *c) {
    if (l->cell == BG_SIMD_LSTM) {
        groups(l, state_bits, begin, end, sums_x, sums_h, h, c, 0);
    } else if (l->cell == BG_SIMD_COUPLED) {
        groups(l, state_bits, begin, end, sums_x, sums_h, h, c, 1);
    } else {
        units(l, state_bits, begin, end, sums_x, sums_h, h, c);
    }
}
