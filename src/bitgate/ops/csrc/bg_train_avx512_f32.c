/* The training kernel for AVX-512; float32. */
#if defined(__x86_64__)
#define BG_REAL_BITS 32
#define BG_BYTES 64
#define BG_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define BG_KERNEL bg_train_avx512_f32
#include "bg_train_kernel.h"
#else
typedef int bg_train_no_such_path;
#endif
