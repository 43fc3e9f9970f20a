/* Inference in the baseline instructions of any processor. */
#define BG_LANES 4
#define BG_MANY 2
#define BG_PRIMITIVES "bg_simd_portable.h"
#define BG_KERNEL bg_simd_portable
#include "bg_simd_kernel.h"
