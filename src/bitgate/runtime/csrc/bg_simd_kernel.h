/* One instance of the inference kernels, exported as BG_KERNEL; or of the units alone, exported as BG_UNITS, or of the
 * products of many vectors, as BG_PRODUCTS. The including file defines BG_TARGET (GCC's name of an instruction set, if
 * not the baseline), BG_LANES (32-bit lanes of a vector), BG_MANY (vectors that products keep in registers) and
 * BG_PRIMITIVES (the header of its instructions). Headers of the system come before the switch of instruction set, so
 * that no shared inline function is compiled for it. */
#include <stdint.h>
#include <string.h>

#include "bg_shift.h"
#include "bg_simd.h"

#if defined(BG_TARGET)
#if defined(__clang__)
#define BG_ATTRIBUTE_(text) _Pragma(#text)
#define BG_ATTRIBUTE(target_name) \
    BG_ATTRIBUTE_(clang attribute push(__attribute__((target(target_name))), apply_to = function))
BG_ATTRIBUTE(BG_TARGET)
#else
#define BG_OPTION_(text) _Pragma(#text)
#define BG_OPTION(target_name) BG_OPTION_(GCC target(target_name))
BG_OPTION(BG_TARGET)
#endif
#endif

#define BG_INLINE static inline __attribute__((always_inline))

typedef int32_t vec __attribute__((vector_size(4 * BG_LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * BG_LANES)));
typedef int16_t half __attribute__((vector_size(2 * BG_LANES)));

BG_INLINE vec load(const void *from) {
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

BG_INLINE void store(void *to, vec v) { memcpy(to, &v, sizeof v); }

BG_INLINE vec fill(int32_t value) { return value - (vec){0}; }

BG_INLINE vec load_codes(const int16_t *from) {
    half codes;
    memcpy(&codes, from, sizeof codes);
    return __builtin_convertvector(codes, vec);
}

BG_INLINE void store_codes(int16_t *to, vec v) {
    half codes = __builtin_convertvector(v, half);
    memcpy(to, &codes, sizeof codes);
}

/* Products wrap around where a lane is padding and its numbers mean nothing. */
BG_INLINE vec multiply(vec a, vec b) { return (vec)((uvec)a * (uvec)b); }
BG_INLINE vec add(vec a, vec b) { return (vec)((uvec)a + (uvec)b); }

#include BG_PRIMITIVES

#if defined(BG_UNITS)
#include "bg_simd_activation.h"

#include "bg_simd_units.h"

#include "bg_simd_bytes.h"

void BG_UNITS(const bg_simd_layer *layer, uint8_t state_bits, int32_t begin, int32_t end, const int32_t *sums_x,
              const int32_t *sums_h, int16_t *h, int16_t *c) {
    units_by_bytes(layer, state_bits, begin, end, sums_x, sums_h, h, c);
}
#elif defined(BG_PRODUCTS)
#include "bg_simd_finish.h"

#include "bg_simd_products.h"

#include "bg_simd_tiles.h"

void BG_PRODUCTS(const bg_simd_matrix *m, const bg_simd_inputs *inputs, int32_t n, int32_t *sums, size_t sums_stride,
                 uint32_t *work) {
    products_by_tiles(m, inputs, n, sums, sums_stride, work);
}
#else
#include "bg_simd_inputs.h"

#include "bg_simd_finish.h"

#include "bg_simd_product.h"

#include "bg_simd_products.h"

#include "bg_simd_activation.h"

#include "bg_simd_units.h"

const bg_simd_kernel BG_KERNEL = {arrange, product, products, units, quantize, burn, BG_INT8_FLIP != 0, BG_STACKS};
#endif

#if defined(BG_TARGET) && defined(__clang__)
#pragma clang attribute pop
#endif
