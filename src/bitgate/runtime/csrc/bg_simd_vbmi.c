/* Units for AVX-512 with VNNI and VBMI, which permutes bytes. */
#if defined(__x86_64__)
#include <immintrin.h>

#define BG_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx2,fma"
#define BG_LANES 16
#define BG_PRIMITIVES "bg_simd_avx512.h"
#define BG_UNITS bg_simd_vbmi_units
#include "bg_simd_kernel.h"
#else
typedef int bg_simd_no_such_path;
#endif
