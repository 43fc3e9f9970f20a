#include "bg_model.h"

#include "bg_copy.h"

int32_t bg_model_state_size(const bg_model *model) {
    int32_t size = model->n_layers ? 0 : model->input_size;
    for (int32_t k = 0; k < model->n_layers; ++k) {
        size += model->layers[k].state_size;
    }
    return size;
}

void bg_model_reset(const bg_model *model, int16_t *state) {
    bg_clear_codes(state, bg_model_state_size(model));
}

void bg_model_step(const bg_model *model, int16_t *state, int16_t *scratch, const int16_t *x) {
    if (model->n_layers == 0) {
        bg_copy_codes(state, x, model->input_size);
    }
    for (int32_t k = 0; k < model->n_layers; ++k) {
        const bg_layer *layer = &model->layers[k];
        layer->step(layer, model->state_bits, x, state, state + layer->w_hh.columns, scratch);
        x = state;
        state += layer->state_size;
    }
}

const int16_t *bg_model_output(const bg_model *model, const int16_t *state) {
    for (int32_t k = 1; k < model->n_layers; ++k) {
        state += model->layers[k - 1].state_size;
    }
    return state;
}
