/* Streams: the states of streams that step side by side, and the whole step in one call from Python. */
#include <stdlib.h>
#include <string.h>

#include "native_simd.h"

typedef struct {
    PyObject_HEAD
    SimdModel *owner;
    PyObject *crew;             /* a Crew or None */
    PyObject *empty;            /* numpy.empty */
    PyObject *dtype;            /* of the results */
    PyObject *one_shape, *shape; /* of a result for x (I,) and (B, I) */
    Py_ssize_t n, outputs;
    int is_busy;
    char *memory;
    int16_t *states, *codes;
    bg_simd_work works[BG_CREW_MOST];
} Streams;

static size_t up(size_t bytes) { return (bytes + 63u) & ~(size_t)63u; }

static int make_room(Streams *self, bg_crew *crew) {
    const bg_simd_model *model = &self->owner->model;
    int32_t vectors = bg_simd_vectors(model, self->n);
    size_t n = (size_t)self->n, inputs = (size_t)model->plain->input_size;
    size_t states = up(n * bg_simd_state_size(model) * sizeof(int16_t)), codes = up(n * inputs * sizeof(int16_t));
    size_t works = (size_t)bg_simd_workers(model, crew) * bg_simd_work_size(model, vectors);
    size_t bytes = states + codes + works + 64;
    self->memory = calloc(1, bytes);
    if (self->memory == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    char *at = self->memory + (64 - (uintptr_t)self->memory % 64) % 64;
    self->states = (int16_t *)(void *)at;
    self->codes = (int16_t *)(void *)(at + states);
    bg_simd_works_place(model, vectors, crew, at + states + codes, self->works);
    return 0;
}

static PyObject *new_streams(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    PyObject *owner, *empty, *dtype, *crew = Py_None;
    bg_crew *helpers;
    Py_ssize_t n;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Streams takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OnOO|O", &owner, &n, &empty, &dtype, &crew) ||
        !bg_native_instance(type, owner, "SimdModel") || bg_native_crew(type, crew, &helpers) < 0) {
        return NULL;
    }
    const bg_model *plain = ((SimdModel *)owner)->model.plain;
    if (n < 1 || n > 1 << 24 || !((Model *)((SimdModel *)owner)->plain)->chained) {
        PyErr_SetString(PyExc_ValueError, "Streams: no number of streams, or a bidirectional model");
        return NULL;
    }
    Streams *self = (Streams *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) {
        return NULL;
    }
    int32_t units = plain->n_layers ? plain->layers[plain->n_layers - 1].w_hh.columns : plain->input_size;
    self->owner = (SimdModel *)Py_NewRef(owner);
    self->crew = Py_NewRef(crew);
    self->empty = Py_NewRef(empty);
    self->dtype = Py_NewRef(dtype);
    self->n = n;
    self->outputs = plain->readout != NULL ? plain->readout->weight.rows : units;
    self->one_shape = PyLong_FromSsize_t(self->outputs);
    self->shape = Py_BuildValue("(nn)", n, self->outputs);
    if (self->one_shape == NULL || self->shape == NULL || make_room(self, helpers) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void free_streams(PyObject *object) {
    Streams *self = (Streams *)object;
    PyTypeObject *type = Py_TYPE(object);
    free(self->memory);
    Py_XDECREF((PyObject *)self->owner);
    Py_XDECREF(self->crew);
    Py_XDECREF(self->empty);
    Py_XDECREF(self->dtype);
    Py_XDECREF(self->one_shape);
    Py_XDECREF(self->shape);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* All streams from the codes that are in place: results into out, int32 logits or int16 hidden codes. */
static void step_all(Streams *self, void *out) {
    const bg_simd_model *model = &self->owner->model;
    size_t state_size = bg_simd_state_size(model), inputs = (size_t)model->plain->input_size;
    size_t outputs = (size_t)self->outputs;
    int32_t most = self->works->vectors;
    for (Py_ssize_t b = 0; b < self->n; b += most) {
        int32_t n = (int32_t)(self->n - b < most ? self->n - b : most);
        int16_t *states = self->states + (size_t)b * state_size;
        const int16_t *h = bg_simd_step(model, self->works, n, self->codes + (size_t)b * inputs, states);
        if (model->plain->readout != NULL) {
            bg_simd_logits(model, self->works, n, h, state_size, (int32_t *)out + (size_t)b * outputs);
            continue;
        }
        for (int32_t k = 0; k < n; ++k) {
            memcpy((int16_t *)out + ((size_t)b + (size_t)k) * outputs, h + (size_t)k * state_size,
                   outputs * sizeof *h);
        }
    }
}

/* Fills *view if source is a contiguous array of the type with n rows of columns, or one row without its axis. */
static int take_rows(PyObject *source, Py_buffer *view, int writable, char type, Py_ssize_t n, Py_ssize_t columns) {
    if (PyObject_GetBuffer(source, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) < 0) {
        PyErr_Clear();
        return 0;
    }
    int fits = view->format != NULL && view->format[0] == type && view->format[1] == 0 &&
               (uintptr_t)view->buf % (uintptr_t)view->itemsize == 0 &&
               ((view->ndim == 1 && n == 1 && view->shape[0] == columns) ||
                (view->ndim == 2 && view->shape[0] == n && view->shape[1] == columns));
    if (!fits) {
        PyBuffer_Release(view);
    }
    return fits;
}

static void quantize_and_step(Streams *self, const float *x, void *out, int *is_finite) {
    const bg_simd_model *model = &self->owner->model;
    int32_t inputs = model->plain->input_size;
    *is_finite = 1;
    for (Py_ssize_t b = 0; b < self->n; ++b) {
        size_t at = (size_t)b * (size_t)inputs;
        *is_finite &= model->kernel->quantize(model->mean, model->gain, inputs, model->plain->state_bits, x + at,
                                              self->codes + at);
    }
    if (*is_finite) {
        step_all(self, out);
    }
}

static int step_into(Streams *self, const Py_buffer *x, const Py_buffer *out) {
    int is_finite;
    self->is_busy = 1;
    if (self->owner->model.products * (int64_t)self->n < BG_NATIVE_TRIVIAL) {
        quantize_and_step(self, x->buf, out->buf, &is_finite);
    } else {
        Py_BEGIN_ALLOW_THREADS
        quantize_and_step(self, x->buf, out->buf, &is_finite);
        Py_END_ALLOW_THREADS
    }
    self->is_busy = 0;
    return is_finite;
}

PyDoc_STRVAR(step_doc, "step(x, out=None)\n\n"
                       "One step of features x, float32 (I,) or (B, I); the result, a new array or out. Returns\n"
                       "NotImplemented, and changes nothing, if an array does not fit or a feature is not finite.");

static PyObject *step(PyObject *object, PyObject *const *args, Py_ssize_t n_args) {
    Streams *self = (Streams *)object;
    Py_buffer x, view;
    if (n_args < 1 || n_args > 2) {
        PyErr_SetString(PyExc_TypeError, "step: expected x and perhaps out");
        return NULL;
    }
    if (self->is_busy) {
        PyErr_SetString(PyExc_RuntimeError, "step: another thread is stepping these streams; give each its own session");
        return NULL;
    }
    const bg_model *plain = self->owner->model.plain;
    if (!take_rows(args[0], &x, 0, 'f', self->n, plain->input_size)) {
        return Py_NewRef(Py_NotImplemented);
    }
    PyObject *out = n_args == 2 && args[1] != Py_None
                        ? Py_NewRef(args[1])
                        : PyObject_CallFunctionObjArgs(self->empty, x.ndim == 1 ? self->one_shape : self->shape,
                                                       self->dtype, NULL);
    PyObject *result = NULL;
    if (out != NULL) {
        char type = plain->readout != NULL ? 'i' : 'h';
        result = Py_NewRef(Py_NotImplemented);
        if (take_rows(out, &view, 1, type, self->n, self->outputs)) {
            if (view.ndim == x.ndim && step_into(self, &x, &view)) {
                Py_DECREF(result);
                result = Py_NewRef(out);
            }
            PyBuffer_Release(&view);
        }
        Py_DECREF(out);
    }
    PyBuffer_Release(&x);
    return result;
}

/* Copies size codes one way or the other, and moves both places on. */
static void move(int16_t **rows, int16_t **state, int32_t size, int32_t padded, int is_save) {
    memcpy(is_save ? *rows : *state, is_save ? *state : *rows, (size_t)size * sizeof **rows);
    *rows += size;
    *state += padded;
}

/* Between the padded states and rows of a caller, which bg_model.h lays out. */
static void copy_states(const Streams *self, int16_t *rows, int is_save) {
    const bg_simd_model *model = &self->owner->model;
    size_t state_size = bg_simd_state_size(model);
    for (Py_ssize_t b = 0; b < self->n; ++b) {
        int16_t *state = self->states + (size_t)b * state_size;
        if (model->plain->n_layers == 0) {
            move(&rows, &state, model->plain->input_size, 0, is_save);
        }
        for (int k = 0; k < model->plain->n_layers; ++k) {
            const bg_simd_layer *l = &model->layers[k];
            for (int part = 0; part < (l->skip == NULL ? 2 : 3); ++part) {
                move(&rows, &state, l->size, l->padded, is_save);
            }
            if (l->skip != NULL) {
                move(&rows, &state, 1, BG_SIMD_UNITS, is_save);
            }
        }
    }
}

static PyObject *move_states(Streams *self, PyObject *array, int is_save) {
    Py_buffer view;
    Py_ssize_t shape[2] = {self->n, bg_model_state_size(self->owner->model.plain)};
    if (self->is_busy) {
        PyErr_SetString(PyExc_RuntimeError, "state: another thread is stepping these streams");
        return NULL;
    }
    if (bg_native_array(array, &view, 'h', 2, 2, shape, is_save, "state") < 0) {
        return NULL;
    }
    copy_states(self, view.buf, is_save);
    PyBuffer_Release(&view);
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(save_doc, "save(state)\n\nCopies the states into state (B, S) int16.");

static PyObject *save(PyObject *object, PyObject *array) { return move_states((Streams *)object, array, 1); }

PyDoc_STRVAR(restore_doc, "restore(state)\n\nTakes the states from state (B, S) int16, whose range the caller checks.");

static PyObject *restore(PyObject *object, PyObject *array) { return move_states((Streams *)object, array, 0); }

static PyMethodDef methods[] = {
    {"step", (PyCFunction)(void (*)(void))step, METH_FASTCALL, step_doc},
    {"save", save, METH_O, save_doc},
    {"restore", restore, METH_O, restore_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_streams},
    {Py_tp_dealloc, free_streams},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Streams(model, n, empty, dtype, crew=None): states of n streams of a SimdModel, whose steps a Crew may share."},
    {0, NULL},
};

PyType_Spec bg_native_streams_spec = {
    .name = "bitgate._native.Streams",
    .basicsize = sizeof(Streams),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
