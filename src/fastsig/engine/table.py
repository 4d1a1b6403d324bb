"""Which receivers are called: the connections of a signal, their keys, lifetimes and routes.

Both builds use this source: Python runs it as it is, and Cython compiles it as
``fastsig.engine._compiled.table``, with the types that ``_compiled/table.pxd`` declares.

`Connections._cell` holds everything that changes (see `_begin`).  Each item is replaced as a whole,
so a send reads it without a lock; only the dicts of a State change in place.  Routes are used only
while their `seen` is the number of the signal's `Version`; every edit replaces them with
`NO_ROUTES`.

An edit is prepared without a lock.  Then `_commit` runs, with the lock that all edits share.  If
the State or the number has changed since the edit was prepared, it does nothing, and the edit
starts again.  No foreign code runs under the lock: keys are compared before it is taken, and the
objects that an edit drops are kept alive until it is released.  In plain Python, foreign code may
run there all the same (a garbage collection, an OS signal handler, a tracer), in the same thread,
between two lines; so each check is on the same line as the change that it guards.  What the lock is
differs: see `LOCK` in send_py.py and `fs_lock` in compat.h.

Avoid comprehensions whose items are new objects: if the append runs out of memory, Cython 3.3
decrements the reference count of the item twice.
"""

from __future__ import annotations

from itertools import count
from types import FunctionType, MethodType
from weakref import ReferenceType, WeakMethod

from fastsig.engine.policy import Policy

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from typing import Any

    Entry = tuple[Any, ...]
    """``((receiver key, sender key), reference, ...)``: a face may add more."""

# Call these by name, not as methods: the methods of `Table` are edits, and for a method of a typed
# dict, Cython would borrow a value that another thread may replace.
append, pop, replace = list.append, list.pop, list.__setitem__
get, drop = dict.get, dict.pop
ALL = slice(None)

ANY = id(None)
"""The sender key of a connection for any sender."""

CLASS = "class"
"""The first item of a sender key ``(CLASS, id(class))``, which matches a class, its subclasses and
their instances."""

NEVER = -1
"""The version number of a state or of routes that are not valid."""

NUMBERS = count(1)
"""The numbers of versions: each is used once, so a number that has been left never comes back."""

MISSING = object()

PAST = 16
"""How many receivers that died, or were not connected, a signal remembers."""

PLAIN = Policy()
"""The policy of an engine that is not configured."""

ENGINES: dict[int, Any] = {}
"""Weak references to all engines, each under a number of its own: see `list_engines`."""

WATCHERS: list[Any] = [None]
"""The watcher that a new signal starts with: see `watch_new`."""


# Keys and references


def resolve_proxy(thing: Any) -> Any:
    """Return the target of a proxy (Celery's ``Proxy``, werkzeug's ``LocalProxy``), or `thing`."""
    if hasattr(type(thing), "_get_current_object"):
        return thing._get_current_object()
    return thing


def make_key(thing: Any) -> Any:
    """Return the key of a receiver or a sender.

    A str or bytes has its value, a bound method ``(id(__self__), id(__func__))``, everything else
    its `id`; a proxy has the key of its target.
    """
    kind = type(thing)  # not isinstance: a mock with a spec lies about its class
    if kind is FunctionType or thing is None:
        return ANY if thing is None else id(thing)  # ANY itself: connections share that int
    if kind is MethodType:
        return (id(thing.__self__), id(thing.__func__))
    if hasattr(kind, "_get_current_object"):
        target = thing._get_current_object()
        return id(target) if hasattr(type(target), "_get_current_object") else make_key(target)
    if issubclass(kind, str):
        return str.__str__(thing)
    if issubclass(kind, bytes):
        return bytes(memoryview(thing))
    return id(thing)


def make_receiver_key(receiver: Any, dispatch_uid: Any = None) -> Any:
    """Return the key of a receiver: its `dispatch_uid`, or its identity.

    Raises:
        TypeError: `dispatch_uid` is not hashable.
    """
    if dispatch_uid is not None:
        try:
            hash(dispatch_uid)
        except TypeError:
            kind = type(dispatch_uid).__name__
            raise TypeError(f"dispatch_uid must be hashable, got {kind!r}") from None
        if dispatch_uid:
            return dispatch_uid
    own = getattr(receiver, "_dispatch_uid", MISSING)
    return make_key(receiver) if own is MISSING else own


class Subclasses:
    """A sender that matches a class, its subclasses, and their instances."""

    __slots__ = ("base",)

    def __init__(self, base: Any) -> None:
        self.base = base


def make_sender_key(sender: Any, by_value: Any) -> Any:
    """Return the key under which a connection has its sender."""
    if type(sender) is Subclasses_:
        return (CLASS, id(sender.base))
    return make_key(sender) if by_value else id(sender)


def make_code(keys: Any) -> Any:
    """Return the number under which the index has a pair of keys.

    It is their hash; for a receiver of all senders, its key, as that takes no more memory.
    """
    receiver_key, sender_key = keys
    if sender_key != ANY:
        return hash(keys)
    code = hash(receiver_key)
    return receiver_key if type(receiver_key) is int and receiver_key == code else code


def is_class_key(sender_key: Any) -> bool:
    """Return whether a sender key matches a class with its subclasses."""
    return (
        type(sender_key) is tuple
        and len(sender_key) == 2
        and type(sender_key[0]) is str
        and sender_key[0] == CLASS
    )


def make_class_keys(sender: Any) -> list[Any]:
    """Return the class keys that match a sender."""
    kinds = [type(sender)]
    if issubclass(kinds[0], type):
        kinds = [sender] if kinds[0] is type else [sender, kinds[0]]
    keys = []
    for kind in kinds:
        for base in kind.__mro__:
            keys.append((CLASS, id(base)))
    return keys


class MethodReference(WeakMethod):  # type: ignore[type-arg]
    """A weak reference to a bound method, without the closure that WeakMethod makes for each."""

    __slots__ = ()

    _func_ref: Any
    _meth_type: Any
    _alive: Any

    def __new__(cls, method: Any, callback: Any = None) -> MethodReference:
        self = ReferenceType.__new__(cls, method.__self__, callback)
        self._func_ref = ReferenceType(method.__func__, callback)
        self._meth_type = MethodType
        self._alive = True
        return self


def make_reference(thing: Any, callback: Any) -> Any:
    """Return a weak reference to `thing`, which calls `callback` when it dies.

    Raises:
        TypeError: `thing` cannot be weakly referenced.
    """
    if type(thing) is MethodType:
        return MethodReference_(thing, callback)
    return ReferenceType(thing, callback)


def make_holder(sender: Any, by_value: Any, callback: Any) -> Any:
    """Return a sender's holder, which prevents that another object is taken for the sender.

    It is a weak reference; a tuple that keeps the sender alive, if that cannot be weakly
    referenced; or None, if the sender's key is its value.
    """
    if sender is None:
        return None
    if type(sender) is Subclasses_:
        return ReferenceType(sender.base, callback)
    if by_value:
        sender = resolve_proxy(sender)
        if issubclass(type(sender), (str, bytes)):
            return None
    try:
        return make_reference(sender, callback) if by_value else ReferenceType(sender, callback)
    except TypeError:
        # In a tuple, so that a sender that is a weak reference is not mistaken for a holder.
        return (sender,)


def is_dead(reference: Any) -> bool:
    """Return whether `reference` is a weak reference whose target is gone."""
    kind = type(reference)
    return (kind is ReferenceType or issubclass(kind, ReferenceType)) and reference() is None


def resolve(reference: Any) -> Any:
    """Return the receiver of a reference, None if it is dead."""
    return reference() if issubclass(type(reference), ReferenceType) else reference


# The table


class Version:
    """The version of a signal's connections, which changes with them.

    `number` changes when a receiver or a sender dies, when the table is changed from outside, and
    in cases of doubt.  `edits` counts the signal's own edits, for `change_if`.  `past` has the
    labels of the last receivers that died, and what was passed to `Connections.remember`.
    `taken` is whether an engine has it: see `Connections.take_table`.

    It is the callback of the weak references to senders.  It does not refer to the signal, so it
    can be called at any time, and does not keep the signal alive.
    """

    __slots__ = ("edits", "number", "past", "taken")

    def __init__(self) -> None:
        self.taken = False
        self.number = 0
        self.edits = 0
        self.past: list[Any] = []

    def bump(self) -> None:
        """Change the number."""
        number = next(NUMBERS)  # a variable that is typed where it is compiled
        self.number = number

    def __call__(self, reference: Any = None) -> None:
        self.bump()

    # Called with the lock held: see `Connections`.

    def look_at(self, table: Any) -> Any:
        """Return the moment (number and edits), and the entries that the table has then."""
        return (self.number, self.edits), [*table]

    def change_if(self, moment: Any, change: Any, args: Any) -> bool:
        """Call ``change(*args)`` if nothing has changed since a moment; return whether it did."""
        # Checked again after the number is set: foreign code may have run before that.
        seen, edits = moment
        changing = next(NUMBERS)
        if self.number == seen and self.edits == edits: self.number = changing  # fmt: skip
        else: return False  # fmt: skip
        try:
            if self.number == changing and self.edits == edits: change(*args)  # fmt: skip
            else: return False  # fmt: skip
        finally:
            self.bump()
        return True


class Death:
    """The callback of a weak reference to a receiver, with the label that `make_label` made."""

    __slots__ = ("label", "version")

    def __init__(self, version: Any, label: Any) -> None:
        self.version = version
        self.label = label

    def __call__(self, reference: Any = None) -> None:
        """Bump the version, and remember the receiver that died."""
        self.version.bump()
        add_to_past(self.version, (self.label, None))


def add_to_past(version: Any, note: Any) -> None:
    """Remember a note, and forget all but the last `PAST` notes."""
    append(version.past, note)
    if len(version.past) > PAST:
        del version.past[:-PAST]


def make_label(receiver: Any) -> Any:
    """Return the label under which a receiver is remembered: its code, or its class's name."""
    if type(receiver) is MethodType:
        receiver = receiver.__func__
    if type(receiver) is FunctionType:
        return receiver.__code__
    return type(receiver).__qualname__


class Table(list):  # type: ignore[type-arg]
    """The connections in order: a list that tells its signal of changes from outside.

    Raises:
        TypeError: An entry is malformed; nothing is changed.
    """

    __slots__ = ("version",)

    version: Any
    locked: Any = None
    """Calls a function with the lock that all edits share; each build sets it."""

    def get_version(self) -> Any:
        """Return the version; a table that no engine has taken gets one when it needs it."""
        if self.version is None:
            Table_.locked(self._start, Version())
        return self.version

    def _start(self, version: Any) -> None:
        if self.version is None: self.version = version  # fmt: skip

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (list, ([*self],))

    def _edit(self, method: Any, *args: Any, **options: Any) -> Any:
        """Let a method of list change a copy, and take that over if nothing changed meanwhile."""
        change = replace.__get__(self)  # bound here, as in `Connections._refresh`
        version = self.get_version()
        while True:
            moment, before = Table_.locked(version.look_at, self)
            after = before[:]  # CPython 3.11 leaks `before` if there is no memory for [*before]
            result = method(after, *args, **options)
            # `before` keeps the old entries alive until the lock is released.
            if Table_.locked(version.change_if, moment, change, (ALL, after)):
                return result

    def rewrite(self, function: Any) -> None:
        """Replace the entries by ``function(entries)``, in one edit."""
        self._edit(lambda entries: replace(entries, ALL, check_entries(function(entries))))

    def append(self, entry: Any) -> None:
        self._edit(append, check_entry(entry))

    def extend(self, entries: Any) -> None:
        self._edit(list.extend, check_entries(entries))

    def insert(self, place: Any, entry: Any) -> None:
        self._edit(list.insert, place, check_entry(entry))

    def pop(self, place: Any = -1) -> Any:
        return self._edit(pop, place)

    def remove(self, entry: Any) -> None:
        self._edit(list.remove, entry)

    def clear(self) -> None:
        self._edit(list.clear)

    def reverse(self) -> None:
        self._edit(list.reverse)

    def sort(self, **how: Any) -> None:
        self._edit(list.sort, **how)

    def __setitem__(self, place: Any, entry: Any) -> None:
        self._edit(
            replace, place, check_entries(entry) if type(place) is slice else check_entry(entry)
        )

    def __delitem__(self, place: Any) -> None:
        self._edit(list.__delitem__, place)

    def __iadd__(self, entries: Any) -> Any:  # type: ignore[misc]
        self.extend(entries)
        return self

    def __imul__(self, times: Any) -> Any:  # type: ignore[misc]
        self._edit(list.__imul__, times)
        return self


def make_table(version: Any = None, entries: Any = None) -> Any:
    """Return a table; without a version, for an engine that takes it later (see `take_table`)."""
    table = Table_()
    table.version = version
    if entries is not None:
        list.extend(table, check_entries(entries))
    return table


def check_entry(entry: Any) -> Any:
    """Return a table entry.

    Raises:
        TypeError: It is malformed.
    """
    if not (
        (type(entry) is tuple or type(entry) is RaisingEntry_)
        and len(entry) >= 2
        and type(entry[0]) is tuple
        and len(entry[0]) == 2
    ):
        raise TypeError(
            "an entry of receivers must be a tuple ((receiver key, sender key), reference),"
            f" got {entry!r}"
        )
    hash(entry[0])
    return entry


def check_entries(entries: Any) -> list[Any]:
    """Return table entries as a list.

    Raises:
        TypeError: One is malformed.
    """
    checked = list(entries)
    for entry in checked:
        check_entry(entry)
    return checked


class RaisingEntry(tuple):  # type: ignore[type-arg]
    """An entry of a receiver whose exceptions reach the sender, even from `send_robust`."""

    __slots__ = ()


# What sends read


class Route:
    """The connections that one sender reaches, in order; `shapes` has the call plans made so far.

    `holder` is the sender's: a route is not used once its sender is dead.  `raising` has the
    references of each `RaisingEntry`.
    """

    __slots__ = ("holder", "raising", "references", "shapes")

    holder: Any
    raising: tuple[Any, ...]
    references: tuple[Any, ...]
    shapes: list[Any]

    def __init__(self, references: Any, raising: Any, holder: Any, shapes: Any) -> None:
        self.references, self.raising = references, raising
        self.holder, self.shapes = holder, shapes

    def raises(self, receiver: Any) -> bool:
        """Return whether exceptions of this receiver reach the sender from every send."""
        for reference in self.raising:
            found = resolve(reference)
            if found is receiver or (type(found) is MethodType and found == receiver):
                return True
        return False


def make_route(entries: Any, places: Any, holder: Any = None) -> Route:
    """Return a route with the entries at these places."""
    references, raising = [], []
    for place in places:
        entry = entries[place]
        references.append(entry[1])
        if type(entry) is RaisingEntry_:
            raising.append(entry[1])
    return Route(tuple(references), tuple(raising), holder, [])


class Routes:
    """The routes of a table as it was when the number of the version was `seen`.

    `by_sender` maps each sender key in the table to its Route; until a send needs that, to the
    places of its entries.  All other senders have the route `any`, with the connections for any
    sender.  If there are no such keys, `sole` is that route, too, and a send need not look further.

    Besides its own key, a sender may have **further keys**: its names and its classes.  They are
    determined when its route is made, and only if the table has such keys: `names`, `classes`.
    So the route of a sender that is not in `by_sender` is worked out from further keys if the table
    is `open`.  For a str, that is so if a class of a str is connected (`open_to_str`), or if
    objects are connected, which may have that name (`named`), and their names are not in
    `by_sender` yet (`unnamed`).  `more` caches the results, and
    `dead` has the keys of senders that have died since.

    `numbers` and `ready` are for the compiled send: see its `_number_senders`.
    """

    __slots__ = (
        *("any", "by_sender", "classes", "dead", "entries", "more", "named", "names"),
        *("numbers", "open", "open_to_str", "ready", "seen", "sole", "unnamed"),
    )

    def __init__(self, seen: Any, entries: Any, by_value: Any = False) -> None:
        self.seen = seen
        self.by_sender: dict[Any, Any] = {}
        self.names = self.classes = objects = False
        anybody = []
        for place, entry in enumerate(entries):
            sender_key = entry[0][1]
            kind = type(sender_key)
            if kind is int and sender_key == ANY:
                anybody.append(place)
            else:
                self.by_sender.setdefault(sender_key, []).append(place)
                if kind is int:
                    objects = True
                elif kind is str:
                    self.names = True
                elif is_class_key(sender_key):
                    self.classes = True
        for places in self.by_sender.values():
            if anybody:
                places.extend(anybody)
                places.sort()
        self.any = make_route(entries, anybody)
        self.sole = None if self.by_sender else self.any
        self.entries = entries if self.by_sender else None
        self.names = self.names and by_value
        self.open = self.names or self.classes
        self.named = objects and by_value
        self.unnamed = 1 if self.named else 0
        self.open_to_str = False
        self.more: dict[Any, Any] = {}
        self.dead: list[Any] = []
        if self.classes:
            for key in make_class_keys(""):
                if key in self.by_sender:
                    self.open_to_str = True


class Forget:
    """A callback that notes the death of a sender whose route is kept."""

    # Not a weak reference to the routes: without a GIL, the deallocation that Cython writes for
    # what can be weakly referenced races with that of the references.

    __slots__ = ("dead", "sender_key")

    def __init__(self, dead: Any, sender_key: Any) -> None:
        self.dead, self.sender_key = dead, sender_key

    def __call__(self, reference: Any) -> None:
        """Note the death."""
        append(self.dead, self.sender_key)


def forget_dead(routes: Any) -> bool:
    """Drop the routes of senders that have died; return whether there were any."""
    found = False
    while routes.dead:
        found = True
        try:
            sender_key = pop(routes.dead)
        except IndexError:  # another thread took it
            break
        drop(routes.by_sender, sender_key, None)
    return found


def share_route(shared: Any, holder: Any) -> Route:
    """Return a route for one more sender that reaches the same receivers; it shares the plans."""
    return Route(shared.references, shared.raising, holder, shared.shapes)


def group_places(routes: Any) -> Any:
    """Return the places of each sender key in the table; they are computed once."""
    groups = get(routes.more, "groups")
    if groups is None:
        groups = {}
        for place, entry in enumerate(routes.entries):
            groups.setdefault(entry[0][1], []).append(place)
        routes.more["groups"] = groups
    return groups


def find_once(entries: Any, places: Any) -> list[Any]:
    """Return the places, except those with the same receiver key as an earlier one.

    So a receiver that is connected both for a task and for its name is called once.  Connections
    for any sender are all kept: such a receiver is called again.
    """
    found = []
    seen = set()
    for place in sorted(places):
        receiver_key, sender_key = entries[place][0]
        if type(sender_key) is not int or sender_key != ANY:
            if receiver_key in seen:
                continue
            seen.add(receiver_key)
        found.append(place)
    return found


# What edits read


class State:
    """A table, and an index of it at version `seen`.

    `index` maps the code of an entry's keys (see `make_code`) to the entry, or to a list of those;
    `senders` maps a sender key to its holder and the number of its entries.
    """

    __slots__ = ("index", "seen", "senders", "table")

    index: Any
    seen: Any
    senders: Any
    table: Any


def make_state(table: Any, seen: Any, index: Any, senders: Any) -> State:
    # Not an `__init__`: Cython would make a tuple of the arguments.
    new: State = State.__new__(State)
    new.table, new.seen, new.index, new.senders = table, seen, index, senders
    return new


class Gone:
    """A callback that removes an engine from `ENGINES` when the engine dies."""

    __slots__ = ("number",)

    def __init__(self, number: Any) -> None:
        self.number = number

    def __call__(self, reference: Any) -> None:
        """Remove the engine."""
        drop(ENGINES, self.number, None)


def list_engines() -> list[Any]:
    """Return all living engines; the signals of the newest may not be complete yet.

    Unlike ``gc.get_objects()``, this never returns a tuple that another thread is still filling.
    """
    found = []
    for reference in ENGINES.copy().values():
        engine = reference()
        if engine is not None:
            found.append(engine)
    return found


class Connections:
    """The connections of one signal.

    The `Engine` of each build inherits from it, adds the sends, and holds the lock while `_commit`
    runs; what else needs the lock is called through `Table.locked`.
    """

    __slots__ = (
        *("__weakref__", "_by_value", "_cell", "_deleted", "_owner", "_policy", "_purges"),
        "_version",
    )

    _cell: Any

    def _begin(self) -> None:
        """Start without connections, and with the default policy."""
        self._by_value = self._purges = True
        self._deleted = False
        self._policy, self._owner = PLAIN, None
        self._version = Version()
        self._version.taken = True
        self._cell = [
            make_state(make_table(self._version), 0, {}, {}),
            NO_ROUTES,  # the routes that a send looks at first; none while there is a watcher
            None,  # the overrides: see `Policy.overrides`
            None,  # the watcher: a send that finds no routes goes through it
            NO_ROUTES,  # the routes, also while there is a watcher
        ]
        number = next(NUMBERS)
        # Before the watcher is asked for: whoever sets that from now on finds this engine.
        ENGINES[number] = ReferenceType(self, Gone(number))
        if WATCHERS[0] is not None:
            Table_.locked(self._replace_watcher, [], WATCHERS)

    def configure(self, policy: Policy, owner: Any = None) -> None:
        """Set the policy, and the signal that receivers get. Call it before the first send."""
        self._policy, self._owner = policy, owner
        self._by_value, self._purges = policy.by_value, policy.purges

    def take_table(self, table: Any) -> bool:
        """Use a table that was made before this engine, which must be new.

        Returns:
            Whether the table was free; otherwise it is another engine's.
        """
        version: Version = table.get_version()
        if version.taken:
            return False
        version.taken = True
        self._version = version
        self._cell[0] = make_state(table, NEVER, {}, {})
        return True

    def get_policy(self) -> Policy:
        """Return the policy of the face."""
        return self._policy

    def get_owner(self) -> Any:
        """Return the signal that receivers get: the host's, or this."""
        return self if self._owner is None else self._owner

    @property
    def receivers(self) -> Any:
        """The live table, a list of ``((receiver key, sender key), reference)`` in order.

        You may change it: the next send uses the changed table.  If you assign a list, it is
        copied; if you assign an earlier table of this signal, that very table is used again.

        Raises:
            TypeError: It is not a list, or an entry is malformed; the table is unchanged.
        """
        if self._deleted:
            raise AttributeError("receivers")
        state: State = self._cell[0]
        return state.table

    @receivers.setter
    def receivers(self, entries: Any) -> None:
        if not issubclass(type(entries), list):
            raise TypeError(f"receivers must be a list, got {type(entries).__name__!r}")
        own = type(entries) is Table_ and entries.version is self._version
        table = entries if own else make_table(self._version, entries)
        self._deleted = False
        Table_.locked(self._replace_table, [], table)

    @receivers.deleter
    def receivers(self) -> None:
        # The attribute is missing until it is assigned, as mock expects.
        self.receivers = []
        self._deleted = True

    def has_listeners(
        self, sender: Any = None, *, senders: Any = None, subclasses: bool = False
    ) -> bool:
        """Return whether a live receiver would be called if `sender` sent the signal.

        Arguments:
            sender: The sender, in any form that `connect` takes.
            senders: Several senders instead: whether any of them reaches a receiver.
            subclasses: Accepted as in `connect`; without effect.
        """
        for each in (sender,) if senders is None else senders:
            for reference in self.find_route(self._policy.read_sender(each)).references:
                if resolve(reference) is not None:
                    return True
        return False

    def set_watcher(self, watcher: Any) -> None:
        """Send through ``watcher(engine, sender, named, robust)``; directly again if it is None."""
        Table_.locked(self._replace_watcher, [], [watcher])

    def make_reference(self, receiver: Any) -> Any:
        """Return a weak reference to a receiver; the signal notices when that dies.

        Raises:
            TypeError: It cannot be weakly referenced.
        """
        return make_reference(receiver, Death(self._version, make_label(receiver)))

    def remember(self, receiver: Any, note: Any) -> None:
        """Remember that a receiver was not connected, and why."""
        add_to_past(self._version, (make_label(receiver), note))

    def get_past(self) -> list[Any]:
        """Return what is remembered, as ``(label, note)``; the note of a dead receiver is None."""
        return [*self._version.past]

    def add_connection(
        self,
        receiver_key: Any,
        reference: Any,
        sender: Any = None,
        more: Any = (),
        raising: Any = False,
    ) -> Any:
        """Add a connection; if there is one with the same keys, return its reference instead.

        Arguments:
            receiver_key: The key of the receiver, hashable.
            reference: The receiver, or a weak reference made by `make_reference`.
            sender: The only sender to receive from; None for any.
            more: Further items of the table's entry.
            raising: Whether exceptions of the receiver reach the sender from every send.
        """
        sender_key = make_sender_key(sender, self._by_value)
        keys = (receiver_key, sender_key)
        entry: Any = (keys, reference, *more) if more else (keys, reference)
        if raising:
            entry = RaisingEntry_(entry)
        holder = None
        if self._purges:
            holder = make_holder(sender, self._by_value, self._version)
        code = make_code(keys)
        while True:
            state = self._current()
            held = get(state.senders, sender_key)
            if held is not None and is_dead(held[0]):
                self._version.bump()  # a death without a callback: see `Route.holder`
                continue
            known = get(state.index, code)
            found = find_entry(known, keys)
            if found is not None:
                if not (self._purges and is_dead(found[1])):
                    return found[1]
                self._version.bump()
                continue
            exact = known is None
            if holder is not None:
                held = (holder, 1) if held is None else (held[0], held[1] + 1)
            args = state.table, entry
            if self._commit(state, state, append, args, exact, code, entry, sender_key, held):
                return None

    def has_connection(self, receiver_key: Any, sender: Any = None) -> bool:
        """Return whether there is a live connection with these keys."""
        keys = (receiver_key, make_sender_key(sender, self._by_value))
        code = make_code(keys)
        while True:
            state = self._current()
            entry = find_entry(get(state.index, code), keys)
            held = get(state.senders, keys[1])
            if state.seen == self._version.number:
                if entry is None or is_dead(entry[1]):
                    return False
                return held is None or not is_dead(held[0])

    def remove_connection(self, receiver_key: Any, sender: Any = None) -> bool:
        """Remove the connection with these keys; return whether there was one."""
        sender_key = make_sender_key(sender, self._by_value)
        keys = (receiver_key, sender_key)
        code = make_code(keys)
        while True:
            state = self._current()
            known = get(state.index, code)
            entry = find_entry(known, keys)
            if entry is None:
                return False
            held = left = get(state.senders, sender_key)
            if self._purges and (is_dead(entry[1]) or (held is not None and is_dead(held[0]))):
                self._version.bump()
                return False
            place = self._find_place(state.table, entry)
            if place < 0:  # another thread removed it meanwhile, or `list.pop(table)` did
                self._version.bump()
                continue
            exact = known is entry
            if held is not None:
                left = (held[0], held[1] - 1) if held[1] > 1 else None
            args = state.table, place
            if self._commit(state, state, pop, args, exact, code, None, sender_key, left):
                return True

    def _current(self) -> State:
        """Return the state, after purging what died, and indexing what was changed from outside.

        Every edit calls this, and so does a send that finds no valid routes.
        """
        state: State = self._cell[0]
        if state.seen == self._version.number:
            return state
        return self._refresh()

    def _refresh(self) -> State:
        while True:
            state, seen, entries = Table_.locked(self._snapshot)
            if state.seen == seen:
                return state  # type: ignore[no-any-return]
            alive: list[Any] = []
            new = make_state(state.table, seen, {}, {})
            for entry in entries:
                keys = entry[0]
                held = get(state.senders, keys[1])
                if self._purges and (is_dead(entry[1]) or (held is not None and is_dead(held[0]))):
                    continue
                alive.append(entry)
                code = make_code(keys)
                known = get(new.index, code)
                if known is None:
                    new.index[code] = entry
                else:
                    new.index[code] = [*(known if type(known) is list else [known]), entry]
                if held is not None:
                    known = get(new.senders, keys[1])
                    new.senders[keys[1]] = (held[0], 1 if known is None else known[1] + 1)
            # Entries that were removed from outside may be put back, so their senders stay known.
            for sender_key in list(state.senders):
                held = get(state.senders, sender_key)
                if held is None or sender_key in new.senders or type(held[0]) is tuple:
                    continue
                if not is_dead(held[0]):
                    new.senders[sender_key] = (held[0], 0)
            # Bound here: calling `list.__setitem__` itself with a tuple of arguments makes another
            # tuple, which may trigger a garbage collection after the check in `_commit`.
            replace_in_table = replace.__get__(state.table)
            if self._commit(state, new, replace_in_table, (ALL, alive)):
                return new

    def _routes(self) -> Routes:
        """Return the routes of the connections as they are now."""
        while True:
            state = self._current()
            snapshot = Table_.locked(self._snapshot)
            if snapshot[0] is state and snapshot[1] == state.seen:
                routes = Routes(state.seen, snapshot[2], self._by_value)
                if routes.sole is None:
                    self._number_senders(routes)
                Table_.locked(self._publish, [], state, routes)
                return routes

    def _number_senders(self, routes: Routes) -> None:
        """Set `routes.numbers` and `routes.ready`, if sends of this build use them."""

    def find_route(self, sender: Any) -> Route:
        """Return the route of a sender."""
        while True:
            routes = self._cell[1 if self._cell[3] is None else 4]
            if routes.seen != self._version.number:
                routes = self._routes()
            if routes.sole is not None:
                return routes.sole  # type: ignore[no-any-return]
            sender_key = make_key(sender) if self._by_value else id(sender)
            found = get(routes.by_sender, sender_key)
            if type(found) is not Route:
                is_open = routes.open
                if type(sender_key) is str:
                    if routes.unnamed:
                        self._add_names(routes)
                        continue
                    is_open = routes.open_to_str
                if is_open:
                    return self._find_further(routes, sender, sender_key, found)
                if found is None:
                    return routes.any  # type: ignore[no-any-return]
                found = make_route(routes.entries, found, self.find_holder(sender_key))
                routes.by_sender[sender_key] = found
            route = found
            if not is_dead(route.holder):
                return route
            if not forget_dead(routes):
                # CPython 3.14 does not call the callback of a weak reference that was made while
                # its target was being finalized.
                self._version.bump()

    def know_sender(self, sender: Any) -> None:
        """Make a sender known to a new signal, before entries with its key are added.

        It takes no lock: nobody else has the engine yet.
        """
        state = self._cell[0]
        holder = make_holder(sender, self._by_value, self._version)
        if holder is not None and self._purges:
            state.senders[make_sender_key(sender, self._by_value)] = (holder, 0)

    def find_holder(self, sender_key: Any) -> Any:
        """Return the holder of a sender that is connected, None if it has none."""
        state = self._cell[0]
        held = get(state.senders, sender_key)
        return None if held is None else held[0]

    def _find_further(  # noqa: PLR0912
        self, routes: Any, sender: Any, sender_key: Any, found: Any
    ) -> Route:
        """Return the route of a sender that may be reached under further keys.

        The route is kept until the sender dies or a connection changes.  It is not kept for a
        sender that cannot be weakly referenced, unless something is connected for its own key.

        Arguments:
            routes: The routes.
            sender: The sender.
            sender_key: Its own key.
            found: The places of that key in `routes`, None if there are none.
        """
        if self._by_value:
            sender = resolve_proxy(sender)
        groups = group_places(routes)
        keys: list[Any] = []
        if routes.names and type(sender_key) is not str:
            keys.extend(self._policy.names_of(sender))
        if routes.classes:
            keys.extend(make_class_keys(sender))
        places = set()
        for key in keys:
            places.update(get(groups, key, ()))
        if places:
            places.update(get(groups, ANY, ()) if found is None else found)
            once = tuple(find_once(routes.entries, places))
            shared = get(routes.more, once)
            if shared is None:
                shared = make_route(routes.entries, once)
                routes.more[once] = shared
        elif found is None:
            shared = routes.any
        else:
            shared = make_route(routes.entries, found)
        if found is not None:
            holder = self.find_holder(sender_key)
        elif type(sender_key) is not int:
            return shared
        else:
            try:
                holder = ReferenceType(sender, Forget(routes.dead, sender_key))
            except TypeError:
                return shared
            forget_dead(routes)
        route = share_route(shared, holder)
        routes.by_sender[sender_key] = route
        if is_dead(holder):
            self._version.bump()
            return self.find_route(sender)
        return route

    def _add_names(self, routes: Any) -> None:
        """Let a str as the sender reach the receivers of objects with that name."""
        groups = group_places(routes)
        found: dict[Any, Any] = {}
        for sender_key in groups:
            holder = self.find_holder(sender_key) if type(sender_key) is int else None
            if holder is not None:
                for name in self._policy.names_of(holder[0] if type(holder) is tuple else holder()):
                    found.setdefault(name, []).append(sender_key)
        for name, sender_keys in found.items():
            places = {*get(groups, ANY, ()), *get(groups, name, ())}
            for sender_key in sender_keys:
                places.update(groups[sender_key])
            routes.by_sender[name] = find_once(routes.entries, places)
        routes.unnamed = False

    # Called with the lock held: no foreign code, and each check on the same line as what it guards.
    # `kept` gets the objects that they may drop, so that those live until the lock is released.

    def _snapshot(self) -> Any:
        """Return the state, the version and the entries, as they are at one moment."""
        state: State = self._cell[0]
        return state, self._version.number, [*state.table]

    def _commit(
        self,
        state: Any,
        facts: Any,
        change: Any,
        args: Any,
        exact: Any = True,
        code: Any = None,
        entry: Any = None,
        sender_key: Any = None,
        held: Any = None,
    ) -> bool:
        """Do ``change(*args)`` to the table, and index it; return False if `state` is outdated.

        Arguments:
            state: The state that the edit was prepared from.
            facts: The state that has the index and the senders to use from now on.
            change: Changes the table, in C and without an allocation.
            args: The arguments of `change`.
            exact: Whether the index is valid once it maps `code` to `entry`, or drops `code` if
                `entry` is None; otherwise the next operation rebuilds it.
            code: The number that `make_code` made of the keys.
            entry: The entry that is added.
            sender_key: The key of the sender.
            held: The sender's holder and its number of entries afterwards, None if none are left.
        """
        # An interruption leaves the interim state.  That is not valid yet, so the next operation
        # rebuilds the index from the table; all known senders are still in it.
        cell, version, seen = self._cell, self._version, facts.seen
        interim = make_state(state.table, NEVER, facts.index, state.senders)
        final = interim if facts is state else facts
        if cell[0] is state and version.number == seen: cell[0] = interim  # fmt: skip
        else: return False  # fmt: skip
        cell[1] = cell[4] = NO_ROUTES
        version.edits += 1
        if held is not None:
            interim.senders[sender_key] = held
        if cell[0] is interim and version.number == seen: change(*args)  # fmt: skip
        else: return False  # fmt: skip
        if held is None and sender_key is not ANY:
            drop(final.senders, sender_key, None)
        if exact:
            if entry is None:
                drop(final.index, code, None)
            else:
                final.index[code] = entry
            if cell[0] is interim: final.seen = seen  # fmt: skip
            if cell[0] is interim: cell[0] = final  # fmt: skip
        return True

    def _publish(self, kept: Any, state: Any, routes: Routes) -> None:
        """Let sends use routes that were made from `state`, if that is still the current one."""
        cell, version, seen = self._cell, self._version, routes.seen
        kept.extend(cell)
        if cell[0] is state and version.number == seen: cell[4] = routes  # fmt: skip
        if cell[4] is routes and cell[3] is None: cell[1] = routes  # fmt: skip

    def _replace_watcher(self, kept: Any, watchers: Any) -> None:
        """Take the watcher from a list, as the one of new signals may be replaced meanwhile."""
        kept.extend(self._cell)
        self._cell[3] = watchers[0]
        self._cell[1] = self._cell[4] = NO_ROUTES

    def _replace_table(self, kept: Any, table: Any) -> None:
        """Make `table` the table; the senders that are known stay known."""
        kept.extend(self._cell)
        while True:
            state: State = self._cell[0]
            kept.append(state)
            new = make_state(table, NEVER, {}, state.senders)
            self._version.bump()
            if self._cell[0] is state: self._cell[0] = new; break  # fmt: skip
        self._cell[1] = self._cell[4] = NO_ROUTES

    def _find_place(self, table: Any, entry: Any) -> int:
        """Return where the entry is in the table, by identity, -1 if it is not there."""
        for place, other in enumerate([*table]):
            if other is entry:
                return place
        return -1


def watch_new(watcher: Any) -> None:
    """Let each signal that is made from now on start with this watcher; None for none."""
    WATCHERS[0] = watcher


def find_entry(known: Any, keys: Any) -> Any:
    """Return the entry with these keys among those that the index has for a hash, or None."""
    if known is None or (type(known) is not list and known[0] == keys):
        return known
    if type(known) is list:
        for entry in known:
            if entry[0] == keys:
                return entry
    return None


NO_ROUTES = Routes(NEVER, [])
"""The routes after an edit, until a send makes new ones."""

NO_ROUTES.sole = None

# Classes that compiled code uses by names that are C variables, as the `.pxd` says.
MethodReference_, RaisingEntry_ = MethodReference, RaisingEntry
Table_, Subclasses_ = Table, Subclasses
