/*
 * Example sketch: raw features from the serial port, the predicted class back.
 *
 * For each step send MODEL_INPUT_SIZE floats, 4 bytes each, low byte first; in Python, with pyserial:
 *     port.write(x.astype("<f4").tobytes())
 * A step is answered by one line: the class and all integer logits, or the output of a model without classes.
 * A pause of one second begins a new sequence. For a sensor, replace read_features.
 */
#include <Arduino.h>

#include <model.h>

static model_state state;

/* Fills features in the units of the training data; false if nothing came for a second. */
static bool read_features(float *features) {
    const size_t size = MODEL_INPUT_SIZE * sizeof *features;
    return Serial.readBytes(reinterpret_cast<char *>(features), size) == size;
}

static void print_result() {
#if MODEL_CLASSES > 0
    int32_t logits[MODEL_CLASSES];
    model_logits(&state, logits);
    Serial.print(static_cast<long>(model_predict(&state)));
    for (int32_t k = 0; k < MODEL_CLASSES; ++k) {
        Serial.print(' ');
        Serial.print(static_cast<long>(logits[k]));
    }
#else
    for (int32_t k = 0; k < MODEL_OUTPUT_SIZE; ++k) {
        Serial.print(' ');
        Serial.print(static_cast<long>(model_output(&state)[k]));
    }
#endif
    Serial.println();
}

void setup() {
    Serial.begin(115200);
    model_init(&state);
}

void loop() {
    float features[MODEL_INPUT_SIZE];
    int16_t x[MODEL_INPUT_SIZE];
    if (!read_features(features)) {
        model_reset(&state);
        return;
    }
    model_quantize(features, x);
    model_step(&state, x);
    print_result();
}
