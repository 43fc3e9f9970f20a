/* Part of bg_simd_kernel.h: features to codes, and codes to the bytes that the products take. */

typedef int16_t codes16 __attribute__((vector_size(32)));
typedef int8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t bytes32 __attribute__((vector_size(32)));

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define BG_SHUFFLE(type, v, ...) __builtin_shufflevector(v, v, __VA_ARGS__)
#endif
#endif
#if !defined(BG_SHUFFLE)
#define BG_SHUFFLE(type, v, ...) __builtin_shuffle(v, (type){__VA_ARGS__})
#endif

/* One plane of 16 codes: the code itself, or its high byte, or its low byte less 128; flip makes them unsigned. */
BG_INLINE bytes16 plane_of(const int16_t *x, int planes, int plane, int flip) {
    codes16 codes;
    memcpy(&codes, x, sizeof codes);
    if (planes == 2) {
        codes = plane == 0 ? codes >> 8 : codes ^ (int16_t)0x80;
    }
    bytes16 bytes = __builtin_convertvector(codes, bytes16);
    return flip ? bytes ^ (int8_t)-128 : bytes;
}

/* A group of codes, 16 or for one bit 32, in the order of the places of a word. */
BG_INLINE void arrange_group(const int16_t *x, uint8_t *to, int bits, int planes, int plane, int flip) {
    bytes16 low = plane_of(x, planes, plane, flip);
    if (bits == 8) {
        memcpy(to, &low, 16);
    } else if (bits == 2) {
        low = BG_SHUFFLE(bytes16, low, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        memcpy(to, &low, 16);
    } else {
        bytes16 high = plane_of(x + 16, planes, plane, flip);
        bytes32 both;
        memcpy(&both, &low, 16);
        memcpy((char *)&both + 16, &high, 16);
        both = BG_SHUFFLE(bytes32, both, 0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27, 4, 12, 20, 28, 5, 13,
                          21, 29, 6, 14, 22, 30, 7, 15, 23, 31);
        memcpy(to, &both, 32);
    }
}

BG_INLINE void arrange_as(const bg_simd_matrix *m, const int16_t *x, uint8_t *bytes, int bits, int planes, int flip) {
    int32_t group = bits == 1 ? 32 : 16, columns = m->columns, j = 0, width = bg_simd_width(m);
    for (; j + group <= columns; j += group) {
        for (int plane = 0; plane < planes; ++plane) {
            arrange_group(x + j, bytes + plane * width + j, bits, planes, plane, flip);
        }
    }
    if (j < width) {
        int16_t rest[32] = {0};
        memcpy(rest, x + j, (size_t)(columns - j) * sizeof *rest);
        for (int plane = 0; plane < planes; ++plane) {
            arrange_group(rest, bytes + plane * width + j, bits, planes, plane, flip);
        }
    }
}

BG_INLINE void arrange_planes(const bg_simd_matrix *m, const int16_t *x, uint8_t *bytes, int bits, int flip) {
    if (m->planes == 1) {
        arrange_as(m, x, bytes, bits, 1, flip);
    } else {
        arrange_as(m, x, bytes, bits, 2, flip);
    }
}

static int32_t arrange(const bg_simd_matrix *m, const int16_t *x, uint8_t *bytes, int many) {
    int32_t sum = 0;
    if (m->bits == 8) {
        arrange_planes(m, x, bytes, 8, BG_INT8_FLIP);
        return 0;
    }
    if (m->stacked && !many) {
        arrange_planes(m, x, bytes, 8, 0);
    } else if (m->stacked) {
        arrange_planes(m, x, bytes, 8, BG_INT8_FLIP);
    } else if (m->bits == 2 && !many) {
        arrange_planes(m, x, bytes, 2, 0);
    } else if (m->bits == 2) {
        arrange_planes(m, x, bytes, 2, BG_INT8_FLIP);
    } else if (!many) {
        arrange_planes(m, x, bytes, 1, 0);
    } else {
        arrange_planes(m, x, bytes, 1, BG_INT8_FLIP);
    }
    for (int32_t j = 0; j < m->columns; ++j) {
        sum += x[j];
    }
    return sum;
}

/* The file is compiled without contraction of products and sums: each operation rounds to float32. */
static int quantize(const float *mean, const float *gain, int32_t size, uint8_t state_bits, const float *features,
                    int16_t *codes) {
    float limit = (float)bg_code_limit(state_bits);
    uint32_t infinite = 0;
    for (int32_t k = 0; k < size; ++k) {
        uint32_t pattern;
        memcpy(&pattern, &features[k], sizeof pattern);
        infinite |= (uint32_t)((pattern & 0x7f800000u) == 0x7f800000u);
        float value = (features[k] - mean[k]) * gain[k] + 0.5f;
        value = value == value ? value : 0.0f;
        value = value > limit ? limit : value;
        value = value < -limit ? -limit : value;
        int32_t whole = (int32_t)value; /* towards zero: one too high for a negative fraction */
        codes[k] = (int16_t)(whole - ((float)whole > value));
    }
    return infinite == 0;
}
