/* SimdModel.run: whole sequences through all layers, from features to states and logits. */
#include <stdlib.h>
#include <string.h>

#include "native_simd.h"

const char bg_native_simd_run_doc[] =
    "run(x, lengths, directions, h, c, logits, crew=None)\n\n"
    "Runs x (B, T, I) float32 from the zero state; lengths (B,) int32; directions: for each layer 1 or 2. h and c: for\n"
    "each layer and direction a cleared (B, T, H) int16 or None; logits (B, classes) int32 or None. Returns False, with\n"
    "results that mean nothing, if a feature is not finite.";

enum { MAX_FLAT = 255, CODES_BYTES = 64 << 20 };

/* Everything of one run; sequences first to first + n are under way. */
typedef struct {
    const bg_simd_model *model;
    const float *x;
    const int32_t *lengths;
    int16_t *h[MAX_FLAT], *c[MAX_FLAT];
    uint8_t directions[MAX_FLAT];
    int32_t *logits;
    Py_ssize_t batch, steps;
    int32_t n_layers, widest; /* widest: most codes of a step between two layers */
    int32_t group;            /* sequences at a time */
    char *memory;
    size_t bytes;             /* of memory, which comes with so many */
    int16_t *codes[2], *turn, *states, *ends;
    bg_crew *crew;
    bg_simd_work works[BG_CREW_MOST];
} Run;

static int32_t width_of(const Run *run, int flat, int layer) {
    int32_t width = 0;
    for (int d = 0; d < run->directions[layer]; ++d) {
        width += run->model->layers[flat + d].size;
    }
    return width;
}

static int make_room(Run *run) {
    int32_t inputs = run->model->plain->input_size;
    run->widest = inputs;
    for (int layer = 0, flat = 0; layer < run->n_layers; flat += run->directions[layer++]) {
        int32_t width = width_of(run, flat, layer);
        run->widest = width > run->widest ? width : run->widest;
    }
    int64_t sequence = (int64_t)run->steps * run->widest * (int64_t)sizeof(int16_t);
    int64_t fitting = CODES_BYTES / (sequence + 1);
    run->group = fitting < 1 ? 1 : fitting < BG_SIMD_SEQUENCES ? (int32_t)fitting : BG_SIMD_SEQUENCES;
    run->group = run->batch < run->group ? (int32_t)run->batch : run->group;
    int32_t vectors = bg_simd_vectors(run->model, (int64_t)run->group * run->steps);
    vectors = vectors < run->group ? run->group : vectors;
    size_t codes = ((size_t)(sequence * run->group) + 63u) & ~(size_t)63u;
    size_t states = ((size_t)run->group * 3 * ((size_t)run->widest + 2 * BG_SIMD_UNITS) * sizeof(int16_t) + 63u) &
                    ~(size_t)63u;
    size_t works = (size_t)bg_simd_workers(run->model, run->crew) * bg_simd_work_size(run->model, vectors);
    size_t bytes = 3 * codes + 2 * states + works + 64;
    if (run->memory == NULL || run->bytes < bytes) {
        free(run->memory);
        run->memory = malloc(bytes);
        run->bytes = bytes;
    }
    if (run->memory == NULL) {
        return -1;
    }
    char *at = run->memory + (64 - (uintptr_t)run->memory % 64) % 64;
    run->codes[0] = (int16_t *)(void *)at;
    run->codes[1] = (int16_t *)(void *)(at + codes);
    run->turn = (int16_t *)(void *)(at + 2 * codes);
    run->states = (int16_t *)(void *)(at + 3 * codes);
    run->ends = (int16_t *)(void *)(at + 3 * codes + states);
    bg_simd_works_place(run->model, vectors, run->crew, at + 3 * codes + 2 * states, run->works);
    return 0;
}

static int quantize_group(const Run *run, Py_ssize_t first, int32_t n) {
    const bg_simd_model *model = run->model;
    int32_t inputs = model->plain->input_size;
    int is_finite = 1;
    for (Py_ssize_t row = 0; row < n * run->steps; ++row) {
        const float *x = run->x + (first * run->steps + row) * inputs;
        is_finite &= model->kernel->quantize(model->mean, model->gain, inputs, model->plain->state_bits, x,
                                             run->codes[0] + row * inputs);
    }
    return is_finite;
}

/* Rows before the ends, size codes each, to another array. */
static void copy_rows(const Run *run, const int32_t *lengths, int32_t n, const int16_t *from, int16_t *to,
                      size_t to_stride, size_t size) {
    for (Py_ssize_t b = 0; b < n; ++b) {
        for (int32_t t = 0; t < lengths[b]; ++t) {
            size_t row = (size_t)(b * run->steps + t);
            memcpy(to + row * to_stride, from + row * size, size * sizeof *from);
        }
    }
}

/* All directions of one layer; returns its hidden codes, width codes a step. *x stays valid until the next layer. */
static const int16_t *run_directions(Run *run, int layer, int flat, const int16_t *x, size_t x_stride,
                                     Py_ssize_t first, int32_t n) {
    int16_t *joint = run->codes[(layer + 1) % 2];
    size_t width = (size_t)width_of(run, flat, layer), at = 0;
    const int32_t *lengths = run->lengths + first;
    for (int d = 0; d < run->directions[layer]; ++d) {
        const bg_simd_layer *l = &run->model->layers[flat + d];
        size_t size = (size_t)l->size, begin = (size_t)(first * run->steps) * size;
        int16_t *given = run->h[flat + d] == NULL ? NULL : run->h[flat + d] + begin;
        int16_t *own = run->directions[layer] == 1 ? joint : run->turn;
        bg_simd_output output = {given != NULL ? given : own, run->c[flat + d] ? run->c[flat + d] + begin : NULL, size,
                                 size};
        bg_simd_layer_run(run->model, run->works, flat + d, d == 1, n, (int32_t)run->steps, lengths, x, x_stride,
                          run->states, &output);
        for (int32_t b = 0; b < n; ++b) {
            memcpy(run->ends + (size_t)b * (size_t)run->widest + at, run->states + (size_t)b * (size_t)l->state_size,
                   size * sizeof *run->ends);
        }
        if (run->directions[layer] == 1) {
            return output.h;
        }
        copy_rows(run, lengths, n, output.h, joint + at, width, size);
        at += size;
    }
    return joint;
}

static int run_group(Run *run, Py_ssize_t first, int32_t n) {
    const bg_model *plain = run->model->plain;
    if (!quantize_group(run, first, n)) {
        return 0;
    }
    const int16_t *x = run->codes[0];
    size_t x_stride = (size_t)plain->input_size;
    for (int32_t b = 0; b < n && run->n_layers == 0; ++b) {
        size_t last = (size_t)(b * run->steps + run->lengths[first + b] - 1);
        memcpy(run->ends + (size_t)b * (size_t)run->widest, x + last * x_stride, x_stride * sizeof *x);
    }
    for (int layer = 0, flat = 0; layer < run->n_layers; flat += run->directions[layer++]) {
        x = run_directions(run, layer, flat, x, x_stride, first, n);
        x_stride = (size_t)width_of(run, flat, layer);
    }
    if (run->logits != NULL) {
        bg_simd_logits(run->model, run->works, n, run->ends, (size_t)run->widest,
                       run->logits + first * plain->readout->weight.rows);
    }
    return 1;
}

/* Directions by layer; the flat layers that they make up must be those of the model and fit together. */
static int read_directions(Run *run, PyObject *directions) {
    const bg_model *plain = run->model->plain;
    Py_ssize_t n = PyTuple_Size(directions);
    int flat = 0, reaches = plain->input_size;
    for (Py_ssize_t k = 0; k < n && k < MAX_FLAT; ++k) {
        long count = PyLong_AsLong(PyTuple_GetItem(directions, k));
        if (count < 1 || count > 2 || flat + count > plain->n_layers) {
            break;
        }
        run->directions[k] = (uint8_t)count;
        int width = 0;
        for (int d = 0; d < count; ++d, ++flat) {
            width += plain->layers[flat].w_hh.columns;
            if (plain->layers[flat].w_ih.columns != reaches) {
                flat = MAX_FLAT + 1;
            }
        }
        reaches = width;
    }
    if (PyErr_Occurred() == NULL && (flat != plain->n_layers || n > MAX_FLAT)) {
        PyErr_SetString(PyExc_ValueError, "directions: not those of the model");
    }
    run->n_layers = (int32_t)n;
    return PyErr_Occurred() == NULL ? 0 : -1;
}

/* The arrays of states, None where not wanted; *held counts the views to release. */
static int read_states(const Run *run, PyObject *arrays, int16_t **to, Py_buffer *views, int *held, const char *what) {
    int n = run->model->plain->n_layers;
    if (!PyTuple_Check(arrays) || PyTuple_Size(arrays) != n) {
        PyErr_Format(PyExc_ValueError, "%s: not one array or None per layer and direction", what);
        return -1;
    }
    for (int k = 0; k < n; ++k) {
        PyObject *array = PyTuple_GetItem(arrays, k);
        Py_ssize_t shape[3] = {run->batch, run->steps, run->model->layers[k].size};
        to[k] = NULL;
        if (array != Py_None) {
            if (bg_native_array(array, &views[*held], 'h', 2, 3, shape, 1, what) < 0) {
                return -1;
            }
            to[k] = views[(*held)++].buf;
        }
    }
    return 0;
}

/* Only the holder of the interpreter's lock touches the spare memory, so two runs never share it. */
static void take_spare(SimdModel *self, Run *run) {
    run->memory = self->spare;
    run->bytes = self->spare_bytes;
    self->spare = NULL;
}

static void give_spare(SimdModel *self, Run *run) {
    if (self->spare == NULL && run->bytes <= CODES_BYTES) {
        self->spare = run->memory;
        self->spare_bytes = run->bytes;
    } else {
        free(run->memory);
    }
}

static PyObject *run_all(SimdModel *self, Run *run) {
    int is_good = 1, failed;
    take_spare(self, run);
    Py_BEGIN_ALLOW_THREADS
    failed = make_room(run);
    for (Py_ssize_t b = 0; failed == 0 && is_good && b < run->batch; b += run->group) {
        is_good = run_group(run, b, (int32_t)(run->batch - b < run->group ? run->batch - b : run->group));
    }
    Py_END_ALLOW_THREADS
    give_spare(self, run);
    return failed < 0 ? PyErr_NoMemory() : PyBool_FromLong(is_good);
}

static int read_arrays(Run *run, PyObject **sources, Py_buffer *views, int *held) {
    const bg_model *plain = run->model->plain;
    Py_ssize_t in[3] = {-1, -1, plain->input_size};
    if (bg_native_array(sources[0], &views[*held], 'f', 4, 3, in, 0, "x") < 0) {
        return -1;
    }
    run->x = views[*held].buf;
    run->batch = views[*held].shape[0];
    run->steps = views[(*held)++].shape[1];
    if (run->batch < 1 || run->steps < 1 || run->steps > INT32_MAX / 4) {
        PyErr_SetString(PyExc_ValueError, "x: no sequence, no step, or too many");
        return -1;
    }
    if (bg_native_array(sources[1], &views[*held], 'i', 4, 1, &run->batch, 0, "lengths") < 0) {
        return -1;
    }
    run->lengths = views[(*held)++].buf;
    for (Py_ssize_t b = 0; b < run->batch; ++b) {
        if (run->lengths[b] < 1 || run->lengths[b] > run->steps) {
            PyErr_SetString(PyExc_ValueError, "lengths: outside 1 to T");
            return -1;
        }
    }
    if (read_directions(run, sources[2]) < 0 || read_states(run, sources[3], run->h, views, held, "h") < 0 ||
        read_states(run, sources[4], run->c, views, held, "c") < 0) {
        return -1;
    }
    if (sources[5] != Py_None) {
        Py_ssize_t out[2] = {run->batch, plain->readout == NULL ? -1 : plain->readout->weight.rows};
        if (plain->readout == NULL) {
            PyErr_SetString(PyExc_ValueError, "logits: the model has no readout");
            return -1;
        }
        if (bg_native_array(sources[5], &views[*held], 'i', 4, 2, out, 1, "logits") < 0) {
            return -1;
        }
        run->logits = views[(*held)++].buf;
    }
    return 0;
}

PyObject *bg_native_simd_run(PyObject *object, PyObject *args) {
    SimdModel *self = (SimdModel *)object;
    PyObject *sources[6], *crew = Py_None, *result = NULL;
    int held = 0;
    if (!PyArg_ParseTuple(args, "OOO!OOO|O", &sources[0], &sources[1], &PyTuple_Type, &sources[2], &sources[3],
                          &sources[4], &sources[5], &crew)) {
        return NULL;
    }
    Run *run = PyMem_Calloc(1, sizeof *run);
    Py_buffer *views = PyMem_Calloc(3 + 2 * (size_t)self->model.plain->n_layers, sizeof *views);
    if (run == NULL || views == NULL) {
        PyErr_NoMemory();
    } else {
        run->model = &self->model;
        if (bg_native_crew(Py_TYPE(object), crew, &run->crew) == 0 && read_arrays(run, sources, views, &held) == 0) {
            result = run_all(self, run);
        }
    }
    while (held > 0) {
        PyBuffer_Release(&views[--held]);
    }
    PyMem_Free(views);
    PyMem_Free(run);
    return result;
}
