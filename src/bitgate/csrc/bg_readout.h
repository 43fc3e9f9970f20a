/**
 * @file bg_readout.h
 * @brief Logits and class of a hidden state. Stack: under 128 bytes. Reentrant.
 */
#ifndef BG_READOUT_H
#define BG_READOUT_H

#include "bg_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One integer logit.
 *
 * @param readout  constants; flash, owned by the model
 * @param k        class, 0 to readout->weight.rows - 1
 * @param h        readout->weight.columns hidden codes, owned by the caller
 */
int32_t bg_readout_logit(const bg_readout *readout, int32_t k, const int16_t *h);

/** Class with the largest logit, the first of equals. Arguments as in bg_readout_logit. */
int32_t bg_readout_predict(const bg_readout *readout, const int16_t *h);

#ifdef __cplusplus
}
#endif

#endif
