/**
 * @file bg_activation.h
 * @brief Gates: pre-activation (Q15) to value (Q15). Stack: under 64 bytes. Reentrant; reads constant tables only.
 */
#ifndef BG_ACTIVATION_H
#define BG_ACTIVATION_H

#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** S(u): the tabulated sigmoid with linear interpolation, 0 to 32768. @p u is any int32 but INT32_MIN. */
int32_t bg_smooth(int32_t u);

/** Tanh by the same table: 2 S(u) - 32768 = tanh(u / 2), -32768 to 32768. */
int32_t bg_smooth_tanh(int32_t u);

/**
 * Value of a sigmoid gate, 0 to 32768; a tanh gate has 2 * bg_activate(...) - 32768.
 *
 * @param gate  one gate; flash, owned by the model
 * @param u     pre-activation, Q15
 */
int32_t bg_activate(const bg_gate *gate, int32_t u);

#ifdef __cplusplus
}
#endif

#endif
