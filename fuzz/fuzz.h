/**
 * @file fuzz.h
 * @brief What every exported model of the fuzzer offers (variant.c), and the table of them that models.py writes.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

/** Bits of an input's mode, its second byte. */
enum { FUZZ_STATE = 1 /* begins from a state in the data, not from zero */, FUZZ_FLOATS = 2 /* features, not codes */ };

typedef struct {
    const char *name; /**< symbol prefix of the exported model */
    int model;        /**< variants of one model have the same number and must compute the same integers */
    /** Runs the model over the data and returns a digest of every state, logit and class. Traps if a promise breaks. */
    uint64_t (*run)(uint8_t mode, const uint8_t *data, size_t size);
} fuzz_variant;

extern const fuzz_variant fuzz_variants[];
extern const int fuzz_count;
extern const int fuzz_models;

#endif
