/*
 * Runs one exported model over arbitrary data. models.py copies this file for every model, with "model" replaced by the
 * model's name. All buffers are of the exact size that the header names, so that the sanitizers see every stray access.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "model.h"

enum { INPUTS = MODEL_INPUT_SIZE, LIMIT = MODEL_CODE_LIMIT };

static void *exact(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static uint64_t digest(uint64_t hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t k = 0; k < size; ++k) {
        hash = (hash ^ bytes[k]) * 0x100000001b3u;
    }
    return hash;
}

static void require(int holds) {
    if (!holds) {
        __builtin_trap();
    }
}

/* A code within +-limit from any two bytes. */
static int16_t to_code(const uint8_t *bytes, int32_t limit) {
    int32_t value = bytes[0] | (bytes[1] & 127) << 8;
    int32_t magnitude = value > limit ? value % (limit + 1) : value;
    return (int16_t)(bytes[1] & 128 ? -magnitude : magnitude);
}

static void check_state(const int16_t *state) {
    for (int k = 0; k < MODEL_LAYERS; ++k) {
        const bg_layer *layer = &model_params.layers[k];
        int32_t size = layer->w_hh.columns;
        for (int32_t j = 0; j < size; ++j) {
            require(state[j] >= -LIMIT && state[j] <= LIMIT);
            require(state[size + j] >= -32767);
            require(!layer->skip || (state[2 * size + j] >= -LIMIT && state[2 * size + j] <= LIMIT));
        }
        require(!layer->skip || (state[3 * size] >= 0 && state[3 * size] < layer->skip->block_size));
        state += layer->state_size;
    }
}

/* Largest magnitude of a value of a layer's state: of codes, of c, and of the position, which is also never negative. */
static int32_t state_limit(const bg_layer *layer, int32_t at) {
    int32_t size = layer->w_hh.columns;
    return at == 3 * size ? layer->skip->block_size - 1 : at >= size && at < 2 * size ? 32767 : LIMIT;
}

/* Fills the state from the data; returns bytes used. */
static size_t take_state(int16_t *state, const uint8_t *data, size_t size) {
    size_t used = 0;
    for (int k = 0; k < MODEL_LAYERS; ++k) {
        const bg_layer *layer = &model_params.layers[k];
        int32_t values = layer->state_size, position = 3 * layer->w_hh.columns;
        for (int32_t j = 0; j < values && used + 2 <= size; ++j, used += 2) {
            state[j] = to_code(data + used, state_limit(layer, j));
            if (j == position && state[j] < 0) {
                state[j] = (int16_t)-state[j];
            }
        }
        state += values;
    }
    return used;
}

/* The next step's codes, from bytes as codes or as the bits of float features. */
static void take_input(uint8_t mode, const uint8_t *data, int16_t *x) {
    if (mode & FUZZ_FLOATS) {
        float *features = exact(INPUTS * sizeof *features);
        memcpy(features, data, INPUTS * sizeof *features);
        model_quantize(features, x);
        free(features);
        for (int k = 0; k < INPUTS; ++k) {
            require(x[k] >= -LIMIT && x[k] <= LIMIT);
        }
        return;
    }
    for (int k = 0; k < INPUTS; ++k) {
        x[k] = to_code(data + 2 * k, LIMIT);
    }
}

static uint64_t add_result(uint64_t hash, const int16_t *state) {
#if MODEL_CLASSES > 0
    const int16_t *h = bg_model_output(&model_params, state);
    int32_t predicted = bg_readout_predict(model_params.readout, h);
    require(predicted >= 0 && predicted < MODEL_CLASSES);
    for (int32_t k = 0; k < MODEL_CLASSES; ++k) {
        int32_t logit = bg_readout_logit(model_params.readout, k, h);
        hash = digest(hash, &logit, sizeof logit);
    }
    return digest(hash, &predicted, sizeof predicted);
#else
    return digest(hash, bg_model_output(&model_params, state), 1);
#endif
}

uint64_t model_fuzz(uint8_t mode, const uint8_t *data, size_t size) {
    size_t state_bytes = MODEL_STATE_SIZE * sizeof(int16_t), scratch_bytes = MODEL_SCRATCH_SIZE * sizeof(int16_t);
    size_t step_bytes = INPUTS * (mode & FUZZ_FLOATS ? sizeof(float) : sizeof(int16_t));
    int16_t *state = exact(state_bytes), *scratch = exact(scratch_bytes), *x = exact(INPUTS * sizeof *x);
    uint64_t hash = 0xcbf29ce484222325u;
    bg_model_reset(&model_params, state);
    if (mode & FUZZ_STATE) {
        size_t used = take_state(state, data, size);
        data += used;
        size -= used;
    }
    memset(scratch, mode, scratch_bytes); /* its content must not matter: fuzz_step.c gives each variant another mode */
    for (; size >= step_bytes; data += step_bytes, size -= step_bytes) {
        take_input(mode, data, x);
        bg_model_step(&model_params, state, scratch, x);
        check_state(state);
        hash = digest(hash, state, state_bytes);
        hash = add_result(hash, state);
    }
    free(state);
    free(scratch);
    free(x);
    return hash;
}
