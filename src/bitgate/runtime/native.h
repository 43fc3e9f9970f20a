/*
 * Thin Python binding of the C kernels: the module bitgate._native, in the limited API of Python 3.11.
 *
 * A Model borrows the arrays of a FrozenModel through the buffer protocol and keeps them alive. Sizes and the range of
 * all codes are checked here, so that no call can leave an array; that constants fit the arithmetic is what
 * FrozenModel has proven before (frozen/bounds.py). Runs release the GIL; a Model never changes after it is made.
 */
#ifndef BG_NATIVE_H
#define BG_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "bg_types.h"

typedef struct {
    PyObject_HEAD
    bg_model model;
    bg_layer *layers;
    bg_gate *gates;
    bg_skip *skips;
    bg_readout readout;
    Py_buffer *buffers;
    Py_ssize_t n_buffers;
    int chained; /* every layer takes the units of the one before: the model can run step by step */
} Model;

/*
 * Fills *view with the C-contiguous array source: format character type, ndim axes of the lengths in shape (-1: any).
 * Returns 0, or -1 with an exception and nothing to release.
 */
int bg_native_array(PyObject *source, Py_buffer *view, char type, Py_ssize_t item_size, int ndim,
                    const Py_ssize_t *shape, int writable, const char *what);

/* Model(state_bits, input_size, layers, readout or None); formats of the tuples in native_model.c. */
PyObject *bg_native_new(PyTypeObject *type, PyObject *args, PyObject *keywords);

void bg_native_dealloc(PyObject *object);

#endif
