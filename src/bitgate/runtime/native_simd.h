/* Python types over the vector kernels: SimdModel, the packed weights; Streams, the states of its users; Crew, their
 * threads. */
#ifndef BG_NATIVE_SIMD_H
#define BG_NATIVE_SIMD_H

#include "native.h"

#include "bg_model.h"
#include "bg_simd_run.h"

typedef struct {
    PyObject_HEAD
    PyObject *plain;      /* the Model whose constants are read */
    Py_buffer mean, gain;
    int has_map;          /* mean and gain are held */
    bg_simd_model model;
    void *spare;          /* working memory of a finished run, for the next: fresh pages cost more than a short run */
    size_t spare_bytes;
} SimdModel;

typedef struct {
    PyObject_HEAD
    bg_crew *crew;
} Crew;

/* SimdModel.run; see its docstring. */
PyObject *bg_native_simd_run(PyObject *object, PyObject *args);
extern const char bg_native_simd_run_doc[];

/* Adds SimdModel, Streams and their functions to the module. 0, or -1 with an exception. */
int bg_native_simd_fill(PyObject *module);

extern PyType_Spec bg_native_streams_spec, bg_native_crew_spec;

/* argument as an instance of the module's type of that name; borrowed, NULL with an exception. */
void *bg_native_instance(PyTypeObject *type, PyObject *argument, const char *name);

/* The crew of a Crew, NULL of None; 0, or -1 with an exception. */
int bg_native_crew(PyTypeObject *type, PyObject *argument, bg_crew **crew);

/* Below so many multiplications a run is over before another thread could have used the interpreter's lock. */
enum { BG_NATIVE_TRIVIAL = 200000 };

#endif
