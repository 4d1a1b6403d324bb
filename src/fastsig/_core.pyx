# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
# cython: binding=False, embedsignature=True, embedsignature.format=clinic
"""The compiled core: the connections of one signal, and the send that calls them.

How a send travels: `send` finds the `Route` of the sender (references to the receivers that it
reaches); the route has `Calls` for the names that were sent (a call `Plan` for each receiver);
`run` calls one receiver after the other with a C array of arguments that its plan has put in
order.  No dict of arguments is ever made.

Everything that is not on that way is plain Python, in `_shared`.  `_pure` is this module in
plain Python: the same names, in the same order.

A list comprehension here is of a plain variable or of nothing that is counted: Cython 3.3 drops
one reference too many of any other item that it has no memory to append.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.list cimport PyList_Append, PyList_GET_ITEM, PyList_GET_SIZE, PyList_New
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.method cimport PyMethod_Check, PyMethod_GET_FUNCTION, PyMethod_GET_SELF
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_CheckExact

# C variables, for CPython clears the names of a module at exit, maybe before the last send.
cdef object MethodType, ref
cdef object ANY, FUNCTION, METHOD, OBJECT, MethodReference, Table, holder, key, plan_for

from types import MethodType
from weakref import ref

from fastsig._shared import (
    ANY,
    FUNCTION,
    METHOD,
    OBJECT,
    MethodReference,
    Table,
    holder,
    key,
    plan as plan_for,
)

cdef extern from *:
    """
    /* What differs between versions of CPython. */

    static inline PyObject *fs_target(PyObject *reference) {
        PyObject *target;
    #ifdef Py_GIL_DISABLED
        if (PyWeakref_GetRef(reference, &target) == 0) { target = Py_NewRef(Py_None); }
        return target;
    #else
        /* What PyWeakref_GetRef does where there is a GIL; it is no macro, and new in 3.13. */
        target = ((PyWeakReference *)reference)->wr_object;
        return Py_NewRef(Py_REFCNT(target) > 0 ? target : Py_None);
    #endif
    }

    #if PY_VERSION_HEX >= 0x030D0000
    #define fs_lookup(type, name) _PyType_LookupRef(type, name)
    #else
    #define fs_lookup(type, name) Py_XNewRef(_PyType_Lookup(type, name))
    #endif

    static inline PyObject *fs_type_lookup(PyObject *thing, PyObject *name) {
        PyObject *found = fs_lookup(Py_TYPE(thing), name);
        return found ? found : Py_NewRef(Py_None);
    }

    #ifdef Py_GIL_DISABLED
    #define fs_add(counter) _Py_atomic_add_ssize(&(counter), 1)
    #define fs_load(counter) _Py_atomic_load_ssize(&(counter))
    #else
    #define fs_add(counter) ((counter)++)
    #define fs_load(counter) (counter)
    #endif

    /* A plain Python function is called without looking up how it is called. */
    #define fs_call(function, args, count, names) \
        ((PyFunctionObject *)(function))->vectorcall(function, args, count, names)

    /* Whether two lists hold the same things.  Between its critical section and the one of the
       caller another thread may have had its way: the caller refers to both lists itself. */
    static inline int fs_same(PyObject *theirs, PyObject *mine) {
        int same;
    #ifdef Py_GIL_DISABLED
        Py_BEGIN_CRITICAL_SECTION2(theirs, mine);
    #endif
        same = PyList_GET_SIZE(theirs) == PyList_GET_SIZE(mine)
            && (PyList_GET_SIZE(mine) == 0 || memcmp(
                ((PyListObject *)theirs)->ob_item, ((PyListObject *)mine)->ob_item,
                PyList_GET_SIZE(mine) * sizeof(PyObject *)
            ) == 0);
    #ifdef Py_GIL_DISABLED
        Py_END_CRITICAL_SECTION2();
    #endif
        return same;
    }

    #define fs_items(tuple) (((PyTupleObject *)(tuple))->ob_item)

    /* The exception that is set, raised where Cython can catch it.  CPython has been seen to set
       none where it had no memory for a traceback. */
    static inline PyObject *fs_raise(void) {
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }

    /* Cython gives a method that takes keywords a dict; this one takes them as they come. */
    typedef PyObject *(*fs_method)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
    static PyMethodDef fs_send = {
        "send", NULL, METH_FASTCALL | METH_KEYWORDS, NULL
    };
    static int fs_install(PyTypeObject *type, fs_method method, const char *doc) {
        PyObject *descriptor;
        int failed;
        fs_send.ml_meth = (PyCFunction)(void (*)(void))method;
        fs_send.ml_doc = doc;
        descriptor = PyDescr_NewMethod(type, &fs_send);
        if (descriptor == NULL) { return -1; }
        failed = PyDict_SetItemString(type->tp_dict, "send", descriptor)
            || PyDict_SetItemString(type->tp_dict, "send_robust", descriptor);
        Py_DECREF(descriptor);
        PyType_Modified(type);
        return failed ? -1 : 0;
    }
    """
    ctypedef object (*fs_method)(object, PyObject *const *, Py_ssize_t, PyObject *)
    int fs_install(type, fs_method, const char *) except -1
    object fs_target(PyObject *reference)
    object fs_type_lookup(object thing, object name)
    void fs_add(Py_ssize_t counter)
    Py_ssize_t fs_load(Py_ssize_t counter)
    object fs_raise()

    PyObject *fs_call(PyObject *, PyObject *const *, size_t, PyObject *)
    PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *)
    PyObject **fs_items(PyObject *)
    bint fs_same(PyObject *, PyObject *)
    bint PyList_CheckExact(object)
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    bint PyFunction_Check(PyObject *)
    PyObject *PyFunction_GET_CODE(PyObject *)
    bint PyWeakref_CheckRefExact(PyObject *)
    bint PyWeakref_CheckRef(PyObject *)
    object PyMethod_New(object function, object owner)
    int PyList_SetSlice(object, Py_ssize_t, Py_ssize_t, PyObject *) except -1
    void PyObject_GC_Track(PyObject *)
    void PyObject_GC_UnTrack(PyObject *)
    void Py_SET_SIZE(PyObject *, Py_ssize_t)
    void Py_DECREF(PyObject *)
    void Py_INCREF(PyObject *)
    object PyLong_FromVoidPtr(PyObject *)
    PyObject *PyTuple_New(Py_ssize_t)
    void PyList_SET_ITEM(PyObject *, Py_ssize_t, PyObject *)
    void PyTuple_SET_ITEM(PyObject *, Py_ssize_t, PyObject *)

cdef enum:
    SMALL = 16  # so many arguments are put in order on the C stack, more of them on the heap
    SHAPES = 8  # so many call shapes keep their plans; a ninth starts anew
    KIND_OTHER = 0
    KIND_FUNCTION = 1
    KIND_METHOD = 2
    KIND_OBJECT = 3
    KIND_CONFLICT = 4

assert (KIND_FUNCTION, KIND_METHOD, KIND_OBJECT) == (FUNCTION, METHOD, OBJECT)


@cython.final
cdef class Version:
    """Counts what happens to a table behind its dispatcher's back: outside changes, and deaths.

    It is the callback of the table's weak references, and refers to nothing itself: so it may be
    called at any moment, and keeps no signal alive.
    """

    cdef Py_ssize_t number

    def __call__(self, reference=None):
        fs_add(self.number)


@cython.final
@cython.no_gc_clear
cdef class Method:
    """A weakly referenced bound method in a route: `MethodReference` at the speed of C."""

    cdef object owner
    cdef object function

    def __cinit__(self, reference):
        self.owner = reference
        self.function = reference.function
        if not PyWeakref_CheckRef(<PyObject *>self.function):
            raise TypeError("the function of a MethodReference is no weak reference")


@cython.final
@cython.no_gc
cdef class Plan:
    """How receivers that follow one another take the arguments of one call shape.

    `order` tells which of the sent arguments comes next: first those that go by position, then
    those that go by keyword, under the names `keywords`.
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
@cython.no_gc_clear
cdef class Calls:
    """The receivers of a route and how they take one call shape; immutable but for `stale`.

    A call shape is what a call site passes: so many positional arguments (`nargs`) and a tuple
    of keyword names.  A plan holds for its i-th receiver as long as that runs `codes[i]`.
    """

    cdef Py_ssize_t nargs
    cdef PyObject *kwnames  # the tuple that a call site passed, or NULL; `names` keeps it
    cdef tuple names
    cdef tuple named        # all the names that receivers are called with
    cdef list sent          # which of the sent arguments each of them has; the signal is -1
    cdef tuple references
    cdef tuple codes
    cdef tuple plans
    cdef bint stale         # a plan did not hold
    cdef Calls next         # those for another call shape


@cython.final
@cython.no_gc_clear
cdef class Route:
    """The connections that one sender reaches, ready to call; immutable but for its plans."""

    cdef tuple references
    cdef object holder      # what keeps the sender's key its own, or None
    cdef Calls calls

    def __cinit__(self, references, sender_holder=None):
        self.holder = sender_holder
        taken = []
        for reference in references:
            taken.append(Method(reference) if type(reference) is MethodReference else reference)
        self.references = tuple(taken)


cdef class Dispatcher:
    """The connections of one signal.

    `Signal` gives it its interface; what a face of fastsig may want otherwise (what becomes of an
    exception) is a method to override.
    """

    cdef object table       # the connections, in order; None once `receivers` is deleted
    cdef bint watched       # the table is our own, which tells of changes; others are compared
    cdef Version version    # of our own table
    cdef Py_ssize_t seen    # the version up to which all that follows is true
    cdef Py_ssize_t edits   # how often this dispatcher changed the table itself
    cdef list entries       # the table as it was when the routes were worked out, if needed
    cdef dict index         # {key: entry} of the table, or None
    cdef dict senders       # {sender key: what keeps the key this sender's own}
    cdef dict places        # {sender key: the indexes of its entries}
    cdef dict routes        # {sender key: Route}, as far as they were needed, or None
    cdef Route sole         # the route of everybody, if the table is a list and there is no other

    def __cinit__(self, *args, **kwargs):
        self.version = Version()
        self.senders = {}
        self.adopt(Table(self.version))

    @property
    def receivers(self):
        """The live table, a list of ``((receiver key, sender key), reference)``.

        Change it as you like, or assign another list: the next `send` honours it.
        """
        with cython.critical_section(self):
            table = self.table
        if table is None:
            raise AttributeError("receivers")
        return table

    @receivers.setter
    def receivers(self, table):
        self.adopt(table)

    @receivers.deleter
    def receivers(self):
        self.adopt(None)

    def _connect(self, receiver_key, reference, sender=None):
        """Add a connection, unless there is one with the same keys.

        Arguments:
            receiver_key: What the receiver is known by.
            reference: The receiver, or a weak reference to it made by `_weak`.
            sender: The only sender to receive from; None for any.

        Raises:
            TypeError: `receiver_key` is not hashable.
        """
        sender_key = ANY if sender is None else key(sender)
        entry = ((receiver_key, sender_key), reference)
        hash(receiver_key)
        sender_holder = None if sender is None else holder(sender, self.version)
        with cython.critical_section(self):
            self.insert(entry, sender_holder)

    def _disconnect(self, receiver_key, sender=None):
        """Remove the connection with these keys; return whether there was one.

        Raises:
            TypeError: `receiver_key` is not hashable.
        """
        sender_key = key(sender)
        hash(receiver_key)
        with cython.critical_section(self):
            return self.remove((receiver_key, sender_key))

    def _weak(self, receiver):
        """Return a weak reference to `receiver` that the table is told of the death of.

        Raises:
            TypeError: `receiver` cannot be weakly referenced.
        """
        if type(receiver) is MethodType:
            return MethodReference(receiver, self.version)
        return ref(receiver, self.version)

    def has_listeners(self, sender=None):
        """Tell whether a live receiver would be called if `sender` sent the signal."""
        for reference in self.find(<PyObject *>sender).references:
            if live(reference) is not None:
                return True
        return False

    def _failed(self, receiver, exception):
        """Return the response of a receiver that raised `exception`, or raise one.

        It is called while the exception is being handled.
        """
        raise exception

    # The fast path replaces this at the end of the module; it is here for those who read.
    def send(self, sender, **named):
        raise NotImplementedError

    cdef int adopt(self, table) except -1:
        """Make `table` the table."""
        # The table of another signal tells that one, so here it is compared like any list.
        watched = type(table) is Table and table.changed is self.version
        with cython.critical_section(self):
            _old = self.table, self.entries, self.index, self.routes, self.sole
            self.watched = watched
            self.table = table
            self.seen = fs_load(self.version.number) - 1
            self.edited()
            self.entries = None
            self.index = None
        return 0

    cdef void edited(self):
        """Drop what was worked out from the table as it was."""
        # Receivers may die with the routes, and run code that must find the fields consistent; and
        # for a tuple of both there may be no memory.
        _sole, _routes = self.sole, self.routes
        self.edits += 1
        self.sole = None
        self.routes = None

    cdef bint fresh(self) except -1:
        """Tell whether what was worked out from the table is true to it."""
        if self.seen != fs_load(self.version.number):
            return False
        if self.watched:
            return True
        table, entries = self.table, self.entries
        if entries is None:
            return False
        if not isinstance(table, list):
            table = listed(table)
        return fs_same(<PyObject *>table, <PyObject *>entries)

    cdef int refresh(self) except -1:
        """Purge the table of what died, and sort its connections by sender.

        Collecting garbage runs foreign code, and any allocation may collect: so this works on a
        copy of the table and starts again if the table was changed meanwhile.
        """
        while True:
            number, edits, table = fs_load(self.version.number), self.edits, self.table
            entries = listed(table)
            live, senders = self.purged(entries)
            routes = {}
            places = {ANY: []}
            for place, ((_, sender_key), _) in enumerate(live):
                places.setdefault(sender_key, []).append(place)
            sole = None
            if len(places) == 1:
                places[ANY] = range(len(live))
                if self.watched or PyList_CheckExact(table):
                    sole = Route([reference for _, reference in live])
            _old = self.entries, self.index, self.senders, self.places, self.routes, self.sole
            if number != fs_load(self.version.number) or edits != self.edits:
                continue
            purges = len(live) != len(entries) and isinstance(table, list)
            if purges:
                with cython.critical_section(table):
                    if not fs_same(<PyObject *>table, <PyObject *>entries):
                        continue
                    PyList_SetSlice(table, 0, len(entries), <PyObject *>live)
                # Where there is no GIL, another thread may have had its way meanwhile.
                if number != fs_load(self.version.number) or edits != self.edits:
                    continue
            # From here on nothing is allocated or freed, so the fields change all at once.
            self.edits += 1
            self.entries = None if self.watched and sole is not None else live
            if self.seen != number or not self.watched or len(live) != len(entries):
                self.index = None
            self.senders = senders
            self.places = places
            self.routes = routes
            self.sole = sole
            self.seen = number
            if purges and not self.watched and type(table) is Table:
                table.changed()  # for it is the table of another signal, too
            return 0

    cdef tuple purged(self, list entries):
        """Return those of `entries` that are alive, and the holders of their senders."""
        live, senders = [], {}
        holders = self.senders  # a local name, as in `route`
        for entry in entries:
            (_, sender_key), reference = entry
            sender_holder = holders.get(sender_key)
            if not dead(reference) and not dead(sender_holder):
                live.append(entry)
                if sender_holder is not None:
                    senders[sender_key] = sender_holder
        # Connections that were taken out of the table from outside may be put back.
        for sender_key in list(holders):
            sender_holder = holders.get(sender_key)
            if PyWeakref_CheckRef(<PyObject *>sender_holder) and not dead(sender_holder):
                senders[sender_key] = sender_holder
        return live, senders

    cdef dict indexed(self):
        """Return the index of the table, which is true to it."""
        while not self.fresh() or self.index is None:
            self.refresh()
            number, edits, table = fs_load(self.version.number), self.edits, self.table
            index = {}
            for entry in listed(table):
                index.setdefault(entry[0], entry)
            if number == fs_load(self.version.number) and edits == self.edits:
                self.index = index
                break  # a table that is no list keeps its dead, and so is never fresh
        return self.index

    cdef int insert(self, tuple entry, sender_holder) except -1:
        """Add an entry to the table, unless one with its keys is there."""
        while True:
            index, edits = self.indexed(), self.edits
            holders = self.senders  # a local name, as in `route`
            if sender_holder is not None and dead(holders.get(entry[0][1])):
                fs_add(self.version.number)  # nobody told of that death
                continue
            other = index.setdefault(entry[0], entry)
            if other is not entry:
                if dead(other[1]) and isinstance(self.table, list):
                    fs_add(self.version.number)
                    continue
                return 0
            try:
                if sender_holder is not None:
                    holders.setdefault(entry[0][1], sender_holder)
                # Comparing keys may have run code that changed the table.
                if edits != self.edits:
                    continue
                table, entries = self.table, self.entries
                if self.watched:
                    PyList_Append(table, entry)
                else:
                    self.receivers.append(entry)
                    entries.append(entry)
            except BaseException:
                self.seen -= 1  # so that the next operation works out anew what goes with the table
                raise
            self.edited()
            return 0

    cdef bint remove(self, tuple keys) except -1:
        """Remove the entry with these keys; return whether it was there."""
        while True:
            index = self.indexed()
            number, edits, table = fs_load(self.version.number), self.edits, self.table
            holders = self.senders  # a local name, as in `route`
            others = listed(table) if keys[1] in holders else None
            entry = index.pop(keys, None)
            if index is not self.index:
                continue
            if entry is None:
                return False
            self.index = None  # until the table is without the entry, too
            # Asking a method is Python code: another thread may come in.
            if dead(entry[1]) or dead(holders.get(keys[1])):
                fs_add(self.version.number)
                return False
            # What may be freed here lives until all is done: it may be the last of a receiver.
            table, _entries = self.table, self.entries
            found = False
            # Deleting takes the table's lock again, which CPython from 3.14 on does without giving
            # it up in between; a free-threaded 3.13 may let another thread change the table there.
            with cython.critical_section(table):
                entries = table if isinstance(table, list) else listed(table)
                for place in range(PyList_GET_SIZE(entries)):
                    if PyList_GET_ITEM(entries, place) is <PyObject *>entry:
                        found = True
                        if self.watched:
                            PyList_SetSlice(table, place, place + 1, NULL)
                        else:
                            del table[place]
                        break
            unchanged = self.watched and edits == self.edits and len(index) == len(table)
            self.index = index if unchanged else None
            self.entries = None  # which would keep the receiver alive
            self.edited()
            if found or not isinstance(table, list):
                break  # if not, another may have taken its place meanwhile
        if others is not None:
            left = -1  # of its sender's connections, not counting this one
            for (_, sender_key), _ in others:
                if sender_key == keys[1]:
                    left += 1
                if left > 0:
                    return found
            # Unless code that ran meanwhile connected for that sender, it is not needed any more.
            if number == fs_load(self.version.number) and edits + 1 == self.edits:
                _old = holders.pop(keys[1], None)
        return found

    cdef Route find(self, PyObject *sender):
        """Return the route of a sender."""
        cdef Route route
        cdef PyObject *found
        with cython.critical_section(self):
            if not self.fresh() or self.routes is None:
                self.refresh()
            if self.sole is not None:
                return self.sole
            if PyUnicode_CheckExact(<object>sender):
                sender_key = <object>sender
            else:
                sender_key = PyLong_FromVoidPtr(sender)
            if self.routes is not None:  # it is again, if what `refresh` freed changed the table
                found = PyDict_GetItemWithError(self.routes, sender_key)
                if found is not NULL:
                    route = <Route>found
                    if not dead(route.holder):
                        return route
            route = self.route(sender_key)
        if route is None and known_otherwise(<object>sender):
            sender_key = key(<object>sender)
            with cython.critical_section(self):
                route = self.route(sender_key)
        if route is None:
            with cython.critical_section(self):
                route = self.route(ANY)
        return route

    cdef Route route(self, sender_key):
        """Return the route of a sender key, None if it is not in the table."""
        while True:
            if not self.fresh() or self.routes is None:
                self.refresh()
            if self.sole is not None:
                return self.sole
            if len(self.places) == 1:
                sender_key = ANY
            # Comparing keys may run code that replaces what `self` refers to: hence local names.
            edits, routes, entries, places = self.edits, self.routes, self.entries, self.places
            holders = self.senders
            sender_holder = holders.get(sender_key)
            if dead(sender_holder):
                # CPython does not tell of all: of no weak reference, from 3.14 on, that was made
                # while its target was finalized.
                fs_add(self.version.number)
                continue
            route = routes.get(sender_key)
            if route is not None:
                return <Route>route
            reached = places.get(sender_key)
            if reached is None:
                return None
            if sender_key != ANY:
                reached = sorted([*places[ANY], *reached])
            references = []
            for i in reached:
                references.append(entries[i][1])
            route = Route(references, sender_holder)
            if edits == self.edits:
                routes[sender_key] = route
                return <Route>route

    cdef Calls calls(self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
        """Return the calls for a sender and a call shape, which may be new."""
        cdef Calls calls
        route = self.find(sender_of(args, nargs, kwnames))
        with cython.critical_section(self):
            calls = <Calls>fitting(<PyObject *>route.calls, nargs, kwnames)
        return self.plan(route, nargs, kwnames) if calls is None else calls

    cdef Calls plan(self, Route route, Py_ssize_t nargs, PyObject *kwnames):
        """Return the calls of a route for a call shape that is new, or has names not interned.

        Raises:
            TypeError: This is not how `send` is called.
        """
        names = () if kwnames is NULL else <tuple>kwnames
        if nargs > 1:
            raise TypeError(
                f"send() takes 1 positional argument, the sender, but {nargs} were given"
            )
        if nargs == 1 and "sender" in names:
            raise TypeError("send() got multiple values for argument 'sender'")

        cdef bint stale
        shapes = 0
        with cython.critical_section(self):
            others = calls = route.calls
        while calls is not None:
            with cython.critical_section(self):
                stale = calls.stale
            if stale:
                others = None
            elif calls.nargs == nargs and calls.names == names:
                return calls
            shapes += 1
            calls = calls.next

        sent = list(range(nargs + len(names)))
        named = ("sender",) * nargs + names
        if nargs == 0:
            at = named.index("sender")
            sent.insert(0, sent.pop(at))
            named = ("sender", *named[:at], *named[at + 1:])
        named, sent = ("signal", *named), [-1, *sent]

        cdef Plan plan = None
        plans, codes, last = [], [], None
        for place, reference in enumerate(route.references):
            receiver = live(reference)
            if receiver is None or "signal" in names:
                found = KIND_CONFLICT, None, (), ()
            else:
                found = plan_for(receiver, named)
            kind, code, positional, by_keyword = found
            if plan is None or last != (kind, positional, by_keyword):
                last = kind, positional, by_keyword
                plan = Plan(kind, named, sent, positional, by_keyword)
                plans.append(plan)
            plan.stop = place + 1
            codes.append(code)
        new = Calls()
        new.nargs = nargs
        new.kwnames = kwnames
        new.names = names
        new.named = named
        new.sent = sent
        new.references = route.references
        new.codes = tuple(codes)
        new.plans = tuple(plans)
        new.next = others if shapes < SHAPES else None
        with cython.critical_section(self):
            _old = route.calls
            route.calls = new
        return new

    cdef failure(self, receiver):
        """Return the response of a receiver that just raised; let through what is no Exception."""
        try:
            response = fs_raise()
        except Exception as exception:
            # No return from here: Cython's needs a traceback, for which there may be no memory.
            response = self._failed(receiver, exception)
        return response


cdef list listed(table):
    """Return a copy of a table; of a list, whatever its own methods, as it is."""
    # Not by PyList_GetSlice, which looks at the size before it allocates, which may collect.
    return list(list.__iter__(table) if isinstance(table, list) else table or ())


cdef bint dead(reference) except -1:
    """Tell whether `reference` is a weak reference whose target is gone."""
    if PyWeakref_CheckRefExact(<PyObject *>reference):
        return fs_target(<PyObject *>reference) is None
    return PyWeakref_CheckRef(<PyObject *>reference) and reference() is None


cdef bint known_otherwise(sender) except -1:
    """Tell whether a sender is known by something else than its `id`."""
    if PyUnicode_CheckExact(sender):
        return False
    if isinstance(sender, (str, bytes)) or type(sender) is MethodType:
        return True
    return fs_type_lookup(sender, "_get_current_object") is not None


cdef inline live(reference):
    """Return the receiver of a reference in a route, None if it is dead."""
    if PyWeakref_CheckRefExact(<PyObject *>reference):
        return fs_target(<PyObject *>reference)
    if type(reference) is Method:
        owner = fs_target(<PyObject *>(<Method>reference).owner)
        function = fs_target(<PyObject *>(<Method>reference).function)
        return None if owner is None or function is None else PyMethod_New(function, owner)
    if PyWeakref_CheckRef(<PyObject *>reference):
        return reference()
    return reference


cdef PyObject *sender_of(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) except NULL:
    """Return the sender among the arguments of `send`."""
    if nargs > 0:
        return args[0]
    for i in range(0 if kwnames is NULL else PyTuple_GET_SIZE(<object>kwnames)):
        if <object>PyTuple_GET_ITEM(<object>kwnames, i) == "sender":
            return args[i]
    raise TypeError("send() missing 1 required argument: 'sender'")


cdef inline bint same_names(PyObject *these, PyObject *those) noexcept:
    """Tell whether two tuples of keyword names hold the same strings."""
    # A call site passes the same tuple every time; another one, or `**mapping`, one of its own
    # with, as a rule, the same interned strings.  Those that are not interned are left to `plan`.
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


cdef inline PyObject *fitting(PyObject *calls, Py_ssize_t nargs, PyObject *kwnames) noexcept:
    """Return the first of these `Calls` that are for a call shape, None if there are none."""
    while calls is not <PyObject *>None and (
        (<Calls>calls).nargs != nargs
        or not same_names((<Calls>calls).kwnames, kwnames)
        or (<Calls>calls).stale
    ):
        calls = <PyObject *>(<Calls>calls).next
    return calls


cdef Calls unwatched(Dispatcher self, Py_ssize_t nargs, PyObject *kwnames):
    """Return the calls for a call shape, None if the table, a list, was changed from outside."""
    sole, table, entries = self.sole, self.table, self.entries
    if not fs_same(<PyObject *>table, <PyObject *>entries):
        return None
    return <Calls>fitting(<PyObject *>(<Route>sole).calls, nargs, kwnames)


cdef send(Dispatcher self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames):
    """Dispatcher.send, with its arguments as the call site passes them."""
    cdef Calls calls
    with cython.critical_section(self):
        if self.sole is None or self.seen != fs_load(self.version.number):
            calls = None
        elif self.watched:
            calls = <Calls>fitting(<PyObject *>self.sole.calls, nargs, kwnames)
        else:
            calls = unwatched(self, nargs, kwnames)
    if calls is None:
        calls = self.calls(args, nargs, kwnames)
    if PyTuple_GET_SIZE(calls.references) == 0:
        return []
    return run(self, calls, args)


cdef list run(Dispatcher self, Calls calls, PyObject *const *args):
    """Call every receiver; return the list of ``(receiver, response)``."""
    cdef PyObject *small[SMALL + 1]
    cdef PyObject **vector = small  # the arguments of a call, with room for a `self` before them
    cdef PyObject **references = fs_items(<PyObject *>calls.references)
    cdef PyObject **codes = fs_items(<PyObject *>calls.codes)
    cdef PyObject **plans = fs_items(<PyObject *>calls.plans)
    cdef PyObject *plan
    cdef PyObject *callee
    cdef PyObject *response
    cdef PyObject *pair
    cdef Py_ssize_t size = PyTuple_GET_SIZE(calls.references)
    cdef Py_ssize_t filled = 0
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t j, kind, place
    cdef list responses

    if PyList_GET_SIZE(calls.sent) > SMALL:
        vector = <PyObject **>PyMem_Malloc((PyList_GET_SIZE(calls.sent) + 1) * sizeof(PyObject *))
        if vector is NULL:
            raise MemoryError
    try:
        vector[0] = NULL
        # Untracked, no code that runs meanwhile can come upon the list and its empty places.
        responses = PyList_New(size)
        PyObject_GC_UnTrack(<PyObject *>responses)

        while i < size:
            plan = plans[0]
            plans += 1
            kind = (<Plan>plan).kind
            for j in range((<Plan>plan).count):
                place = (<Plan>plan).order[j]
                vector[1 + j] = <PyObject *>self if place < 0 else args[place]

            while i < (<Plan>plan).stop:
                receiver = live(<object>references[i])
                i += 1
                if receiver is None:
                    fs_add(self.version.number)
                    continue

                callee = <PyObject *>receiver
                if kind == KIND_METHOD:
                    if PyMethod_Check(receiver):
                        callee = PyMethod_GET_FUNCTION(receiver)
                        vector[0] = PyMethod_GET_SELF(receiver)
                    else:  # somebody's own kind of reference gives another receiver than before
                        callee = <PyObject *>calls
                elif kind == KIND_OBJECT:
                    function = fs_type_lookup(receiver, "__call__")
                    callee = <PyObject *>function
                    vector[0] = <PyObject *>receiver

                if kind != KIND_OTHER and not (
                    PyFunction_Check(callee)
                    and PyFunction_GET_CODE(callee) is codes[i - 1]
                ):
                    other = call_unplanned(self, receiver, calls, args)
                    response = <PyObject *>other
                    Py_INCREF(response)
                else:
                    if kind == KIND_FUNCTION:
                        response = fs_call(
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
                        response = fs_call(
                            callee, vector, (<Plan>plan).positional + 1, (<Plan>plan).kwnames
                        )
                    if response is NULL:
                        other = self.failure(receiver)
                        response = <PyObject *>other
                        Py_INCREF(response)

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
    return responses


cdef call_unplanned(Dispatcher self, receiver, Calls calls, PyObject *const *args):
    """Call a receiver whose plan does not hold; return its response."""
    with cython.critical_section(self):
        calls.stale = True  # to be planned again by the next send
    sent = []
    for place in calls.sent:
        sent.append(self if place < 0 else <object>args[<Py_ssize_t>place])
    try:
        if "signal" in calls.names:
            raise TypeError(f"{receiver!r} got multiple values for argument 'signal'")
        _, _, positional, by_keyword = plan_for(receiver, calls.named)
        args_by_position = []
        for i in positional:
            args_by_position.append(sent[i])
        kwargs = {calls.named[i]: sent[i] for i in by_keyword}
        response = receiver(*args_by_position, **kwargs)
    except Exception as exception:
        response = self._failed(receiver, exception)  # see `failure`
    return response


fs_install(Dispatcher, <fs_method>send, b"""send($self, sender, **named)
--

Call every receiver that is connected to `sender` or to any sender.

A receiver is called as ``receiver(signal=self, sender=sender, **named)``; one that does not take
``**kwargs`` gets those of these arguments that it has a name for.

Arguments:
    sender: What sends the signal, or None.
    **named: What the receivers are told.

Returns:
    ``[(receiver, response), ...]``, in the order of connection.

Raises:
    TypeError: There is no sender, or more than one positional argument.""")
