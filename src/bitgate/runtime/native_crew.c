/* Crew: the threads that a session has beside its caller's. */
#include "native_simd.h"

static PyObject *new_crew(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    int threads, units = BG_CREW_UNITS, is_patient = 0;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Crew takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "i|ip", &threads, &units, &is_patient)) {
        return NULL;
    }
    if (threads < 1 || threads > BG_CREW_MOST || units < 1) {
        PyErr_Format(PyExc_ValueError, "Crew: %d threads for %d units each, expected 1 to %d, and 1 unit or more",
                     threads, units, BG_CREW_MOST);
        return NULL;
    }
    Crew *self = (Crew *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->crew = bg_crew_new(threads, units, is_patient);
    if (self->crew == NULL) {
        PyErr_SetString(PyExc_OSError, "Crew: no memory, or a system without POSIX threads");
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Whoever uses a crew keeps it alive, so its helpers are idle; they never wait for the interpreter's lock. */
static void free_crew(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    bg_crew_free(((Crew *)object)->crew);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

int bg_native_crew(PyTypeObject *type, PyObject *argument, bg_crew **crew) {
    *crew = NULL;
    if (argument == NULL || argument == Py_None) {
        return 0;
    }
    Crew *given = bg_native_instance(type, argument, "Crew");
    *crew = given == NULL ? NULL : given->crew;
    return given == NULL ? -1 : 0;
}

static PyType_Slot slots[] = {
    {Py_tp_new, new_crew},
    {Py_tp_dealloc, free_crew},
    {Py_tp_doc, "Crew(threads, units=256, is_patient=False): threads that share a layer, each at least so many units.\n"
                "They start when first needed, sleep when idle and end with this object. A patient crew waits for\n"
                "sleepers where one thread would be done sooner, for tests."},
    {0, NULL},
};

PyType_Spec bg_native_crew_spec = {
    .name = "bitgate._native.Crew",
    .basicsize = sizeof(Crew),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
