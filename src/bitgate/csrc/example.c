/*
 * Example program: reads sequences from stdin, prints the predicted class of each.
 *
 *     usage: program [--codes] [--logits] [--trace] < sequences.txt
 *
 * Input: for each sequence a line "T", then T lines of MODEL_INPUT_SIZE numbers (raw features; with --codes integer
 * input codes). Output, a line a sequence: the class and its name; with --logits the class and all integer logits.
 * A model without classes prints its last hidden state. --trace prints before that a line "h LAYER values" and a
 * line "c LAYER values" for every layer of every step.
 */
#include <stdio.h>
#include <string.h>

#include "model.h"

/* Reads one step's codes; returns 0 if the text is not MODEL_INPUT_SIZE good numbers. */
static int read_step(int as_codes, int16_t *x) {
    float features[MODEL_INPUT_SIZE];
    for (int32_t k = 0; k < MODEL_INPUT_SIZE; ++k) {
        if (as_codes) {
            long code;
            if (scanf("%ld", &code) != 1 || code < -MODEL_CODE_LIMIT || code > MODEL_CODE_LIMIT) {
                return 0;
            }
            x[k] = (int16_t)code;
        } else if (scanf("%f", &features[k]) != 1) {
            return 0;
        }
    }
    if (!as_codes) {
        model_quantize(features, x);
    }
    return 1;
}

static void print_values(const int16_t *values, int32_t count) {
    for (int32_t k = 0; k < count; ++k) {
        printf(" %d", values[k]);
    }
    printf("\n");
}

static void print_states(const model_state *state) {
    const int16_t *values = state->values;
    for (int k = 0; k < MODEL_LAYERS; ++k) {
        int32_t size = model_params.layers[k].w_hh.columns;
        printf("h %d", k);
        print_values(values, size);
        printf("c %d", k);
        print_values(values + size, size);
        values += model_params.layers[k].state_size;
    }
}

static void print_result(const model_state *state, int with_logits) {
#if MODEL_CLASSES > 0
    int32_t predicted = model_predict(state);
    printf("%ld", (long)predicted);
    if (with_logits) {
        int32_t logits[MODEL_CLASSES];
        model_logits(state, logits);
        for (int32_t k = 0; k < MODEL_CLASSES; ++k) {
            printf(" %ld", (long)logits[k]);
        }
        printf("\n");
    } else {
        printf(" %s\n", model_class_names[predicted]);
    }
#else
    (void)with_logits;
    printf("output");
    print_values(model_output(state), MODEL_OUTPUT_SIZE);
#endif
}

int main(int argc, char **argv) {
    int as_codes = 0, with_logits = 0, with_trace = 0;
    static model_state state;
    int16_t x[MODEL_INPUT_SIZE];
    long steps;
    int found;
    for (int k = 1; k < argc; ++k) {
        if (strcmp(argv[k], "--codes") == 0) {
            as_codes = 1;
        } else if (strcmp(argv[k], "--logits") == 0) {
            with_logits = 1;
        } else if (strcmp(argv[k], "--trace") == 0) {
            with_trace = 1;
        } else {
            fprintf(stderr, "unknown option %s\nusage: program [--codes] [--logits] [--trace] < sequences\n", argv[k]);
            return 2;
        }
    }
    model_init(&state);
    for (long sequence = 0; (found = scanf("%ld", &steps)) == 1; ++sequence) {
        model_reset(&state);
        if (steps < 1) {
            fprintf(stderr, "sequence %ld: %ld steps, expected at least 1\n", sequence, steps);
            return 2;
        }
        for (long t = 0; t < steps; ++t) {
            if (!read_step(as_codes, x)) {
                fprintf(stderr, "sequence %ld, step %ld: expected %d numbers%s\n", sequence, t, MODEL_INPUT_SIZE,
                        as_codes ? " within the range of a code" : "");
                return 2;
            }
            model_step(&state, x);
            if (with_trace) {
                print_states(&state);
            }
        }
        print_result(&state, with_logits);
    }
    if (found != EOF) {
        fprintf(stderr, "expected a number of steps\n");
        return 2;
    }
    return 0;
}
