/* The training kernel for any processor: 16-byte vectors, which the compiler maps to SSE2 or NEON; float64. */
#define BG_REAL_BITS 64
#define BG_BYTES 16
#define BG_KERNEL bg_train_portable_f64
#include "bg_train_kernel.h"
