/* The constants of a model from Python's arrays: everything that is checked once, when a Model is made. */
#include "native.h"

#include <string.h>

#include "bg_cells.h"
#include "bg_rows.h"
#include "bg_skip.h"

/* Arrays of one layer: four of its matrices, five of constants, two per gate, gate map and alpha. */
enum { MAX_GATES = 4, LAYER_BUFFERS = 4 + 5 + 2 * MAX_GATES + 2, READOUT_BUFFERS = 4, MAX_LAYERS = 255 };

/* Borrows a vector of the model for as long as the model lives; NULL with an exception if it does not fit. */
static const void *borrow(Model *self, PyObject *source, char type, Py_ssize_t item_size, Py_ssize_t count,
                          const char *what) {
    Py_buffer *view = &self->buffers[self->n_buffers];
    if (bg_native_array(source, view, type, item_size, 1, &count, 0, what) < 0) {
        return NULL;
    }
    ++self->n_buffers;
    return view->buf;
}

/* PyArg_ParseTuple takes a non-tuple for a bug of the interpreter's caller; here it is a bad argument. */
static int is_tuple(PyObject *source, const char *what) {
    if (!PyTuple_Check(source)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a tuple", what);
        return 0;
    }
    return 1;
}

static bg_row_fn choose_row(const bg_matrix *matrix, int n_levels) {
    const int8_t *levels = matrix->levels;
    if (matrix->bits == 1 && n_levels == 2 && levels[0] == -1 && levels[1] == 1) {
        return bg_row_binary;
    }
    if (matrix->bits == 2 && n_levels == 3 && levels[0] == -1 && levels[1] == 0 && levels[2] == 1) {
        return bg_row_ternary;
    }
    return bg_row_levels;
}

/* (packed, levels, n_levels, rows, columns, bits); levels is padded to all code values that the bits can hold. */
static int read_matrix(Model *self, PyObject *source, bg_matrix *matrix) {
    PyObject *packed, *levels;
    int n_levels, rows, columns, bits;
    if (!is_tuple(source, "matrix") ||
        !PyArg_ParseTuple(source, "OOiiii", &packed, &levels, &n_levels, &rows, &columns, &bits)) {
        return -1;
    }
    if (rows < 1 || columns < 1 || columns > INT32_MAX / 8 || (bits != 1 && bits != 2 && bits != 4 && bits != 8)) {
        PyErr_SetString(PyExc_ValueError, "matrix: bad number of rows, columns or bits");
        return -1;
    }
    int row_bytes = (columns * bits + 7) / 8;
    if (row_bytes > INT32_MAX / rows) {
        PyErr_SetString(PyExc_ValueError, "matrix: more bytes than the kernels can index");
        return -1;
    }
    *matrix = (bg_matrix){.rows = rows, .columns = columns, .row_bytes = row_bytes, .bits = (uint8_t)bits};
    matrix->codes = borrow(self, packed, 'B', 1, (Py_ssize_t)rows * row_bytes, "codes");
    if (matrix->codes == NULL) {
        return -1;
    }
    matrix->levels = borrow(self, levels, 'b', 1, (Py_ssize_t)1 << bits, "levels");
    if (matrix->levels == NULL) {
        return -1;
    }
    matrix->row_sum = choose_row(matrix, n_levels);
    return 0;
}

/* (levels, thresholds or None, values or None) */
static int read_gate(Model *self, PyObject *source, bg_gate *gate) {
    PyObject *thresholds, *values;
    int levels;
    if (!is_tuple(source, "gate") || !PyArg_ParseTuple(source, "iOO", &levels, &thresholds, &values)) {
        return -1;
    }
    if (levels < 0 || levels == 1 || levels > 256) {
        PyErr_SetString(PyExc_ValueError, "gate: levels must be 0 or 2 to 256");
        return -1;
    }
    *gate = (bg_gate){.levels = (uint16_t)levels};
    if (levels > 2) {
        gate->thresholds = borrow(self, thresholds, 'i', 4, levels - 1, "thresholds");
        if (gate->thresholds == NULL) {
            return -1;
        }
        gate->values = borrow(self, values, 'H', 2, levels, "values");
        return gate->values == NULL ? -1 : 0;
    }
    return 0;
}

static int read_shifts(Model *self, PyObject *source, bg_layer *layer, int gates) {
    layer->shift = borrow(self, source, 'B', 1, gates, "shift");
    if (layer->shift == NULL) {
        return -1;
    }
    for (int k = 0; k < gates; ++k) {
        if (layer->shift[k] < 1 || layer->shift[k] > layer->product_bits - 2) {
            PyErr_SetString(PyExc_ValueError, "shift: must be 1 to product_bits - 2");
            return -1;
        }
    }
    return 0;
}

static int read_gates(Model *self, PyObject *source, bg_layer *layer, int gates, bg_gate *room) {
    if (!PyTuple_Check(source) || PyTuple_Size(source) != gates) {
        PyErr_SetString(PyExc_ValueError, "gates: not one entry per gate of the cell");
        return -1;
    }
    layer->gates = room;
    for (int k = 0; k < gates; ++k) {
        if (read_gate(self, PyTuple_GetItem(source, k), &room[k]) < 0) {
            return -1;
        }
    }
    return 0;
}

static const struct {
    const char *name;
    int gates;
    int has_skip;
    bg_step_fn step, shared;
} cells[] = {
    {"lstm", 4, 1, bg_lstm_step, bg_shared_lstm_step},
    {"coupled_lstm", 3, 1, bg_coupled_lstm_step, bg_shared_coupled_lstm_step},
    {"gru", 3, 0, bg_gru_step, bg_shared_gru_step},
    {"gated_rnn", 2, 0, bg_gated_rnn_step, bg_shared_gated_rnn_step},
};

enum { N_CELLS = sizeof cells / sizeof *cells };

static int find_cell(const char *name) {
    int k = 0;
    while (k < N_CELLS && strcmp(name, cells[k].name) != 0) {
        ++k;
    }
    return k;
}

/* The projection of each gate, numbered from 0 without gaps; NULL for None. Returns their number, 0 with an exception. */
static int read_sharing(Model *self, PyObject *source, bg_layer *layer, int gates) {
    if (source == Py_None) {
        return gates;
    }
    layer->sharing = borrow(self, source, 'B', 1, gates, "sharing");
    if (layer->sharing == NULL) {
        return 0;
    }
    unsigned seen = 0;
    for (int k = 0; k < gates; ++k) {
        seen |= layer->sharing[k] < gates ? 1u << layer->sharing[k] : 1u << MAX_GATES;
    }
    if ((seen & (seen + 1)) != 0 || seen >= 1u << MAX_GATES) {
        PyErr_SetString(PyExc_ValueError, "sharing: projections must be numbered from 0 without gaps");
        return 0;
    }
    int projections = 0;
    for (; seen != 0; seen >>= 1) {
        ++projections;
    }
    return projections;
}

/* Dimensions that a layer's parts must share; sets its cell. Returns the number of gates, or 0 with an exception. */
static int check_cell(Model *self, bg_layer *layer, int cell, PyObject *sharing, int input_size) {
    int gates = cell < N_CELLS ? cells[cell].gates : 0;
    int projections = gates == 0 ? 0 : read_sharing(self, sharing, layer, gates);
    if (gates != 0 && projections == 0) {
        return 0;
    }
    int64_t rows = (int64_t)projections * layer->w_hh.columns;
    if (gates == 0 || layer->w_ih.columns != input_size || layer->w_ih.rows != rows || layer->w_hh.rows != rows ||
        (layer->product_bits != 32 && layer->product_bits != 64)) {
        PyErr_SetString(PyExc_ValueError, "layer: cell, shapes or product_bits do not fit together");
        return 0;
    }
    layer->step = layer->sharing != NULL ? cells[cell].shared : cells[cell].step;
    return gates;
}

/* (alpha, alpha_per_unit, block_size, range_bits), or None */
static int read_skip(Model *self, PyObject *source, bg_layer *layer, int has_skip, bg_skip *room) {
    PyObject *alpha;
    int per_unit, block_size, range_bits;
    layer->state_size = 2 * layer->w_hh.columns;
    if (source == Py_None) {
        return 0;
    }
    if (!is_tuple(source, "skip") ||
        !PyArg_ParseTuple(source, "Opii", &alpha, &per_unit, &block_size, &range_bits)) {
        return -1;
    }
    if (block_size < 1 || block_size > INT16_MAX || range_bits < 0 || range_bits > self->model.state_bits - 4 ||
        !has_skip) {
        PyErr_SetString(PyExc_ValueError, "skip: cell, block_size or range_bits out of range");
        return -1;
    }
    *room = (bg_skip){.cell = layer->step, .block_size = (int16_t)block_size, .range_bits = (uint8_t)range_bits,
                      .alpha_per_unit = (uint8_t)per_unit};
    Py_ssize_t count = per_unit ? layer->w_hh.columns : 1;
    room->alpha = borrow(self, alpha, 'H', 2, count, "alpha");
    if (room->alpha == NULL) {
        return -1;
    }
    for (Py_ssize_t k = 0; k < count; ++k) {
        if (room->alpha[k] > 32768) {
            PyErr_SetString(PyExc_ValueError, "alpha: above 32768");
            return -1;
        }
    }
    layer->state_size += layer->w_hh.columns + 1;
    layer->step = bg_block_skip_step;
    layer->skip = room;
    return 0;
}

/* Multipliers and biases by gate, or by row of the gates. */
static int read_constants(Model *self, PyObject *const *sources, bg_layer *layer, int gates) {
    Py_ssize_t rows = (Py_ssize_t)gates * layer->w_hh.columns, multipliers = layer->mult_per_row ? rows : gates;
    if ((layer->mult_ih = borrow(self, sources[0], 'i', 4, multipliers, "mult_ih")) == NULL ||
        (layer->mult_hh = borrow(self, sources[1], 'i', 4, multipliers, "mult_hh")) == NULL ||
        (layer->bias.q15 = borrow(self, sources[2], 'i', 4, rows, "bias")) == NULL) {
        return -1;
    }
    if (layer->step == bg_gru_step || layer->step == bg_shared_gru_step) {
        layer->bias_hn = borrow(self, sources[3], 'i', 4, layer->w_hh.columns, "bias_hn");
        return layer->bias_hn == NULL ? -1 : 0;
    }
    return 0;
}

/* (cell, w_ih, w_hh, gates, mult_ih, mult_hh, mult_per_row, shift, bias, bias_hn or None, product_bits, sharing or None,
 * skip or None) */
static int read_layer(Model *self, PyObject *source, Py_ssize_t index, int input_size) {
    bg_layer *layer = &self->layers[index];
    const char *cell;
    PyObject *w_ih, *w_hh, *gates, *constants[4], *shift, *sharing, *skip;
    int per_row, product_bits;
    if (!is_tuple(source, "layer") ||
        !PyArg_ParseTuple(source, "sOOOOOpOOOiOO", &cell, &w_ih, &w_hh, &gates, &constants[0], &constants[1], &per_row,
                          &shift, &constants[2], &constants[3], &product_bits, &sharing, &skip)) {
        return -1;
    }
    layer->product_bits = (uint8_t)product_bits;
    layer->mult_per_row = (uint8_t)per_row;
    if (read_matrix(self, w_ih, &layer->w_ih) < 0 || read_matrix(self, w_hh, &layer->w_hh) < 0) {
        return -1;
    }
    int kind = find_cell(cell), n_gates = check_cell(self, layer, kind, sharing, input_size);
    if (n_gates == 0 || read_gates(self, gates, layer, n_gates, &self->gates[index * MAX_GATES]) < 0 ||
        read_shifts(self, shift, layer, n_gates) < 0 || read_constants(self, constants, layer, n_gates) < 0) {
        return -1;
    }
    return read_skip(self, skip, layer, cells[kind].has_skip, &self->skips[index]);
}

/* (weight, mult, mult_per_row, bias) */
static int read_readout(Model *self, PyObject *source) {
    PyObject *weight, *mult, *bias;
    bg_readout *readout = &self->readout;
    int per_row;
    if (!is_tuple(source, "readout") || !PyArg_ParseTuple(source, "OOpO", &weight, &mult, &per_row, &bias) ||
        read_matrix(self, weight, &readout->weight) < 0) {
        return -1;
    }
    readout->mult_per_row = (uint8_t)per_row;
    readout->mult = borrow(self, mult, 'i', 4, per_row ? readout->weight.rows : 1, "readout mult");
    if (readout->mult == NULL) {
        return -1;
    }
    readout->bias = borrow(self, bias, 'i', 4, readout->weight.rows, "readout bias");
    self->model.readout = readout;
    return readout->bias == NULL ? -1 : 0;
}

/* The layers of source, a tuple of (layer, number of inputs): directions of one layer share their inputs. */
static int read_layers(Model *self, PyObject *source) {
    Py_ssize_t n = PyTuple_Size(source);
    int reaches = self->model.input_size;
    self->chained = 1;
    for (Py_ssize_t k = 0; k < n; ++k) {
        PyObject *layer;
        int inputs;
        PyObject *entry = PyTuple_GetItem(source, k);
        if (!is_tuple(entry, "layers") || !PyArg_ParseTuple(entry, "Oi", &layer, &inputs) ||
            read_layer(self, layer, k, inputs) < 0) {
            return -1;
        }
        self->chained = self->chained && inputs == reaches;
        reaches = self->layers[k].w_hh.columns;
    }
    return 0;
}

PyObject *bg_native_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    PyObject *layers, *readout;
    int state_bits, input_size;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Model takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "iiO!O", &state_bits, &input_size, &PyTuple_Type, &layers, &readout)) {
        return NULL;
    }
    Py_ssize_t n = PyTuple_Size(layers);
    if (state_bits < 8 || state_bits > 16 || input_size < 1 || n > MAX_LAYERS) {
        PyErr_SetString(PyExc_ValueError, "Model: state_bits, input_size or number of layers out of range");
        return NULL;
    }
    Model *self = (Model *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) {
        return NULL;
    }
    size_t room = (size_t)n + 1;
    self->layers = PyMem_Calloc(room, sizeof *self->layers);
    self->gates = PyMem_Calloc(room * MAX_GATES, sizeof *self->gates);
    self->skips = PyMem_Calloc(room, sizeof *self->skips);
    self->buffers = PyMem_Calloc(room * LAYER_BUFFERS + READOUT_BUFFERS, sizeof *self->buffers);
    if (self->layers == NULL || self->gates == NULL || self->skips == NULL || self->buffers == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->model.layers = self->layers;
    self->model.input_size = input_size;
    self->model.n_layers = (uint8_t)n;
    self->model.state_bits = (uint8_t)state_bits;
    if (read_layers(self, layers) < 0 || (readout != Py_None && read_readout(self, readout) < 0)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

void bg_native_dealloc(PyObject *object) {
    Model *self = (Model *)object;
    PyTypeObject *type = Py_TYPE(object);
    while (self->n_buffers > 0) {
        PyBuffer_Release(&self->buffers[--self->n_buffers]);
    }
    PyMem_Free(self->buffers);
    PyMem_Free(self->skips);
    PyMem_Free(self->gates);
    PyMem_Free(self->layers);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}
