/* Inference for AVX2. */
#if defined(__x86_64__)
#include <immintrin.h>

#define BG_TARGET "avx2"
#define BG_LANES 8
#define BG_MANY 2
#define BG_PRIMITIVES "bg_simd_avx2.h"
#define BG_KERNEL bg_simd_avx2
#include "bg_simd_kernel.h"
#else
typedef int bg_simd_no_such_path;
#endif
