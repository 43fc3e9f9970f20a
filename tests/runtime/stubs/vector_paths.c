/* The vector kernels of one path against the plain kernels, without Python, for emulated processors.
 * Argument: number of the path. Prints what was compared; exit code 1 at the first difference, 2 without the path. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bg_cells.h"
#include "bg_rows.h"
#include "bg_shift.h"
#include "bg_simd_run.h"

enum { STREAMS = 9, MANY_STREAMS = 37, STEPS = 3, MOST = 1 << 16 };

static uint32_t seed = 1;

static int32_t draw(int32_t low, int32_t high) {
    seed = seed * 1664525u + 1013904223u;
    return low + (int32_t)((seed >> 8) % (uint32_t)(high - low + 1));
}

static void *zeros(size_t count, size_t size) {
    void *memory = calloc(count + 64, size);
    if (memory == NULL) {
        exit(3);
    }
    return memory;
}

static bg_matrix make_matrix(int32_t rows, int32_t columns, int bits) {
    static const int8_t ternary[4] = {-1, 0, 1, 0}, binary[2] = {-1, 1};
    static int8_t bytes[256];
    bg_matrix m = {bg_row_levels, NULL, bytes, rows, columns, (columns * bits + 7) / 8, (uint8_t)bits};
    uint8_t *codes = zeros((size_t)rows * (size_t)m.row_bytes, 1);
    for (int k = 0; k < 256; ++k) {
        bytes[k] = (int8_t)(k == 0 ? -127 : k - 128);
    }
    m.row_sum = bits == 1 ? bg_row_binary : bits == 2 ? bg_row_ternary : bg_row_levels;
    m.levels = bits == 1 ? binary : bits == 2 ? ternary : bytes;
    for (int32_t row = 0; row < rows; ++row) {
        for (int32_t j = 0; j < columns; ++j) {
            int code = draw(0, bits == 2 ? 2 : (1 << bits) - 1);
            codes[row * m.row_bytes + j * bits / 8] |= (uint8_t)(code << (j * bits % 8));
        }
    }
    m.codes = codes;
    return m;
}

static bg_layer make_layer(int32_t inputs, int32_t size, int bits, int product_bits, int state_bits) {
    static const bg_gate gates[4] = {{NULL, NULL, 0}, {NULL, NULL, 2}, {NULL, NULL, 0}, {NULL, NULL, 0}};
    static const bg_step_fn cells[3] = {bg_lstm_step, bg_coupled_lstm_step, bg_gru_step};
    int cell = draw(0, 2), n = cell == 0 ? 4 : 3, per_row = draw(0, 1);
    int32_t rows = n * size, *mult[2], *bias = zeros((size_t)rows, 4), *bias_hn = zeros((size_t)size, 4);
    uint8_t *shift = zeros(4, 1);
    int64_t largest = (int64_t)(inputs > size ? inputs : size) * (bits == 8 ? 127 : 1) * bg_code_limit((uint8_t)state_bits);
    int64_t highest = ((int64_t)1 << (product_bits == 32 ? 29 : 45)) / largest;
    int32_t most = (int32_t)(highest < 1 ? 1 : highest > INT32_MAX / 2 ? INT32_MAX / 2 : highest);
    for (int side = 0; side < 2; ++side) {
        mult[side] = zeros((size_t)rows, 4);
        for (int32_t k = 0; k < rows; ++k) {
            mult[side][k] = draw(most / 2, most) * (draw(0, 3) ? 1 : -1);
        }
    }
    for (int k = 0; k < 4; ++k) {
        shift[k] = (uint8_t)((product_bits == 32 ? 13 : 29) - draw(0, 2));
    }
    for (int32_t k = 0; k < rows; ++k) {
        bias[k] = draw(-MOST, MOST);
        bias_hn[k % size] = draw(-MOST, MOST);
    }
    return (bg_layer){.step = cells[cell],
                      .w_ih = make_matrix(rows, inputs, bits),
                      .w_hh = make_matrix(rows, size, bits),
                      .gates = gates,
                      .mult_ih = mult[0],
                      .mult_hh = mult[1],
                      .shift = shift,
                      .bias = {.q15 = bias},
                      .bias_hn = cell == 2 ? bias_hn : NULL,
                      .mult_per_row = (uint8_t)per_row,
                      .product_bits = (uint8_t)product_bits};
}

/* Steps streams side by side, by a crew if there is one; the plain kernel takes them one by one. */
static int differs(const bg_simd_kernel *kernel, int32_t inputs, int32_t size, int bits, int product_bits,
                   int state_bits, int32_t streams, int64_t int8_weights, int extensions, bg_crew *crew) {
    bg_layer layer = make_layer(inputs, size, bits, product_bits, state_bits);
    bg_model plain = {&layer, NULL, inputs, 1, (uint8_t)state_bits};
    bg_simd_model model;
    bg_simd_work works[BG_CREW_MOST];
    int16_t *x = zeros((size_t)(streams * inputs), 2), *scratch = zeros((size_t)size, 2), *states, *h, *c;
    int32_t padded = bg_simd_padded(size), limit = bg_code_limit((uint8_t)state_bits);
    if (bg_simd_pack(&model, &plain, kernel, int8_weights, extensions) < 0) {
        exit(3);
    }
#if defined(SABOTAGE)
    model.layers[0].w_hh.words[0] ^= 2;
#endif
    char *memory = zeros((size_t)bg_simd_workers(&model, crew) * bg_simd_work_size(&model, streams), 1);
    bg_simd_works_place(&model, streams, crew, memory + (64 - (uintptr_t)memory % 64) % 64, works);
    states = zeros((size_t)(streams * 2 * padded), 2);
    h = zeros((size_t)(streams * size), 2);
    c = zeros((size_t)(streams * size), 2);
    int different = 0;
    for (int t = 0; t < STEPS; ++t) {
        for (int32_t k = 0; k < streams * inputs; ++k) {
            x[k] = (int16_t)(draw(0, 9) ? draw(-limit, limit) : limit);
        }
        bg_simd_step(&model, works, streams, x, states);
        for (int32_t b = 0; b < streams; ++b) {
            layer.step(&layer, plain.state_bits, x + b * inputs, h + b * size, c + b * size, scratch);
            different |= memcmp(h + b * size, states + 2 * b * padded, (size_t)size * 2) != 0;
            different |= memcmp(c + b * size, states + (2 * b + 1) * padded, (size_t)size * 2) != 0;
        }
    }
    bg_simd_release(&model);
    return different;
}

int main(int argc, char **argv) {
    static const int widths[3] = {1, 2, 8};
    const bg_simd_kernel *kernel = bg_simd_find(argc > 1 ? atoi(argv[1]) : 0);
    if (kernel == NULL) {
        return 2;
    }
    bg_crew *crews[3] = {NULL, bg_crew_new(2, 1, 1), bg_crew_new(3, 1, 1)};
    int compared = 0;
    for (; compared < 240; ++compared) {
        int bits = widths[compared % 3], state_bits = (const int[]){8, 13, 16}[compared / 3 % 3];
        int32_t inputs = draw(1, 70), size = draw(1, 70);
        int32_t streams = compared % 7 == 0 ? MANY_STREAMS : compared % 2 ? STREAMS : draw(1, 3);
        int64_t int8_weights = compared % 4 ? 0 : 1 << 20;
        if (differs(kernel, inputs, size, bits, compared % 5 ? 64 : 32, state_bits, streams, int8_weights,
                    compared % 8 < 6, crews[compared / 4 % 3])) {
            printf("model %d differs\n", compared);
            return 1;
        }
    }
    bg_crew_free(crews[1]);
    bg_crew_free(crews[2]);
    printf("%d models equal\n", compared);
    return 0;
}
