/* Inference for AVX-512 with VNNI. */
#if defined(__x86_64__)
#include <immintrin.h>

#define BG_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma"
#define BG_LANES 16
#define BG_MANY 8
#define BG_PRIMITIVES "bg_simd_avx512.h"
#define BG_KERNEL bg_simd_avx512
#include "bg_simd_kernel.h"
#else
typedef int bg_simd_no_such_path;
#endif
