/* bitgate._train: the training kernels for Python. Pointers are addresses; ops/native_kernel.py checks what they
 * point to, and nothing else calls this module. */
#include <Python.h>
#include <stdlib.h>

#include "bg_train.h"

typedef unsigned long long address;

static const void *pointer(address a) { return (const void *)(uintptr_t)a; }

/* (cell, T, B, I, H, Hp, levels of 4, edges of 4, lengths, w_hh, v_hh, h_0, c_0, output, gates, slopes, cells, extra,
 * ratios, P, sharing of 4, skip, block, gate_scale, bias, alpha, position, anchor_0,
 * shared, state_unit) */
static int read_layer(PyObject *tuple, bg_train_layer *l) {
    long long sizes[5], block;
    address e[4], a[11], b[6];
    const char *format = "iLLLLL(iiii)(KKKK)KKKKKKKKKKKi(iiii)iLKKKKKKd";
    if (!PyArg_ParseTuple(tuple, format, &l->cell, &sizes[0], &sizes[1], &sizes[2], &sizes[3],
                          &sizes[4], &l->levels[0], &l->levels[1], &l->levels[2], &l->levels[3], &e[0], &e[1], &e[2],
                          &e[3], &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6], &a[7], &a[8], &a[9], &a[10],
                          &l->projections, &l->sharing[0], &l->sharing[1], &l->sharing[2], &l->sharing[3], &l->skip,
                          &block, &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &l->state_unit)) {
        return 0;
    }
    l->block = block, l->gate_scale = pointer(b[0]), l->bias = pointer(b[1]), l->alpha = pointer(b[2]);
    l->position = pointer(b[3]), l->anchor_0 = pointer(b[4]), l->shared = (void *)pointer(b[5]);
    l->steps = sizes[0], l->batch = sizes[1], l->inputs = sizes[2], l->hidden = sizes[3], l->padded = sizes[4];
    for (int g = 0; g < 4; ++g) {
        l->edges[g] = pointer(e[g]);
    }
    l->lengths = pointer(a[0]), l->w_hh = pointer(a[1]), l->v_hh = pointer(a[2]);
    l->h_0 = pointer(a[3]), l->c_0 = pointer(a[4]), l->output = (void *)pointer(a[5]);
    l->gates = (void *)pointer(a[6]), l->slopes = (void *)pointer(a[7]), l->cells = (void *)pointer(a[8]);
    l->extra = (void *)pointer(a[9]), l->ratios = (void *)pointer(a[10]);
    return 1;
}

static PyObject *run(const bg_train_pass *pass, const void *params, const bg_train_layer *l, int threads) {
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = bg_train_run(pass, params, l->batch, threads);
    Py_END_ALLOW_THREADS
    return status < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
}

/* Whether gates and projections fit each other, and the skip has what it reads. */
static int has_sound_options(const bg_train_layer *l) {
    int n_gates = bg_train_n_gates(l->cell), is_sound = l->projections >= 1 && l->projections <= n_gates;
    for (int g = 0; g < n_gates; ++g) {
        is_sound = is_sound && l->sharing[g] >= 0 && l->sharing[g] < l->projections;
    }
    if (l->skip != BG_TRAIN_NO_SKIP) {
        is_sound = is_sound && l->skip > 0 && l->skip <= BG_TRAIN_RAW_STEP_SKIP && l->alpha;
    }
    if (l->skip == BG_TRAIN_BLOCK_SKIP) {
        is_sound = is_sound && l->block >= 1 && l->position && l->anchor_0;
    }
    return is_sound && (l->gate_scale || l->projections == n_gates) &&
           (l->cell != BG_TRAIN_GRU || (!l->gate_scale && l->skip == BG_TRAIN_NO_SKIP));
}

static int check(const bg_train_layer *l, int path, int is_double) {
    int line = is_double ? 8 : 16;
    if (!bg_train_supports(path) || l->cell < BG_TRAIN_LSTM || l->cell > BG_TRAIN_GRU || l->hidden < 1 ||
        l->padded < l->hidden || l->padded % line != 0 || l->steps < 0 || l->batch < 0 || l->inputs < 0 ||
        !has_sound_options(l)) {
        PyErr_SetString(PyExc_ValueError, "bitgate._train: impossible sizes, or a path this processor lacks");
        return 0;
    }
    return 1;
}

PyDoc_STRVAR(forward_doc, "forward(path, is_double, threads, layer, x, w_ih, v_ih, noise, bias_ih, bias_hh,\n"
                          "        h_n, c_n, anchor_n)");

static PyObject *forward(PyObject *module, PyObject *args) {
    (void)module;
    int path, is_double, threads;
    PyObject *layer;
    address a[9];
    bg_train_forward p;
    if (!PyArg_ParseTuple(args, "ipiO!KKKKKKKKK", &path, &is_double, &threads, &PyTuple_Type, &layer, &a[0], &a[1],
                          &a[2], &a[3], &a[4], &a[5], &a[6], &a[7], &a[8]) ||
        !read_layer(layer, &p.layer) || !check(&p.layer, path, is_double)) {
        return NULL;
    }
    p.anchor_n = (void *)pointer(a[8]);
    p.x = pointer(a[0]), p.w_ih = pointer(a[1]), p.v_ih = pointer(a[2]), p.noise = pointer(a[3]);
    p.bias_ih = pointer(a[4]), p.bias_hh = pointer(a[5]), p.h_n = (void *)pointer(a[6]), p.c_n = (void *)pointer(a[7]);
    return run(&bg_train_find(path, is_double)->forward, &p, &p.layer, threads);
}

PyDoc_STRVAR(backward_doc, "backward(path, is_double, threads, layer, x, w_ih, v_ih, grad_output, grad_h, grad_c, grad_x,\n"
                           "         grad_w_ih, grad_w_hh, grad_bias_ih, grad_bias_hh, grad_v_ih, grad_v_hh,\n"
                           "         grad_anchor, grad_gate_scale, grad_alpha)");

static PyObject *backward(PyObject *module, PyObject *args) {
    (void)module;
    int path, is_double, threads;
    PyObject *layer;
    address a[16];
    bg_train_backward p;
    if (!PyArg_ParseTuple(args, "ipiO!KKKKKKKKKKKKKKKK", &path, &is_double, &threads, &PyTuple_Type, &layer, &a[0],
                          &a[1], &a[2], &a[3], &a[4], &a[5], &a[6], &a[7], &a[8], &a[9], &a[10], &a[11], &a[12],
                          &a[13], &a[14], &a[15]) ||
        !read_layer(layer, &p.layer) || !check(&p.layer, path, is_double)) {
        return NULL;
    }
    p.x = pointer(a[0]), p.w_ih = pointer(a[1]), p.v_ih = pointer(a[2]), p.grad_output = pointer(a[3]);
    p.grad_h = (void *)pointer(a[4]), p.grad_c = (void *)pointer(a[5]), p.grad_x = (void *)pointer(a[6]);
    p.grad_w_ih = (void *)pointer(a[7]), p.grad_w_hh = (void *)pointer(a[8]);
    p.grad_bias_ih = (void *)pointer(a[9]), p.grad_bias_hh = (void *)pointer(a[10]);
    p.grad_anchor = (void *)pointer(a[13]), p.grad_gate_scale = (void *)pointer(a[14]);
    p.grad_alpha = (void *)pointer(a[15]);
    p.grad_v_ih = (void *)pointer(a[11]), p.grad_v_hh = (void *)pointer(a[12]);
    return run(&bg_train_find(path, is_double)->backward, &p, &p.layer, threads);
}

PyDoc_STRVAR(noise_doc, "noise(path, is_double, to, count, seed, is_normal): standard exponential or normal numbers");

static PyObject *noise(PyObject *module, PyObject *args) {
    (void)module;
    int path, is_double, is_normal;
    address to, seed;
    long long count;
    if (!PyArg_ParseTuple(args, "ipKLKp", &path, &is_double, &to, &count, &seed, &is_normal)) {
        return NULL;
    }
    if (!bg_train_supports(path) || count < 0) {
        PyErr_SetString(PyExc_ValueError, "bitgate._train: impossible sizes, or a path this processor lacks");
        return NULL;
    }
    bg_train_find(path, is_double)->noise((void *)pointer(to), count, seed, is_normal);
    return Py_NewRef(Py_None);
}

static int check_discrete(const bg_train_discrete *p, int path) {
    if (!bg_train_supports(path) || p->count < 0 || p->blocks < 1 || p->count % p->blocks != 0 || p->levels < 1 ||
        p->levels > BG_TRAIN_MAX_LEVELS) {
        PyErr_SetString(PyExc_ValueError, "bitgate._train: impossible sizes, or a path this processor lacks");
        return 0;
    }
    return 1;
}

PyDoc_STRVAR(discrete_forward_doc, "discrete_forward(path, is_double, levels, count, blocks, temperature,\n"
                                   "        straight_through, draws, seed, logits or latents, noise, values, scales, weights,\n"
                                   "        slopes)");

static PyObject *discrete_forward(PyObject *module, PyObject *args) {
    (void)module;
    int path, is_double;
    long long count, blocks;
    address seed, a[6];
    bg_train_discrete p = {0};
    if (!PyArg_ParseTuple(args, "ipiLLdppKKKKKKK", &path, &is_double, &p.levels, &count, &blocks, &p.temperature,
                          &p.straight_through, &p.draws, &seed, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5])) {
        return NULL;
    }
    p.count = count, p.blocks = blocks, p.from = pointer(a[0]), p.noise = (void *)pointer(a[1]);
    p.seed = seed, p.values = pointer(a[2]);
    p.scales = pointer(a[3]), p.weights = (void *)pointer(a[4]), p.slopes = (void *)pointer(a[5]);
    if (!check_discrete(&p, path)) {
        return NULL;
    }
    if (p.draws) {
        p.noise = malloc((size_t)(p.levels * p.count * (is_double ? 8 : 4)) + 1);
        if (!p.noise) {
            return PyErr_NoMemory();
        }
    }
    unsigned setting = bg_train_flush_denormals();
    bg_train_find(path, is_double)->discrete_forward(&p);
    bg_train_restore(setting);
    if (p.draws) {
        free(p.noise);
    }
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(discrete_backward_doc, "discrete_backward(path, is_double, levels, count, blocks, scales, weights, slopes,\n"
                                    "        grad, grad of logits or latents, grad_log_scale, which is added to)");

static PyObject *discrete_backward(PyObject *module, PyObject *args) {
    (void)module;
    int path, is_double;
    long long count, blocks;
    address a[6];
    bg_train_discrete p = {0};
    if (!PyArg_ParseTuple(args, "ipiLLKKKKKK", &path, &is_double, &p.levels, &count, &blocks, &a[0], &a[1], &a[2],
                          &a[3], &a[4], &a[5])) {
        return NULL;
    }
    p.count = count, p.blocks = blocks, p.scales = pointer(a[0]), p.weights = (void *)pointer(a[1]);
    p.slopes = (void *)pointer(a[2]), p.grad = pointer(a[3]), p.grad_from = (void *)pointer(a[4]);
    p.grad_log_scale = (void *)pointer(a[5]);
    if (!check_discrete(&p, path)) {
        return NULL;
    }
    unsigned setting = bg_train_flush_denormals();
    bg_train_find(path, is_double)->discrete_backward(&p);
    bg_train_restore(setting);
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(supports_doc, "supports(path): whether this processor runs it (0 portable, 1 AVX2, 2 AVX-512).");

static PyObject *supports(PyObject *module, PyObject *path) {
    (void)module;
    long value = PyLong_AsLong(path);
    return value == -1 && PyErr_Occurred() ? NULL : PyBool_FromLong(bg_train_supports((int)value));
}

static PyMethodDef methods[] = {
    {"forward", forward, METH_VARARGS, forward_doc},
    {"backward", backward, METH_VARARGS, backward_doc},
    {"noise", noise, METH_VARARGS, noise_doc},
    {"discrete_forward", discrete_forward, METH_VARARGS, discrete_forward_doc},
    {"discrete_backward", discrete_backward, METH_VARARGS, discrete_backward_doc},
    {"supports", supports, METH_O, supports_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "bitgate._train", "Training kernels; see bitgate.ops.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__train(void) { return PyModule_Create(&definition); }
