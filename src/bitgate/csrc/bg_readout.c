#include "bg_readout.h"

int32_t bg_readout_logit(const bg_readout *readout, int32_t k, const int16_t *h) {
    int32_t sum = readout->weight.row_sum(&readout->weight, k, h);
    return readout->mult[readout->mult_per_row ? k : 0] * sum + readout->bias[k];
}

int32_t bg_readout_predict(const bg_readout *readout, const int16_t *h) {
    int32_t best = 0;
    int32_t highest = bg_readout_logit(readout, 0, h);
    for (int32_t k = 1; k < readout->weight.rows; ++k) {
        int32_t logit = bg_readout_logit(readout, k, h);
        if (logit > highest) {
            highest = logit;
            best = k;
        }
    }
    return best;
}
