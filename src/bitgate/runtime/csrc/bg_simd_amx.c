/* Products of many vectors in the tiles of AMX, beside AVX-512. Compilers that lack AMX leave them out. */
#if defined(__x86_64__) && defined(__linux__) && defined(__has_include)
#if __has_include(<amxint8intrin.h>)
#define BG_HAS_TILES
#endif
#endif

#include "bg_simd.h"

#if defined(BG_HAS_TILES)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux gives tiles to a process that asks, for they make its signal frames larger. */
int bg_simd_amx_works(void) {
    enum { ASK = 0x1023, TILE_DATA = 18, AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 };
    unsigned a, b, c, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & AMX_TILE) == 0 || (d & AMX_INT8) == 0) {
        return 0;
    }
    return syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}

#define BG_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,amx-tile,amx-int8"
#define BG_LANES 16
#define BG_MANY 8
#define BG_PRIMITIVES "bg_simd_avx512.h"
#define BG_PRODUCTS bg_simd_amx_products
#include "bg_simd_kernel.h"
#elif defined(__x86_64__)
int bg_simd_amx_works(void) { return 0; }

void bg_simd_amx_products(const bg_simd_matrix *m, const bg_simd_inputs *inputs, int32_t n, int32_t *sums,
                          size_t sums_stride, uint32_t *work) {
    bg_simd_avx512.products(m, inputs, n, sums, sums_stride, work);
}
#endif
