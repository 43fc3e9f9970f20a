/* The training kernel for AVX2 and FMA; float32. */
#if defined(__x86_64__)
#define BG_REAL_BITS 32
#define BG_BYTES 32
#define BG_TARGET "avx2,fma"
#define BG_KERNEL bg_train_avx2_f32
#include "bg_train_kernel.h"
#else
typedef int bg_train_no_such_path;
#endif
