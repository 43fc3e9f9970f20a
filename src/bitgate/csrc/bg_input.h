/**
 * @file bg_input.h
 * @brief The only floating-point kernel: raw features to input codes. Leave it out where the sensor delivers codes.
 */
#ifndef BG_INPUT_H
#define BG_INPUT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * codes = clip(floor((features - mean) * gain + 0.5)), each operation rounded to float32.
 *
 * A value that is no number gives 0. Stack: under 64 bytes. Reentrant.
 *
 * @param mean        size floats in the units of the features; flash, owned by the model
 * @param gain        size floats, codes per unit of the features; flash, owned by the model
 * @param size        number of features
 * @param state_bits  bits of a code, 8 to 16
 * @param features    size raw values, owned by the caller
 * @param codes       size codes, owned by the caller, written
 */
void bg_quantize(const float *mean, const float *gain, int32_t size, uint8_t state_bits, const float *features,
                 int16_t *codes);

#ifdef __cplusplus
}
#endif

#endif
