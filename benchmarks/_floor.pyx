# cython: language_level=3, boundscheck=False, wraparound=False, binding=False
"""The floor: what no signal can go below, however it finds its receivers.

`Floor.send` calls a tuple of receivers with the keyword arguments as they come, and throws away
what they return.  `Floor.empty` takes the same arguments and does nothing at all.  Both are C
methods of the quickest kind, and get their arguments as a C array.
"""

from cpython.object cimport PyObject

cdef extern from *:
    """
    typedef PyObject *(*floor_method)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
    static PyMethodDef floor_methods[] = {
        {"send", NULL, METH_FASTCALL | METH_KEYWORDS, NULL},
        {"empty", NULL, METH_FASTCALL | METH_KEYWORDS, NULL},
    };
    static int floor_install(PyTypeObject *type, int which, floor_method method) {
        PyMethodDef *definition = &floor_methods[which];
        PyObject *descriptor;
        int failed;
        definition->ml_meth = (PyCFunction)(void (*)(void))method;
        descriptor = PyDescr_NewMethod(type, definition);
        if (descriptor == NULL) { return -1; }
        failed = PyDict_SetItemString(type->tp_dict, definition->ml_name, descriptor);
        Py_DECREF(descriptor);
        PyType_Modified(type);
        return failed;
    }
    """
    ctypedef object (*floor_method)(object, PyObject *const *, Py_ssize_t, PyObject *)
    int floor_install(type, int, floor_method) except -1
    object PyObject_Vectorcall(object, PyObject *const *, size_t, PyObject *)


cdef class Floor:
    cdef tuple receivers

    def __init__(self, receivers):
        self.receivers = tuple(receivers)


cdef send(self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    for receiver in (<Floor>self).receivers:
        PyObject_Vectorcall(receiver, args, <size_t>nargs, kwnames)


cdef empty(self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    pass


floor_install(Floor, 0, send)
floor_install(Floor, 1, empty)
