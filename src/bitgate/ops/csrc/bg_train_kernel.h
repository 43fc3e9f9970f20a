/* One instance of the training kernel: for BG_TARGET (GCC's name of an instruction set, if not the baseline),
 * BG_BYTES a vector and BG_REAL_BITS an element, exported as BG_KERNEL. Headers of the system come before the switch
 * of instruction set, so that no shared inline function is compiled for it. */
#include <stdint.h>
#include <string.h>

#include "bg_train.h"

#if defined(BG_TARGET)
#if defined(__clang__)
#define BG_ATTRIBUTE_(text) _Pragma(#text)
#define BG_ATTRIBUTE(target_name) \
    BG_ATTRIBUTE_(clang attribute push(__attribute__((target(target_name))), apply_to = function))
BG_ATTRIBUTE(BG_TARGET)
#else
#define BG_OPTION_(text) _Pragma(#text)
#define BG_OPTION(target_name) BG_OPTION_(GCC target(target_name))
BG_OPTION(BG_TARGET)
#endif
#endif

#include "bg_train_vector.h"

#include "bg_train_forward.h"

#include "bg_train_product.h"

#include "bg_train_backward.h"

#include "bg_train_noise.h"

#include "bg_train_sample.h"

const bg_train_kernel BG_KERNEL = {
    {forward_packed_size, forward_pack, forward_work_size, forward, forward_finish},
    {backward_packed_size, backward_pack, backward_work_size, backward, backward_finish},
    discrete_forward,
    discrete_backward,
    noise,
};

#if defined(BG_TARGET) && defined(__clang__)
#pragma clang attribute pop
#endif
