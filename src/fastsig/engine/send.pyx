"""THE SEND, compiled: a route in, a call per receiver, and no dict of arguments.

`send_any` finds the `Route` of the sender, which has `Calls` for the names that were sent: a `Plan`
for each run of receivers that take them alike.  `run` puts the arguments in a C array in the order
of the plan, and calls one receiver after the other with it.  Read these two first; what they call
follows, then planning, and last the `Engine`, which a face uses.

As in table.py, avoid comprehensions over objects that are made on the way.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check
from cpython.list cimport PyList_GET_SIZE, PyList_New
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.method cimport PyMethod_Check, PyMethod_GET_FUNCTION, PyMethod_GET_SELF
from cpython.object cimport PyObject, PyObject_Hash
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_Check, PyUnicode_CheckExact

from fastsig.engine._compiled.table cimport (
    Connections, Death, Forget, Route, Routes, State, Version, is_dead,
)

import os
import sys

from fastsig.engine.plans import FUNCTION, METHOD, OBJECT
from fastsig.engine import hosts
from fastsig.engine._compiled.table import MethodReference as _MethodReference
from fastsig.engine._compiled.table import Table

cdef extern from "compat.h":
    ctypedef Py_ssize_t fs_number
    ctypedef object (*fs_method)(object, PyObject *const *, Py_ssize_t, PyObject *)
    ctypedef struct PyMethodDef:
        pass
    object fs_target(PyObject *reference)
    bint fs_lives(object holder)
    object fs_type_lookup(object thing, object name)
    unsigned int fs_type_tag(PyObject *thing)
    object fs_item(PyObject *items, Py_ssize_t i)
    PyObject *fs_look(PyObject *items, Py_ssize_t i)
    void fs_keep(PyObject *)
    void fs_drop(PyObject *)
    object fs_get(PyObject *mapping, key)
    object fs_attribute(object thing, object name)
    void fs_keep_whole(type)
    Py_ssize_t fs_find(PyObject *items, PyObject *item)
    object fs_raise()
    PyObject **fs_items(PyObject *)
    PyObject *fs_call_function(PyObject *, PyObject *const *, size_t, PyObject *)
    int fs_add_method(type, PyMethodDef *, fs_method) except -1
    object fs_make_method(type, PyMethodDef *, fs_method)
    void fs_lock()
    void fs_unlock()

    PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *)
    PyObject *PyObject_CallFunctionObjArgs(object, ...)
    object call "PyObject_Vectorcall"(PyObject *, PyObject *const *, size_t, PyObject *)
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    bint PyFunction_Check(PyObject *)
    PyObject *PyFunction_GET_CODE(PyObject *)
    bint PyWeakref_CheckRefExact(PyObject *)
    bint PyWeakref_CheckRef(PyObject *)
    object PyMethod_New(object function, object owner)
    void PyObject_GC_Track(PyObject *)
    void PyObject_GC_UnTrack(PyObject *)
    void Py_SET_SIZE(PyObject *, Py_ssize_t)
    void Py_DECREF(PyObject *)
    void Py_INCREF(PyObject *)
    object PyLong_FromVoidPtr(PyObject *)
    void *PyLong_AsVoidPtr(object) except? NULL
    PyObject *PyTuple_New(Py_ssize_t)
    void PyList_SET_ITEM(PyObject *, Py_ssize_t, PyObject *)
    void PyTuple_SET_ITEM(PyObject *, Py_ssize_t, PyObject *)

cdef enum:
    SMALL = 16  # so many arguments are put in order on the C stack, more of them on the heap
    KINDS = 256  # so many types of senders are known to be plain
    NOBODY = -1  # a sender that is not connected
    UNSURE = -2  # one that may be
    SHAPES = 8  # so many call shapes keep their plans; a ninth starts anew
    KIND_OTHER = 0
    KIND_FUNCTION = 1
    KIND_METHOD = 2
    KIND_OBJECT = 3
    KIND_UNPLANNED = 4

assert (KIND_FUNCTION, KIND_METHOD, KIND_OBJECT) == (FUNCTION, METHOD, OBJECT)

# Kept in C variables: CPython clears the names of a module at exit, possibly before the last send.
cdef object MethodReference = _MethodReference
cdef object ENGINE = "_fastsig"
cdef object CALL = "__call__"
cdef object TARGET = "_get_current_object"
cdef object _SENDER = sys.intern("sender")
cdef PyObject *SENDER = <PyObject *>_SENDER
cdef fs_number[KINDS] PLAIN  # the tags of types of senders that are known by their `id`
cdef object NO_SENDER = "send() missing 1 required argument: 'sender'"


# The send


cdef inline send_any(
    Engine self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, bint robust, int way
):
    """Send, with the arguments as the call site passes them.

    `way` is the place in the overrides of what `send` was called through: see `Policy.overrides`.
    """
    if self._owner is not None:
        if (
            self.tag == 0
            or self.tag != fs_type_tag(<PyObject *>self._owner)
            or self.looked != self._version.number
        ):
            self.look_for_overrides()
        if self.overridden:
            override = fs_item(<PyObject *>self._cell, 2)
            if override is not None and override[way] is not None:
                override = override[way]
                return call(<PyObject *>override, args, nargs, kwnames)
    route = ready_route(self, args, nargs, kwnames)
    calls = NULL if route is NULL else ready_calls(<Route>route, nargs, kwnames)
    if calls is NULL:
        fs_drop(route)
        return send_found(self, args, nargs, kwnames, robust)
    try:
        if (<Calls>calls).size == 0:
            return []
        return run(self, <Route>route, <Calls>calls, args, robust)
    finally:
        fs_drop(calls)
        fs_drop(route)


cdef run(Engine self, Route route, Calls calls, PyObject *const *args, bint robust):
    """Call every receiver; return the list of ``(receiver, response)``."""
    cdef PyObject *small[SMALL + 1]
    cdef PyObject **vector = small  # the arguments of a call, from [1] on; [0] is for a `self`
    cdef PyObject **references = fs_items(<PyObject *>calls.references)
    cdef PyObject **codes = fs_items(<PyObject *>calls.codes)
    cdef PyObject **plans = fs_items(<PyObject *>calls.plans)
    cdef object signal = self if self._owner is None else self._owner
    cdef PyObject *plan
    cdef PyObject *callee
    cdef PyObject *response
    cdef PyObject *pair
    cdef Py_ssize_t size = calls.size
    cdef Py_ssize_t filled = 0
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t j, kind, place
    cdef bint failed = False
    cdef list responses
    # Receivers may change the connections: what the caller only looked at has to live on.
    cdef Route _route = route
    cdef Calls _calls = calls

    if calls.count > SMALL:
        vector = <PyObject **>PyMem_Malloc((calls.count + 1) * sizeof(PyObject *))
        if vector is NULL:
            raise MemoryError
    try:
        vector[0] = NULL
        # Untracked: no other code must come upon the list while it has empty places.
        responses = PyList_New(size)
        PyObject_GC_UnTrack(<PyObject *>responses)

        while i < size:
            plan = plans[0]
            plans += 1
            kind = (<Plan>plan).kind
            for j in range((<Plan>plan).count):
                place = (<Plan>plan).order[j]
                vector[1 + j] = <PyObject *>signal if place < 0 else args[place]

            while i < (<Plan>plan).stop:
                receiver = receiver_of(<object>references[i])
                i += 1
                if receiver is None:
                    self._version.bump()
                    continue

                callee = <PyObject *>receiver
                if kind == KIND_METHOD:
                    callee = <PyObject *>None
                    if PyMethod_Check(receiver):
                        callee = PyMethod_GET_FUNCTION(receiver)
                        vector[0] = PyMethod_GET_SELF(receiver)
                elif kind == KIND_OBJECT:
                    function = fs_type_lookup(receiver, CALL)
                    callee = <PyObject *>function
                    vector[0] = <PyObject *>receiver

                if kind != KIND_OTHER and not (
                    PyFunction_Check(callee)
                    and PyFunction_GET_CODE(callee) is codes[i - 1]
                ):
                    if kind != KIND_UNPLANNED:
                        route.shapes.clear()  # its code was replaced: the next send plans again
                    sender, named = gather(args, calls.nargs, calls.names)
                    call_one = self._policy.call
                    response = PyObject_CallFunctionObjArgs(
                        call_one, <PyObject *>signal, <PyObject *>receiver,
                        <PyObject *>sender, <PyObject *>named, NULL
                    )
                elif kind == KIND_FUNCTION:
                    response = fs_call_function(
                        callee, vector + 1, (<Plan>plan).positional, (<Plan>plan).kwnames
                    )
                elif kind == KIND_OTHER:
                    response = PyObject_Vectorcall(
                        callee,
                        vector + 1,
                        (<Plan>plan).positional | PY_VECTORCALL_ARGUMENTS_OFFSET,
                        (<Plan>plan).kwnames,
                    )
                else:
                    response = fs_call_function(
                        callee, vector, (<Plan>plan).positional + 1, (<Plan>plan).kwnames
                    )
                if response is NULL:
                    other = failure(self, receiver, route, robust)
                    response = <PyObject *>other
                    Py_INCREF(response)
                    failed = True

                pair = PyTuple_New(2)
                if pair is NULL:
                    Py_DECREF(response)
                    raise MemoryError
                Py_INCREF(<PyObject *>receiver)
                PyTuple_SET_ITEM(pair, 0, <PyObject *>receiver)
                PyTuple_SET_ITEM(pair, 1, response)
                PyList_SET_ITEM(<PyObject *>responses, filled, pair)
                filled += 1
    finally:
        if vector is not small:
            PyMem_Free(vector)
    if filled < size:
        Py_SET_SIZE(<PyObject *>responses, filled)
    PyObject_GC_Track(<PyObject *>responses)
    if failed:
        return self._policy.finish(signal, responses)
    return responses


cdef inline PyObject *ready_route(
    Engine self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames
) noexcept:
    """Return the route of a sender, NULL if it has not been made, or a key must be looked up.

    This is for the usual states, and only compares numbers: no other code can run meanwhile, so
    with a GIL nothing has to be counted (see `fs_look`).  The caller calls `fs_drop` afterwards.
    """
    cdef PyObject *route = NULL
    cdef PyObject *sender
    cdef Py_ssize_t place
    cdef PyObject *routes = fs_look(<PyObject *>self._cell, 1)
    # None if the garbage collector has emptied the list, and a finalizer sends.
    if routes is not <PyObject *>None and (<Routes>routes).seen == self._version.number:
        if (<Routes>routes).sole is not None:
            route = <PyObject *>(<Routes>routes).sole
        else:
            sender = args[0] if nargs else named_sender(args, kwnames)
            place = UNSURE
            if sender is not NULL:
                place = find_sender(<Routes>routes, sender, self._by_value)
            if place >= 0:
                route = fs_look(<PyObject *>(<Routes>routes).ready, place)
                if route is <PyObject *>None or not fs_lives((<Route>route).holder):
                    fs_drop(route)
                    route = NULL
                fs_drop(routes)
                return route
            if place == NOBODY:
                route = <PyObject *>(<Routes>routes).any
        if route is not NULL:
            fs_keep(route)
    fs_drop(routes)
    return route


cdef inline PyObject *named_sender(PyObject *const *args, PyObject *kwnames) noexcept:
    """Return the sender among the keyword arguments, NULL if its name is not interned."""
    for i in range(0 if kwnames is NULL else PyTuple_GET_SIZE(<object>kwnames)):
        if PyTuple_GET_ITEM(<object>kwnames, i) is SENDER:
            return args[i]
    return NULL


cdef inline bint is_plain(PyObject *sender) noexcept:
    """Return whether the key of a sender is known to be its `id`: see `has_own_key`."""
    cdef unsigned int tag = fs_type_tag(sender)
    return tag != 0 and PLAIN[tag % KINDS] == tag


cdef inline Py_ssize_t find_sender(Routes routes, PyObject *sender, bint by_value) noexcept:
    """Return the place of a sender in `routes.ready`, or NOBODY, or UNSURE: see `_number_senders`.

    For a str that may be connected it is UNSURE: it would have to be compared.
    """
    cdef size_t *numbers = <size_t *>PyBytes_AS_STRING(routes.numbers)
    cdef size_t last = <size_t>PyList_GET_SIZE(routes.ready) - 1
    cdef bint is_str = by_value and PyUnicode_CheckExact(<object>sender)
    cdef size_t number = <size_t>sender
    cdef size_t place
    if is_str:
        if routes.named or routes.open_to_str:
            return UNSURE
        number = <size_t>PyObject_Hash(<object>sender) | 1
    elif routes.open or by_value and not is_plain(sender):
        return UNSURE
    place = number >> 4 & last
    while numbers[place] != number:
        if numbers[place] == 0:
            return NOBODY
        place = place + 1 & last
    return UNSURE if is_str else <Py_ssize_t>place


cdef send_found(
    Engine self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, bint robust
):
    """Send on a route, or in a shape, that `send_any` does not find at once."""
    route = route_to(self, args, nargs, kwnames)
    if route is None:
        return send_watched(self, args, nargs, kwnames, robust)
    return run(self, route, calls_for(self, route, nargs, kwnames), args, robust)


cdef inline Route route_to(Engine self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    """Return the route of the sender among the arguments of a send, None if there is a watcher."""
    cdef PyObject *sender
    cdef Py_ssize_t place
    routes = fs_item(<PyObject *>self._cell, 1)
    if routes is not None and (<Routes>routes).seen == self._version.number:
        if (<Routes>routes).sole is not None:
            return (<Routes>routes).sole
        sender = sender_among(args, nargs, kwnames)
        if self._by_value and PyUnicode_CheckExact(<object>sender):
            found = fs_get(<PyObject *>(<Routes>routes).by_sender, <object>sender)
            if found is None and ((<Routes>routes).unnamed or (<Routes>routes).open_to_str):
                return self.find_route(<object>sender)
        else:
            found = fs_get(<PyObject *>(<Routes>routes).by_sender, PyLong_FromVoidPtr(sender))
            if found is None and (
                (<Routes>routes).open or self._by_value and has_own_key(<object>sender)
            ):
                return self.find_route(<object>sender)
        if found is None:
            return (<Routes>routes).any
        if type(found) is Route and lives((<Route>found).holder):
            place = find_sender(<Routes>routes, sender, self._by_value)
            if place >= 0:
                (<Routes>routes).ready[place] = found
            return <Route>found
    elif fs_item(<PyObject *>self._cell, 3) is not None:
        return None
    return self.find_route(<object>sender_among(args, nargs, kwnames))


cdef inline bint lives(holder) except -1:
    """Return whether the sender of a holder lives: `is_dead`, without a call as a rule."""
    if holder is None:
        return True
    if PyWeakref_CheckRefExact(<PyObject *>holder):
        return fs_target(<PyObject *>holder) is not None
    return not is_dead(holder)


cdef inline bint has_own_key(sender) except -1:
    """Return whether the key of a sender may be something else than its `id`."""
    cdef unsigned int tag
    if is_plain(<PyObject *>sender):
        return False
    if (
        PyMethod_Check(sender)
        or PyUnicode_Check(sender)
        or PyBytes_Check(sender)
        or fs_type_lookup(sender, TARGET) is not None
    ):
        return True
    tag = fs_type_tag(<PyObject *>sender)
    PLAIN[tag % KINDS] = tag
    return False


cdef inline PyObject *ready_calls(Route route, Py_ssize_t nargs, PyObject *kwnames) noexcept:
    """Return the calls of a route for a call shape (see `fs_look`), NULL if it is new."""
    cdef PyObject *calls
    for i in range(PyList_GET_SIZE(route.shapes)):
        calls = fs_look(<PyObject *>route.shapes, i)
        if (
            calls is not <PyObject *>None
            and (<Calls>calls).nargs == nargs
            and have_same_names((<Calls>calls).kwnames, kwnames)
        ):
            return calls
        fs_drop(calls)
    return NULL


cdef inline Calls calls_for(Engine self, Route route, Py_ssize_t nargs, PyObject *kwnames):
    """Return the calls of a route for a call shape."""
    cdef PyObject *calls = ready_calls(route, nargs, kwnames)
    if calls is NULL:
        return plan_calls(self, route, nargs, kwnames)
    held = <Calls>calls
    fs_drop(calls)
    return held


cdef inline bint have_same_names(PyObject *these, PyObject *those) noexcept:
    """Return whether two tuples of keyword names hold the same strings."""
    # A call site passes the same tuple each time; another site, or `**mapping`, another tuple of
    # the same interned strings, as a rule.  `plan_calls` compares those that are not interned.
    if these is those:
        return True
    if these is NULL or those is NULL:
        return False
    if PyTuple_GET_SIZE(<object>these) != PyTuple_GET_SIZE(<object>those):
        return False
    for i in range(PyTuple_GET_SIZE(<object>these)):
        if PyTuple_GET_ITEM(<object>these, i) is not PyTuple_GET_ITEM(<object>those, i):
            return False
    return True


cdef PyObject *sender_among(
    PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames
) except NULL:
    """Return the sender among the arguments of a send."""
    cdef PyObject *sender = args[0] if nargs else named_sender(args, kwnames)
    if sender is not NULL:
        return sender
    for i in range(0 if kwnames is NULL else PyTuple_GET_SIZE(<object>kwnames)):
        if <object>PyTuple_GET_ITEM(<object>kwnames, i) == "sender":
            return args[i]
    raise TypeError(NO_SENDER)


cdef inline receiver_of(reference):
    """Return the receiver of a reference in `Calls`, None if it is dead."""
    if PyWeakref_CheckRefExact(<PyObject *>reference):
        return fs_target(<PyObject *>reference)
    if type(reference) is Method:
        owner = fs_target(<PyObject *>(<Method>reference).owner)
        function = fs_target(<PyObject *>(<Method>reference).function)
        return None if owner is None or function is None else PyMethod_New(function, owner)
    if PyWeakref_CheckRef(<PyObject *>reference):
        return reference()
    return reference


cdef send_watched(
    Engine self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, bint robust
):
    """Send through the watcher."""
    names = () if kwnames is NULL else <tuple>kwnames
    check_arguments(nargs, names)
    sender, named = gather(args, nargs, names)
    watcher = fs_item(<PyObject *>self._cell, 3)
    if watcher is None:  # another thread has just taken it away
        return self.send_unwatched(sender, named, robust)
    return watcher(self, sender, named, robust)


cdef failure(Engine self, receiver, Route route, bint robust):
    """Return the response of a receiver that just raised; propagate what is not an Exception."""
    try:
        response = fs_raise()
    except Exception as exception:
        # No return from here: Cython's needs a traceback, for which there may be no memory.
        if not robust or route.raising and route.raises(receiver):
            raise
        response = self._policy.fail(self.get_owner(), receiver, exception)
    return response


cdef tuple gather(PyObject *const *args, Py_ssize_t nargs, tuple names):
    """Return the sender and the other arguments of a send, as a dict."""
    named = {}
    for i, name in enumerate(names):
        named[name] = <object>args[nargs + <Py_ssize_t>i]
    return (<object>args[0] if nargs else named.pop("sender")), named


# Planning


@cython.final
cdef class Method:
    """A weak reference to a bound method, in `Calls`: `MethodReference` at the speed of C."""

    cdef object owner
    cdef object function

    def __cinit__(self, reference):
        self.owner = reference
        self.function = reference._func_ref
        if not PyWeakref_CheckRef(<PyObject *>self.function):
            raise TypeError("the function of a MethodReference must be a weak reference")


@cython.final
@cython.no_gc
cdef class Plan:
    """How receivers that follow one another take the arguments of one call shape.

    `order` has the places of the arguments to pass: first those that go by position, then those
    that go by keyword, under the names `keywords`.
    """

    cdef Py_ssize_t kind
    cdef Py_ssize_t stop    # the place of the first receiver that takes them otherwise
    cdef Py_ssize_t positional
    cdef Py_ssize_t count
    cdef Py_ssize_t *order
    cdef tuple keywords
    cdef PyObject *kwnames  # `keywords` as a call takes them: NULL for none

    def __cinit__(self, int kind, tuple names, list sent, tuple positional, tuple by_keyword):
        self.kind = kind
        self.positional = len(positional)
        self.count = len(positional) + len(by_keyword)
        keywords = []
        for i in by_keyword:
            keywords.append(names[i])
        self.keywords = tuple(keywords)
        self.kwnames = <PyObject *>self.keywords if self.keywords else NULL
        self.order = <Py_ssize_t *>PyMem_Malloc((self.count + 1) * sizeof(Py_ssize_t))
        if self.order is NULL:
            raise MemoryError
        for place, i in enumerate(positional + by_keyword):
            self.order[place] = sent[i]

    def __dealloc__(self):
        PyMem_Free(self.order)


@cython.final
cdef class Calls:
    """The receivers of a route and how they take one call shape; immutable.

    A call shape is what a call site passes: a number of positional arguments (`nargs`) and a tuple
    of keyword names.  The plan of the i-th receiver holds as long as calling that runs the code
    object `codes[i]`; where it is not known what runs (None), until the next edit.
    """

    cdef Py_ssize_t nargs
    cdef PyObject *kwnames  # the tuple that a call site passed, or NULL; `names` keeps it
    cdef tuple names
    cdef Py_ssize_t size    # how many receivers
    cdef Py_ssize_t count   # how many arguments a receiver gets at most
    cdef tuple references
    cdef tuple codes
    cdef tuple plans


cdef check_arguments(Py_ssize_t nargs, tuple names):
    """Check how a send is called.

    Raises:
        TypeError: Not with one sender, by position or by keyword.
    """
    if nargs > 1:
        raise TypeError(f"send() takes 1 positional argument, the sender, but {nargs} were given")
    if nargs == 1 and "sender" in names:
        raise TypeError("send() got multiple values for argument 'sender'")
    if nargs == 0 and "sender" not in names:
        raise TypeError(NO_SENDER)


cdef Calls plan_calls(Engine self, Route route, Py_ssize_t nargs, PyObject *kwnames):
    """Return the calls of a route for a call shape that is new, or has names not interned.

    Raises:
        TypeError: `send` is not called like this.
    """
    names = () if kwnames is NULL else <tuple>kwnames
    check_arguments(nargs, names)
    for known in list(route.shapes):
        if (<Calls>known).nargs == nargs and (<Calls>known).names == names:
            return <Calls>known

    new = Calls()
    new.nargs = nargs
    new.kwnames = kwnames
    new.names = names
    # The place of each argument among those that were sent; -1 for the signal.
    sent = list(range(nargs + len(names)))
    if nargs == 0:
        at = names.index("sender")
        sent.insert(0, sent.pop(at))
        names = (*names[:at], *names[at + 1:])
    if self._policy.names:
        named, clash = (*self._policy.names, *names), self._policy.names[0] in names
        sent.insert(0, -1)
    else:
        named, clash = ("sender", *names), False
    new.count = len(sent)

    cdef Plan plan = None
    plans, codes, references, last = [], [], [], None
    for reference in route.references:
        references.append(Method(reference) if type(reference) is MethodReference else reference)
    for place, reference in enumerate(references):
        receiver = receiver_of(reference)
        if not self._policy.names:
            found = KIND_OTHER, None, (0,), tuple(range(1, len(named)))
        elif receiver is None or clash or self._policy.unplanned:
            found = KIND_UNPLANNED, None, (), ()
        else:
            found = self._policy.plan(receiver, named)
        kind, code, positional, by_keyword = found
        if plan is None or last != (kind, positional, by_keyword):
            last = kind, positional, by_keyword
            plan = Plan(kind, named, sent, positional, by_keyword)
            plans.append(plan)
        plan.stop = place + 1
        codes.append(code)
    new.size = len(references)
    new.references = tuple(references)
    new.codes = tuple(codes)
    new.plans = tuple(plans)
    if len(route.shapes) >= SHAPES:
        route.shapes.clear()
    route.shapes.append(new)
    return new


# The engine


cdef class Engine(Connections):
    """The connections of a signal, and the sends.

    A face either inherits from this, or makes one and calls `configure` with its signal.
    """

    cdef fs_number tag         # of the owner's class (else of its own) when it was looked at
    cdef fs_number looked      # the version then: outside edits and deaths may change the answer
    cdef fs_number overridden  # whether _cell[2] has any: (for `send`, for the class's `send`)

    def __cinit__(self, *args, **kwargs):
        self._begin()

    def send_unwatched(self, sender, dict named, bint robust, Route route=None):
        """Send without the watcher, on this route: for a watcher that has nothing to do."""
        cdef tuple args = (sender, *named.values())
        cdef tuple names = tuple(named)
        kwnames = <PyObject *>names
        if route is None:
            route = self.find_route(sender)
        calls = calls_for(self, route, 1, kwnames)
        return run(self, route, calls, fs_items(<PyObject *>args), robust)

    def look_for_overrides_again(self):
        """Ask the policy at the next send whether somebody overrides it.

        A send notices a change of the class itself; whoever changes an instance calls this.
        """
        # Not `tag = 0`: a send that is looking now would overwrite it with what it has found.
        self._version.bump()

    cdef look_for_overrides(self):
        looked = self._version.number
        if fs_type_tag(<PyObject *>self._owner) == 0:
            fs_type_lookup(self._owner, "send")  # gives the class a tag, if there are any left
        tag = fs_type_tag(<PyObject *>self._owner)
        overrides = self._policy.overrides(self, self._owner)
        fs_lock()
        try:
            _old = fs_item(<PyObject *>self._cell, 2)  # lives until the lock is released
            self._cell[2] = overrides
            self.overridden = overrides is not None
            # If something has changed meanwhile, the next send looks again.
            same = self._version.number == looked and fs_type_tag(<PyObject *>self._owner) == tag
            self.looked = looked
            self.tag = tag if same else 0
        finally:
            fs_unlock()

    cdef bint _commit(
        self, State state, State facts, change, tuple args,
        bint exact=True, code=None, entry=None, sender_key=None, tuple held=None,
    ) except -1:
        fs_lock()
        _old, _watched = self._cell[1], self._cell[4]  # live until the lock is released
        try:
            return Connections._commit(
                self, state, facts, change, args, exact, code, entry, sender_key, held
            )
        finally:
            fs_unlock()

    cdef _number_senders(self, Routes routes):
        """Make a hash table, with open addressing, of the `id` of each sender that is connected.

        `routes.numbers` has the keys, with 0 for an empty place; objects are aligned to 16 bytes,
        so the search starts at the `id` shifted by four bits.  `routes.ready` has the route at the
        place of its key once `route_to` has found it.  It stays there when the sender dies, so a
        send asks whether that lives.  Other keys than an `id` are not in the table, but a str is
        there with its hash, made odd, so that other strs can be told from it.
        """
        cdef size_t size = 8
        cdef size_t number, place
        cdef size_t *numbers
        while size < 2 * <size_t>len(routes.by_sender):
            size *= 2
        routes.numbers = bytes(size * sizeof(size_t))
        numbers = <size_t *>PyBytes_AS_STRING(routes.numbers)
        for sender_key in routes.by_sender:
            if type(sender_key) is str:
                number = <size_t>hash(sender_key) | 1
            elif type(sender_key) is int:
                try:
                    number = <size_t>PyLong_AsVoidPtr(sender_key)
                except OverflowError:  # added from outside: no object has this `id`
                    continue
            else:
                continue
            place = number >> 4 & size - 1
            while numbers[place] != 0:
                place = place + 1 & size - 1
            numbers[place] = number
        routes.ready = [None] * size

    cdef Py_ssize_t _find_place(self, table, entry) except -2:
        return fs_find(<PyObject *>table, <PyObject *>entry)


cdef class RobustEngine(Engine):
    """An engine whose `send` is `send_robust`, as Celery's is."""


for _kind in (
    Calls, Connections, Death, Engine, Forget, Method, RobustEngine, Route, Routes, State, Version,
):
    fs_keep_whole(_kind)


def locked(function, *args):
    """Call a function with the lock of all edits."""
    fs_lock()
    try:
        return function(*args)
    finally:
        fs_unlock()


Table.locked = staticmethod(locked)


def acquire():
    fs_lock()


def release():
    fs_unlock()


if hasattr(os, "register_at_fork"):
    # A child must not inherit the lock from a thread that it does not have.
    os.register_at_fork(before=acquire, after_in_parent=release, after_in_child=release)


# What the call sites of a send call


cdef send(Engine self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    return send_any(self, args, nargs, kwnames, False, 0)


cdef send_robust(Engine self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    return send_any(self, args, nargs, kwnames, True, 0)


cdef send_quickly(Engine self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    if self.tag == 0 or self.tag != fs_type_tag(<PyObject *>self):
        fs_type_lookup(self, "send")  # gives the class a tag, if there are any left
        tag = fs_type_tag(<PyObject *>self)
        found = fs_type_lookup(self, "send")
        if found is not RobustEngine.send:
            found = hosts.bind(found, self)
            return call(<PyObject *>found, args, nargs, kwnames)
        self.tag = tag
    return send_any(self, args, nargs, kwnames, True, 0)


cdef send_of_class(object self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    return send_adopted(self, args, nargs, kwnames, False)


cdef send_robust_of_class(object self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    return send_adopted(self, args, nargs, kwnames, True)


cdef send_adopted(
    object self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, bint robust
):
    """Send a signal of a host, called through its class."""
    engine = fs_attribute(self, ENGINE)
    if engine is None or (<Engine?>engine)._owner is not self:
        engine = hosts.adopt(self)
        if not isinstance(engine, Engine):
            return call(<PyObject *>engine, args, nargs, kwnames)
    return send_any(<Engine>engine, args, nargs, kwnames, robust, 1)


cdef extern from *:
    """
    #define FS_SEND "Call the receivers of the sender in the order of connection.\\n\\n" \\
        "Arguments:\\n    sender: Who sends the signal, or None.\\n" \\
        "    **named: What the receivers are told.\\n\\n" \\
        "Returns:\\n    ``[(receiver, response), ...]``.\\n\\n" \\
        "Raises:\\n    TypeError: There is no sender, or more than one positional argument.\\n"
    static PyMethodDef fs_send = FS_METHOD(
        "send", FS_SEND "    Exception: A receiver raised it; those after it are not called.");
    static PyMethodDef fs_send_robust = FS_METHOD(
        "send_robust", FS_SEND "\\nThe response of a receiver that raises is up to the face.");
    static PyMethodDef fs_send_that_is_robust = FS_METHOD(
        "send", FS_SEND "\\nThe response of a receiver that raises is up to the face.");
    static PyMethodDef fs_quick_send = FS_METHOD(
        "send", FS_SEND "\\nThe response of a receiver that raises is up to the face.");
    static PyMethodDef fs_class_send = FS_METHOD(
        "send", FS_SEND "    Exception: A receiver raised it; those after it are not called.");
    static PyMethodDef fs_class_send_robust = FS_METHOD(
        "send", FS_SEND "\\nThe response of a receiver that raises is up to the face.");
    """
    PyMethodDef fs_send, fs_send_robust, fs_send_that_is_robust, fs_quick_send
    PyMethodDef fs_class_send, fs_class_send_robust

fs_add_method(Engine, &fs_send, <fs_method>send)
fs_add_method(Engine, &fs_send_robust, <fs_method>send_robust)
fs_add_method(RobustEngine, &fs_send_that_is_robust, <fs_method>send_robust)
# `RobustEngine.send` for the `__dict__` of a signal: it notices if that of the class is replaced.
quick_send = fs_make_method(RobustEngine, &fs_quick_send, <fs_method>send_quickly)
class_send = fs_make_method(object, &fs_class_send, <fs_method>send_of_class)
class_send_robust = fs_make_method(object, &fs_class_send_robust, <fs_method>send_robust_of_class)
