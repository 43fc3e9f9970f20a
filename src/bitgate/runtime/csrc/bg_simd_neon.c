/* Inference for 64-bit Arm with the dot product (Armv8.2). */
#if defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>

#if defined(__clang__)
#define BG_TARGET "dotprod"
#else
#define BG_TARGET "arch=armv8.2-a+dotprod"
#endif
#define BG_LANES 4
#define BG_MANY 8
#define BG_PRIMITIVES "bg_simd_neon.h"
#define BG_KERNEL bg_simd_neon
#include "bg_simd_kernel.h"
#else
typedef int bg_simd_no_such_path;
#endif
