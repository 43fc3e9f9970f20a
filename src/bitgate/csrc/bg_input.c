#include "bg_input.h"

#include "bg_shift.h"

static int16_t bg_quantize_one(float mean, float gain, int32_t limit, float feature) {
    /* volatile: rounds each result to float32 and keeps the compiler from fusing product and sum (FMA). */
    volatile float value = feature - mean;
    value = value * gain;
    value = value + 0.5f;
    {
        float rounded = value;
        int32_t whole;
        if (rounded >= (float)limit) {
            return (int16_t)limit;
        }
        if (rounded <= (float)-limit) {
            return (int16_t)-limit;
        }
        if (!(rounded > (float)-limit)) {
            return 0;
        }
        whole = (int32_t)rounded; /* towards zero: one too high for a negative fraction */
        return (int16_t)((float)whole > rounded ? whole - 1 : whole);
    }
}

void bg_quantize(const float *mean, const float *gain, int32_t size, uint8_t state_bits, const float *features,
                 int16_t *codes) {
    int32_t limit = bg_code_limit(state_bits);
    for (int32_t k = 0; k < size; ++k) {
        codes[k] = bg_quantize_one(mean[k], gain[k], limit, features[k]);
    }
}
