/* SimdModel and the functions of bitgate._native that tell about the vector kernels. */
#include "native_simd.h"

#include <stdlib.h>
#include <string.h>

void *bg_native_instance(PyTypeObject *type, PyObject *argument, const char *name) {
    PyObject *module = PyType_GetModule(type);
    PyObject *wanted = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    int fits = wanted == NULL ? -1 : PyObject_IsInstance(argument, wanted);
    Py_XDECREF(wanted);
    if (fits == 0) {
        PyErr_Format(PyExc_TypeError, "expected a %s", name);
    }
    return fits == 1 ? argument : NULL;
}

static int hold_map(SimdModel *self, PyObject *mean, PyObject *gain, Py_ssize_t inputs) {
    if (bg_native_array(mean, &self->mean, 'f', 4, 1, &inputs, 0, "mean") < 0) {
        return -1;
    }
    if (bg_native_array(gain, &self->gain, 'f', 4, 1, &inputs, 0, "gain") < 0) {
        PyBuffer_Release(&self->mean);
        return -1;
    }
    self->has_map = 1;
    self->model.mean = self->mean.buf;
    self->model.gain = self->gain.buf;
    return 0;
}

static PyObject *new_model(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    PyObject *plain, *mean, *gain;
    int path, extensions = 1;
    long long int8_weights = -1;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "SimdModel takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OiOO|Lp", &plain, &path, &mean, &gain, &int8_weights, &extensions)) {
        return NULL;
    }
    int8_weights = int8_weights < 0 ? BG_SIMD_INT8_WEIGHTS : int8_weights;
    const bg_simd_kernel *kernel = bg_simd_find(path);
    if (kernel == NULL) {
        PyErr_SetString(PyExc_ValueError, "SimdModel: this processor or build lacks the path");
        return NULL;
    }
    Model *source = bg_native_instance(type, plain, "Model");
    if (source == NULL) {
        return NULL;
    }
    SimdModel *self = (SimdModel *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->plain = Py_NewRef(plain);
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = bg_simd_pack(&self->model, &source->model, kernel, int8_weights, extensions);
    Py_END_ALLOW_THREADS
    if (failed < 0) {
        PyErr_NoMemory();
    } else {
        failed = hold_map(self, mean, gain, source->model.input_size);
    }
    if (failed < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void free_model(PyObject *object) {
    SimdModel *self = (SimdModel *)object;
    PyTypeObject *type = Py_TYPE(object);
    bg_simd_release(&self->model);
    free(self->spare);
    if (self->has_map) {
        PyBuffer_Release(&self->mean);
        PyBuffer_Release(&self->gain);
    }
    Py_XDECREF(self->plain);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(multiply_doc, "multiply(layer, rounds)\n\n"
                           "Multiplies both matrices of a layer by zero codes, rounds times: what the benchmark times.\n"
                           "Returns the bits of a weight of each, as packed.");

static PyObject *multiply(PyObject *object, PyObject *args) {
    const bg_simd_model *model = &((SimdModel *)object)->model;
    int layer, rounds;
    if (!PyArg_ParseTuple(args, "ii", &layer, &rounds)) {
        return NULL;
    }
    if (layer < 0 || layer >= model->plain->n_layers || rounds < 0) {
        PyErr_SetString(PyExc_ValueError, "multiply: no such layer, or bad rounds");
        return NULL;
    }
    void *memory = malloc(bg_simd_work_size(model, 1) + 64);
    if (memory == NULL) {
        return PyErr_NoMemory();
    }
    bg_simd_work work;
    bg_simd_work_place(model, 1, (char *)memory + (64 - (uintptr_t)memory % 64) % 64, &work);
    memset(work.inputs.bytes, 0, model->widest_bytes);
    const bg_simd_matrix *matrices[2] = {&model->layers[layer].w_ih, &model->layers[layer].w_hh};
    Py_BEGIN_ALLOW_THREADS
    for (int k = 0; k < 2 * rounds; ++k) {
        const bg_simd_matrix *m = matrices[k % 2];
        model->kernel->product(m, work.inputs.bytes, 0, k % 2 ? work.sums_h : work.sums_x);
    }
    Py_END_ALLOW_THREADS
    free(memory);
    return Py_BuildValue("ii", matrices[0]->bits, matrices[1]->bits);
}

static PyMethodDef model_methods[] = {
    {"multiply", multiply, METH_VARARGS, multiply_doc},
    {"run", bg_native_simd_run, METH_VARARGS, bg_native_simd_run_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot model_slots[] = {
    {Py_tp_new, new_model},
    {Py_tp_dealloc, free_model},
    {Py_tp_methods, model_methods},
    {Py_tp_doc, "SimdModel(model, path, mean, gain, int8_weights=-1, extensions=True): the weights of a Model in\n"
                "the order of the vector kernels. Matrices of at most int8_weights weights (-1: as tuned) are\n"
                "unpacked to bytes; extensions are instructions that only some processors of a path have."},
    {0, NULL},
};

static PyType_Spec model_spec = {
    .name = "bitgate._native.SimdModel",
    .basicsize = sizeof(SimdModel),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = model_slots,
};

PyDoc_STRVAR(supports_doc, "simd_supports(path): whether this build and processor have it.");

static PyObject *simd_supports(PyObject *module, PyObject *path) {
    (void)module;
    long value = PyLong_AsLong(path);
    return value == -1 && PyErr_Occurred() ? NULL : PyBool_FromLong(bg_simd_find((int)value) != NULL);
}

PyDoc_STRVAR(burn_doc, "simd_burn(path, bits, rounds)\n\n"
                       "Runs the inner loop of the products in registers; returns its number of multiplications.");

static PyObject *simd_burn(PyObject *module, PyObject *args) {
    (void)module;
    int path, bits;
    long long rounds, products;
    if (!PyArg_ParseTuple(args, "iiL", &path, &bits, &rounds)) {
        return NULL;
    }
    const bg_simd_kernel *kernel = bg_simd_find(path);
    if (kernel == NULL || rounds < 0 || (bits != 1 && bits != 2 && bits != 8)) {
        PyErr_SetString(PyExc_ValueError, "simd_burn: no such path, bits or rounds");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    products = kernel->burn(bits, rounds);
    Py_END_ALLOW_THREADS
    return PyLong_FromLongLong(products);
}

static PyMethodDef functions[] = {
    {"simd_supports", simd_supports, METH_O, supports_doc},
    {"simd_burn", simd_burn, METH_VARARGS, burn_doc},
    {NULL, NULL, 0, NULL},
};

int bg_native_simd_fill(PyObject *module) {
    PyType_Spec *specs[] = {&model_spec, &bg_native_streams_spec, &bg_native_crew_spec};
    for (size_t k = 0; k < sizeof specs / sizeof *specs; ++k) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[k], NULL);
        if (type == NULL) {
            return -1;
        }
        int failed = PyModule_AddType(module, (PyTypeObject *)type);
        Py_DECREF(type);
        if (failed < 0) {
            return -1;
        }
    }
    return PyModule_AddFunctions(module, functions);
}
