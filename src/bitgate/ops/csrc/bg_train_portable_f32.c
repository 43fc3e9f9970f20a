/* The training kernel for any processor: 16-byte vectors, which the compiler maps to SSE2 or NEON; float32. */
#define BG_REAL_BITS 32
#define BG_BYTES 16
#define BG_KERNEL bg_train_portable_f32
#include "bg_train_kernel.h"
