/* What differs between versions of CPython, and each call that is private or fragile, with its
   reason.  The gains were measured on 3.11 with a send to one receiver. */

#ifndef FASTSIG_COMPAT_H
#define FASTSIG_COMPAT_H

#include <Python.h>

/* A number that other threads may read and replace.  MSVC has no _Atomic without a flag, but gives
   what is volatile the order that is needed here. */
#if !defined(Py_GIL_DISABLED)
typedef Py_ssize_t fs_number;
#elif defined(_MSC_VER)
typedef volatile Py_ssize_t fs_number;
#else
typedef _Atomic(Py_ssize_t) fs_number;
#endif

/* The target of a weak reference, None if it is dead.  With a GIL, PyWeakref_GetRef (new in 3.13)
   does the same, but is a call: 2 ns for each receiver. */
static inline PyObject *fs_target(PyObject *reference) {
    PyObject *target;
#ifdef Py_GIL_DISABLED
    if (PyWeakref_GetRef(reference, &target) == 0) { target = Py_NewRef(Py_None); }
#else
    target = ((PyWeakReference *)reference)->wr_object;
    target = Py_NewRef(Py_REFCNT(target) > 0 ? target : Py_None);
#endif
    return target;
}

/* Whether a sender lives, of which a route has the holder; false if that has to run code, as for the
   weak reference to a method. */
static inline int fs_lives(PyObject *holder) {
#ifdef Py_GIL_DISABLED
    PyObject *target;
    if (!PyWeakref_CheckRefExact(holder)) { return !PyWeakref_CheckRef(holder); }
    target = fs_target(holder);
    Py_DECREF(target);
    return target != Py_None;
#else
    PyObject *target;
    if (!PyWeakref_CheckRefExact(holder)) { return !PyWeakref_CheckRef(holder); }
    target = ((PyWeakReference *)holder)->wr_object;
    return target != Py_None && Py_REFCNT(target) > 0;
#endif
}

/* An attribute of a thing's type, None if there is none: as CPython itself looks up `__call__`.
   _PyType_Lookup is private, but unlike getattr runs no code and raises nothing. */
static inline PyObject *fs_type_lookup(PyObject *thing, PyObject *name) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *found = _PyType_LookupRef(Py_TYPE(thing), name);
#else
    PyObject *found = Py_XNewRef(_PyType_Lookup(Py_TYPE(thing), name));
#endif
    return found ? found : Py_NewRef(Py_None);
}

/* A number that changes with a type and its bases; 0 while it has none, or no longer gets one.
   Comparing it (1 ns) is how a send notices that somebody patched its class. */
static inline unsigned int fs_type_tag(PyObject *thing) {
    PyTypeObject *type = Py_TYPE(thing);
#if PY_VERSION_HEX < 0x030B0000
    if (!(type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG)) { return 0; }
#endif
    return type->tp_version_tag;
}

/* Calls a plain Python function without looking up how it is called: 2 ns. */
#define fs_call_function(function, args, count, names) \
    ((PyFunctionObject *)(function))->vectorcall(function, args, count, names)

#define fs_items(tuple) (((PyTupleObject *)(tuple))->ob_item)

/* The exception that is set, raised where Cython can catch it.  CPython has been seen to set none
   where it had no memory for a traceback. */
static inline PyObject *fs_raise(void) {
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
}

/* An item of a list that other threads may replace, None if it is not there. */
static inline PyObject *fs_item(PyObject *list, Py_ssize_t i) {
#ifdef Py_GIL_DISABLED
    PyObject *item = PyList_GetItemRef(list, i);
    if (item == NULL) {
        PyErr_Clear();
        item = Py_NewRef(Py_None);
    }
    return item;
#else
    return Py_NewRef(i < PyList_GET_SIZE(list) ? PyList_GET_ITEM(list, i) : Py_None);
#endif
}

/* An item of a list, to look at while no other code can run.  With a GIL it is borrowed: counting
   what a send looks at takes 10 ns of the 40 of a send to nobody.  Without one, another thread may
   drop it, so it is counted. */
#ifdef Py_GIL_DISABLED
#define fs_look(list, i) fs_item(list, i)
#define fs_keep(thing) Py_INCREF(thing)
#define fs_drop(thing) Py_XDECREF(thing)
#else
#define fs_look(list, i) ((i) < PyList_GET_SIZE(list) ? PyList_GET_ITEM(list, i) : Py_None)
#define fs_keep(thing) ((void)(thing))
#define fs_drop(thing) ((void)(thing))
#endif

/* A value of a dict that other threads may change, None if it is not there. */
static inline PyObject *fs_get(PyObject *dict, PyObject *key) {
    PyObject *value;
#if PY_VERSION_HEX >= 0x030D0000
    if (PyDict_GetItemRef(dict, key, &value) == 0) { value = Py_NewRef(Py_None); }
#else
    value = PyDict_GetItemWithError(dict, key);
    if (value == NULL && PyErr_Occurred()) { return NULL; }
    value = Py_NewRef(value ? value : Py_None);
#endif
    return value;
}

/* A value of a thing's `__dict__`, None if it is not there. */
static inline PyObject *fs_attribute(PyObject *thing, PyObject *name) {
    PyObject *value, *attributes = PyObject_GenericGetDict(thing, NULL);
    if (attributes == NULL) { return NULL; }
    value = fs_get(attributes, name);
    Py_DECREF(attributes);
    return value;
}

/* Keeps the garbage collector from clearing the objects of a type: while it does that, a finalizer
   may send.  Cython ignores its directive for this, `no_gc_clear`, in a .pxd. */
#define fs_keep_whole(type) ((void)(((PyTypeObject *)(type))->tp_clear = NULL))

/* Where an object is in a list, by identity, -1 if it is not there: 0.4 ns for each item. */
static inline Py_ssize_t fs_find(PyObject *list, PyObject *item) {
    Py_ssize_t i, found = -1;
#ifdef Py_GIL_DISABLED
    Py_BEGIN_CRITICAL_SECTION(list);
#endif
    for (i = 0; i < PyList_GET_SIZE(list); i++) {
        if (PyList_GET_ITEM(list, i) == item) {
            found = i;
            break;
        }
    }
#ifdef Py_GIL_DISABLED
    Py_END_CRITICAL_SECTION();
#endif
    return found;
}

/* Gives a type, or a host's class, a method that takes keyword arguments as the call site passes
   them; Cython's own methods get a dict.  `self` is of the type `type`. */
typedef PyObject *(*fs_method)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

#define FS_METHOD(name, doc) \
    {name, NULL, METH_FASTCALL | METH_KEYWORDS, name "($self, sender, **named)\n--\n\n" doc}

static inline PyObject *fs_make_method(PyTypeObject *type, PyMethodDef *definition, fs_method method) {
    definition->ml_meth = (PyCFunction)(void (*)(void))method;
    return PyDescr_NewMethod(type, definition);
}

static inline int fs_add_method(PyTypeObject *type, PyMethodDef *definition, fs_method method) {
    PyObject *descriptor = fs_make_method(type, definition, method);
    int failed;
    if (descriptor == NULL) { return -1; }
    failed = PyDict_SetItemString(type->tp_dict, definition->ml_name, descriptor);
    Py_DECREF(descriptor);
    PyType_Modified(type);
    return failed;
}

/* The lock of all edits.  Only `send.pyx` uses it: each module that includes this has its own.

   Without a GIL it is a mutex that its thread may take again: resizing a list may free what other
   threads dropped, and that may run code.  A critical section would not do: it is suspended while
   something nested in it waits.  With a GIL up to 3.11 it keeps the garbage collector from
   running in the middle of an allocation; from 3.12 on, nothing runs there. */
#if defined(Py_GIL_DISABLED)
static PyMutex fs_mutex;
static fs_number fs_owner;
static int fs_depth;
static inline void fs_lock(void) {
    Py_ssize_t me = (Py_ssize_t)PyThread_get_thread_ident();
    if (fs_owner == me) {
        fs_depth++;
        return;
    }
    PyMutex_Lock(&fs_mutex);
    fs_owner = me;
}
static inline void fs_unlock(void) {
    if (fs_depth) {
        fs_depth--;
        return;
    }
    fs_owner = 0;
    PyMutex_Unlock(&fs_mutex);
}
#elif PY_VERSION_HEX < 0x030C0000
static int fs_depth, fs_collects;
static inline void fs_lock(void) {
    if (!fs_depth++) { fs_collects = PyGC_Disable(); }
}
static inline void fs_unlock(void) {
    if (!--fs_depth && fs_collects) { PyGC_Enable(); }
}
#else
#define fs_lock()
#define fs_unlock()
#endif

#endif
