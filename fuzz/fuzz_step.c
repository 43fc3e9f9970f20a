/*
 * libFuzzer's entry: the first byte chooses a model, the second how to read the rest (fuzz.h). All variants of the model,
 * one for each kind of kernels that it fits, must compute the same integers.
 */
#include "fuzz.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const fuzz_variant *first = NULL;
    uint64_t expected = 0;
    if (size < 2) {
        return 0;
    }
    for (int k = 0; k < fuzz_count; ++k) {
        const fuzz_variant *variant = &fuzz_variants[k];
        uint64_t found;
        if (variant->model != data[0] % fuzz_models) {
            continue;
        }
        /* The upper bits of the mode only fill the scratch, each variant's differently. */
        found = variant->run((uint8_t)((data[1] & 3) | (k << 2)), data + 2, size - 2);
        if (first == NULL) {
            first = variant;
            expected = found;
        } else if (found != expected) {
            fprintf(stderr, "%s and %s compute different integers\n", first->name, variant->name);
            __builtin_trap();
        }
    }
    return 0;
}
