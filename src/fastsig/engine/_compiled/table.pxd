# The types of `table.py` where it is compiled.
cimport cython

cdef extern from "compat.h":
    ctypedef Py_ssize_t fs_number

# C variables: CPython clears the names of a module at exit, possibly before the last send.
cdef object ALL, ANY, FunctionType, MethodType, NUMBERS, ReferenceType
cdef object CLASS, MISSING, MethodReference_, PLAIN, RaisingEntry_, Subclasses_, Table_, WATCHERS
cdef dict ENGINES
cdef object append, drop, get, pop, replace
cdef Py_ssize_t NEVER, PAST
cdef Routes NO_ROUTES

cpdef resolve_proxy(thing)
cpdef make_key(thing)
cpdef make_receiver_key(receiver, dispatch_uid=*)
cdef make_sender_key(sender, bint by_value)
cdef make_code(tuple keys)
cpdef bint is_class_key(sender_key)
cdef list make_class_keys(sender)
cpdef make_reference(thing, callback)
cpdef make_holder(sender, bint by_value, callback)
cpdef bint is_dead(reference) except -1
cpdef resolve(reference)
cpdef watch_new(watcher)
cpdef list list_engines()
cdef add_to_past(Version version, tuple note)
cpdef make_label(receiver)
cpdef make_table(Version version=*, entries=*)
cdef find_entry(known, tuple keys)
cdef bint forget_dead(Routes routes) except -1
cdef Route make_route(list entries, places, holder=*)
cdef Route share_route(Route shared, holder)
@cython.locals(groups=dict)
cdef dict group_places(Routes routes)
@cython.locals(found=list, seen=set)
cdef list find_once(list entries, places)
@cython.locals(new=State)
cdef State make_state(table, Py_ssize_t seen, dict index, dict senders)


@cython.final
cdef class Version:
    cdef fs_number number
    cdef fs_number edits
    cdef readonly list past
    cdef bint taken
    @cython.locals(number=Py_ssize_t)
    cpdef bump(self)
    @cython.locals(changing=Py_ssize_t)
    cpdef bint change_if(self, tuple moment, change, tuple args) except -1


@cython.final
cdef class Death:
    cdef Version version
    cdef object label


@cython.final
cdef class Route:
    cdef readonly tuple references
    cdef readonly tuple raising
    cdef readonly object holder
    cdef readonly list shapes

    cpdef bint raises(self, receiver) except -1


@cython.final
cdef class Routes:
    cdef Py_ssize_t seen
    cdef dict by_sender
    cdef Route any
    cdef Route sole
    cdef list entries
    cdef bint named
    cdef bint names
    cdef bint classes
    cdef bint open
    cdef bint open_to_str
    cdef fs_number unnamed
    cdef dict more
    cdef list dead
    cdef bytes numbers
    cdef list ready


@cython.final
cdef class Forget:
    cdef list dead
    cdef object sender_key


@cython.final
cdef class Subclasses:
    cdef readonly object base


@cython.final
cdef class State:
    cdef object table
    cdef fs_number seen
    cdef dict index
    cdef dict senders


@cython.final
cdef class Gone:
    cdef object number


cdef class Connections:
    cdef object __weakref__
    cdef object _owner
    cdef object _policy
    cdef list _cell
    cdef bint _by_value
    cdef bint _purges
    cdef bint _deleted
    cdef Version _version

    cdef _begin(self)
    @cython.locals(version=Version)
    cpdef bint take_table(self, table) except -1
    cpdef make_reference(self, receiver)
    cpdef remember(self, receiver, note)
    cpdef list get_past(self)
    @cython.locals(state=State, keys=tuple, held=tuple, exact=bint)
    cpdef add_connection(self, receiver_key, reference, sender=*, more=*, bint raising=*)
    @cython.locals(state=State, keys=tuple, held=tuple)
    cpdef bint has_connection(self, receiver_key, sender=*) except -1
    @cython.locals(state=State, keys=tuple, held=tuple, left=tuple, exact=bint, place=Py_ssize_t)
    cpdef bint remove_connection(self, receiver_key, sender=*) except -1
    @cython.locals(state=State)
    cdef State _current(self)
    @cython.locals(state=State, new=State, seen=Py_ssize_t, entries=list, alive=list, keys=tuple)
    cdef State _refresh(self)
    @cython.locals(state=State, routes=Routes, snapshot=tuple)
    cdef Routes _routes(self)
    cdef _number_senders(self, Routes routes)
    @cython.locals(routes=Routes, route=Route, is_open=bint)
    cpdef Route find_route(self, sender)
    @cython.locals(state=State)
    cpdef know_sender(self, sender)
    @cython.locals(state=State, held=tuple)
    cpdef find_holder(self, sender_key)
    @cython.locals(groups=dict, keys=list, places=set, shared=Route, route=Route)
    cdef Route _find_further(self, Routes routes, sender, sender_key, found)
    @cython.locals(groups=dict, found=dict, places=set)
    cdef _add_names(self, Routes routes)

    @cython.locals(cell=list, version=Version, seen=Py_ssize_t, interim=State, final=State)
    cdef bint _commit(
        self, State state, State facts, change, tuple args,
        bint exact=*, code=*, entry=*, sender_key=*, tuple held=*,
    ) except -1
    cdef Py_ssize_t _find_place(self, table, entry) except -2
