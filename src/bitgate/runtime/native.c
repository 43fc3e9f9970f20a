/* Methods of bitgate._native.Model: runs over arrays of the caller. */
#include "native.h"

#include <string.h>

#include "bg_model.h"
#include "bg_readout.h"
#include "bg_shift.h"

int bg_native_array(PyObject *source, Py_buffer *view, char type, Py_ssize_t item_size, int ndim,
                    const Py_ssize_t *shape, int writable, const char *what) {
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(source, view, flags) < 0) {
        return -1;
    }
    int good = view->ndim == ndim && view->itemsize == item_size && view->format != NULL && view->format[0] == type;
    for (int k = 0; good && k < ndim; ++k) {
        good = shape[k] < 0 || view->shape[k] == shape[k];
    }
    if (!good || ((uintptr_t)view->buf % (uintptr_t)item_size) != 0) {
        PyBuffer_Release(view);
        PyErr_Format(PyExc_ValueError, "%s: an array of the wrong type or shape", what);
        return -1;
    }
    return 0;
}

/* Whether all values lie within +-limit; sets an exception if not. */
static int within(const Py_buffer *view, int32_t limit, const char *what) {
    const int16_t *values = view->buf;
    for (Py_ssize_t k = 0; k < view->len / 2; ++k) {
        if (values[k] > limit || values[k] < -limit) {
            PyErr_Format(PyExc_ValueError, "%s: code %d is outside +-%d", what, values[k], (int)limit);
            return 0;
        }
    }
    return 1;
}

/* One direction of one layer over whole sequences; c may be NULL. work holds state and scratch of one sequence. */
static void run_sequences(const Model *self, const bg_layer *layer, int reverse, const Py_buffer *x,
                          const int32_t *lengths, int16_t *h, int16_t *c, int16_t *work) {
    Py_ssize_t batch = x->shape[0], steps = x->shape[1], inputs = x->shape[2], size = layer->w_hh.columns;
    size_t bytes = (size_t)size * sizeof *work, state = (size_t)layer->state_size;
    memset(h, 0, (size_t)(batch * steps) * bytes);
    if (c != NULL) {
        memset(c, 0, (size_t)(batch * steps) * bytes);
    }
    for (Py_ssize_t b = 0; b < batch; ++b) {
        memset(work, 0, state * sizeof *work);
        for (Py_ssize_t k = 0; k < lengths[b]; ++k) {
            Py_ssize_t at = b * steps + (reverse ? lengths[b] - 1 - k : k);
            const int16_t *input = (const int16_t *)x->buf + at * inputs;
            layer->step(layer, self->model.state_bits, input, work, work + size, work + state);
            memcpy(h + at * size, work, bytes);
            if (c != NULL) {
                memcpy(c + at * size, work + size, bytes);
            }
        }
    }
}

static int check_lengths(const Py_buffer *lengths, Py_ssize_t steps) {
    const int32_t *values = lengths->buf;
    for (Py_ssize_t b = 0; b < lengths->shape[0]; ++b) {
        if (values[b] < 1 || values[b] > steps) {
            PyErr_SetString(PyExc_ValueError, "lengths: outside 1 to T");
            return 0;
        }
    }
    return 1;
}

PyDoc_STRVAR(run_layer_doc, "run_layer(index, reverse, x, lengths, h, c)\n\n"
                            "Runs one layer over x (B, T, I) int16 from the zero state; lengths (B,) int32. Writes h\n"
                            "and, unless None, c (B, T, H) int16, zero behind the ends.");

static PyObject *run_layer(PyObject *object, PyObject *args) {
    Model *self = (Model *)object;
    PyObject *sources[4], *result = NULL;
    Py_buffer views[4];
    int index, reverse, held = 0;
    if (!PyArg_ParseTuple(args, "ipOOOO", &index, &reverse, &sources[0], &sources[1], &sources[2], &sources[3])) {
        return NULL;
    }
    if (index < 0 || index >= self->model.n_layers) {
        PyErr_SetString(PyExc_ValueError, "run_layer: no such layer");
        return NULL;
    }
    const bg_layer *layer = &self->layers[index];
    Py_ssize_t size = layer->w_hh.columns, in[3] = {-1, -1, layer->w_ih.columns};
    int16_t *work = PyMem_Malloc(((size_t)layer->state_size + (size_t)size) * sizeof *work);
    if (work == NULL) {
        return PyErr_NoMemory();
    }
    if (bg_native_array(sources[0], &views[0], 'h', 2, 3, in, 0, "x") < 0) {
        goto end;
    }
    held = 1;
    Py_ssize_t out[3] = {views[0].shape[0], views[0].shape[1], size};
    if (bg_native_array(sources[1], &views[1], 'i', 4, 1, out, 0, "lengths") < 0) {
        goto end;
    }
    held = 2;
    for (int k = 2; k < (sources[3] == Py_None ? 3 : 4); ++k, ++held) {
        if (bg_native_array(sources[k], &views[k], 'h', 2, 3, out, 1, k == 2 ? "h" : "c") < 0) {
            goto end;
        }
    }
    if (!check_lengths(&views[1], out[1]) || !within(&views[0], bg_code_limit(self->model.state_bits), "x")) {
        goto end;
    }
    Py_BEGIN_ALLOW_THREADS
    run_sequences(self, layer, reverse, &views[0], views[1].buf, views[2].buf, held == 4 ? views[3].buf : NULL, work);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
end:
    while (held > 0) {
        PyBuffer_Release(&views[--held]);
    }
    PyMem_Free(work);
    return result;
}

static int32_t widest_layer(const bg_model *model) {
    int32_t widest = 1;
    for (int k = 0; k < model->n_layers; ++k) {
        widest = model->layers[k].w_hh.columns > widest ? model->layers[k].w_hh.columns : widest;
    }
    return widest;
}

PyDoc_STRVAR(step_doc, "step(state, x)\n\n"
                       "One step of B streams: state (B, S) int16, changed in place; x (B, I) int16.");

static PyObject *step(PyObject *object, PyObject *args) {
    Model *self = (Model *)object;
    PyObject *state_source, *x_source, *result = NULL;
    Py_buffer state, x;
    if (!PyArg_ParseTuple(args, "OO", &state_source, &x_source)) {
        return NULL;
    }
    if (!self->chained) {
        PyErr_SetString(PyExc_ValueError, "step: a bidirectional model needs whole sequences");
        return NULL;
    }
    Py_ssize_t shape[2] = {-1, bg_model_state_size(&self->model)}, inputs[2] = {-1, self->model.input_size};
    if (bg_native_array(state_source, &state, 'h', 2, 2, shape, 1, "state") < 0) {
        return NULL;
    }
    inputs[0] = state.shape[0];
    if (bg_native_array(x_source, &x, 'h', 2, 2, inputs, 0, "x") < 0) {
        PyBuffer_Release(&state);
        return NULL;
    }
    int16_t *scratch = PyMem_Malloc((size_t)widest_layer(&self->model) * sizeof *scratch);
    if (scratch == NULL) {
        PyErr_NoMemory();
    } else if (within(&x, bg_code_limit(self->model.state_bits), "x")) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t b = 0; b < inputs[0]; ++b) {
            bg_model_step(&self->model, (int16_t *)state.buf + b * shape[1], scratch,
                          (const int16_t *)x.buf + b * inputs[1]);
        }
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyMem_Free(scratch);
    PyBuffer_Release(&x);
    PyBuffer_Release(&state);
    return result;
}

PyDoc_STRVAR(logits_doc, "logits(h, out)\n\nInteger logits of h (B, H) int16 into out (B, classes) int32.");

static PyObject *logits(PyObject *object, PyObject *args) {
    Model *self = (Model *)object;
    const bg_readout *readout = self->model.readout;
    PyObject *h_source, *out_source, *result = NULL;
    Py_buffer h, out;
    if (!PyArg_ParseTuple(args, "OO", &h_source, &out_source)) {
        return NULL;
    }
    if (readout == NULL) {
        PyErr_SetString(PyExc_ValueError, "logits: the model has no readout");
        return NULL;
    }
    Py_ssize_t in_shape[2] = {-1, readout->weight.columns}, out_shape[2] = {-1, readout->weight.rows};
    if (bg_native_array(h_source, &h, 'h', 2, 2, in_shape, 0, "h") < 0) {
        return NULL;
    }
    out_shape[0] = h.shape[0];
    if (bg_native_array(out_source, &out, 'i', 4, 2, out_shape, 1, "out") == 0) {
        if (within(&h, bg_code_limit(self->model.state_bits), "h")) {
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t k = 0; k < out_shape[0] * out_shape[1]; ++k) {
                ((int32_t *)out.buf)[k] = bg_readout_logit(readout, (int32_t)(k % out_shape[1]),
                                                           (const int16_t *)h.buf + k / out_shape[1] * in_shape[1]);
            }
            Py_END_ALLOW_THREADS
            result = Py_NewRef(Py_None);
        }
        PyBuffer_Release(&out);
    }
    PyBuffer_Release(&h);
    return result;
}

static PyMethodDef model_methods[] = {
    {"run_layer", run_layer, METH_VARARGS, run_layer_doc},
    {"step", step, METH_VARARGS, step_doc},
    {"logits", logits, METH_VARARGS, logits_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot model_slots[] = {
    {Py_tp_new, bg_native_new},
    {Py_tp_dealloc, bg_native_dealloc},
    {Py_tp_methods, model_methods},
    {Py_tp_doc, "Model(state_bits, input_size, layers, readout): constants of a frozen model in the C kernels."},
    {0, NULL},
};

static PyType_Spec model_spec = {
    .name = "bitgate._native.Model",
    .basicsize = sizeof(Model),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = model_slots,
};

static int fill_module(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &model_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "bitgate._native",
    .m_doc = "The C kernels of bitgate over arrays of Python.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__native(void) {
    return PyModuleDef_Init(&module_definition);
}
