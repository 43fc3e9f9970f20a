/* The training kernel for AVX2 and FMA; float64. */
#if defined(__x86_64__)
#define BG_REAL_BITS 64
#define BG_BYTES 32
#define BG_TARGET "avx2,fma"
#define BG_KERNEL bg_train_avx2_f64
#include "bg_train_kernel.h"
#else
typedef int bg_train_no_such_path;
#endif
