#include "lstm_int8.h"

#include "bg_smooth.h"

/* Four products a turn, indexed from one register: what the compilers make the most of. */
static int32_t dot(const int8_t *weights, const int8_t *x, int32_t count) {
    int32_t sum = 0;
    int32_t k = 0;
    for (; k < count - 3; k += 4) {
        sum += weights[k] * x[k];
        sum += weights[k + 1] * x[k + 1];
        sum += weights[k + 2] * x[k + 2];
        sum += weights[k + 3] * x[k + 3];
    }
    for (; k < count; ++k) {
        sum += weights[k] * x[k];
    }
    return sum;
}

static int32_t gate_value(const lstm_int8 *net, int32_t gate, int32_t unit, const int8_t *x, const int8_t *h) {
    int32_t row = gate * net->units + unit;
    int32_t sum = net->mult_ih[gate] * dot(net->w_ih + row * net->inputs, x, net->inputs) +
                  net->mult_hh[gate] * dot(net->w_hh + row * net->units, h, net->units);
    return bg_smooth_here(bg_round_shift32(sum, net->shift[gate]) + net->bias[row]);
}

void lstm_int8_step(const lstm_int8 *net, const int8_t *x, int8_t *h, int16_t *c) {
    int8_t *next = h + net->units;
    int32_t last = net->gates - 1;
    for (int32_t j = 0; j < net->units; ++j) {
        int32_t i = gate_value(net, 0, j, x, h);
        int32_t g = 2 * gate_value(net, last - 1, j, x, h) - BG_ONE;
        int32_t o = gate_value(net, last, j, x, h);
        int32_t cell, scale;
        if (net->gates == 4) {
            cell = bg_round_shift32(gate_value(net, 1, j, x, h) * c[j] + bg_floor_shift32(i * g, 4), 15);
            scale = 32;
        } else {
            cell = bg_round_shift32((BG_ONE - i) * c[j] + i * g, 15);
            scale = 2;
        }
        c[j] = bg_clip(cell, 32767);
        next[j] = (int8_t)bg_clip(bg_round_shift32(o * (2 * bg_smooth_here(scale * c[j]) - BG_ONE), 23), 127);
    }
    for (int32_t j = 0; j < net->units; ++j) {
        h[j] = next[j];
    }
}
