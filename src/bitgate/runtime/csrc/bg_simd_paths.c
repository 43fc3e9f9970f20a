/* Which instruction sets this build and processor have. */
#include "bg_simd.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* Of <asm/hwcap.h>, which not every libc brings. */
enum { HWCAP_DOT_PRODUCT = 1 << 20 };

static int has_dot_product(void) { return (getauxval(AT_HWCAP) & HWCAP_DOT_PRODUCT) != 0; }
#elif defined(__aarch64__)
/* All 64-bit Arm of Apple has it; elsewhere the compiler's baseline tells. */
static int has_dot_product(void) {
#if defined(__APPLE__) || defined(__ARM_FEATURE_DOTPROD)
    return 1;
#else
    return 0;
#endif
}
#endif

bg_simd_units_fn bg_simd_find_units(const bg_simd_kernel *kernel) {
#if defined(__x86_64__)
    if (kernel == &bg_simd_avx512 && __builtin_cpu_supports("avx512vbmi")) {
        return bg_simd_vbmi_units;
    }
#endif
    return kernel->units;
}

bg_simd_products_fn bg_simd_find_products(const bg_simd_kernel *kernel) {
#if defined(__x86_64__)
    if (kernel == &bg_simd_avx512 && bg_simd_amx_works()) {
        return bg_simd_amx_products;
    }
#endif
    return kernel->products;
}

const bg_simd_kernel *bg_simd_find(int path) {
    if (path == BG_SIMD_PORTABLE) {
        return &bg_simd_portable;
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (path == BG_SIMD_AVX2 && __builtin_cpu_supports("avx2")) {
        return &bg_simd_avx2;
    }
    if (path == BG_SIMD_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma")) {
        return &bg_simd_avx512;
    }
#endif
#if defined(__aarch64__) && defined(__GNUC__)
    if (path == BG_SIMD_NEON && has_dot_product()) {
        return &bg_simd_neon;
    }
#endif
    return NULL;
}
