"""The pure core: `_core` in plain Python, with the same names in the same order.

How a send travels: `send` finds the `Route` of the sender; the route has, for the names that were
sent, a `Plan` for each run of receivers that take them alike; a plan is a function made for that,
which calls them as one would by hand.

Instead of critical sections it relies on single operations of built-in types, which no other
thread can interrupt: what one thread works out from the table belongs to the state of the table
that it saw, and is not used once there is another.  So no lock is ever held; but without a GIL one
makes single operations of them.
"""

from __future__ import annotations

import gc
import sys
from itertools import chain, compress, count, islice, repeat
from keyword import iskeyword
from operator import attrgetter, contains, delitem, is_, not_
from types import FunctionType, MethodType
from weakref import ReferenceType

from fastsig._shared import (
    ANY,
    FUNCTION,
    METHOD,
    OBJECT,
    OTHER,
    MethodReference,
    Table,
    dead,
    holder,
    key,
    plan,
)
from fastsig._shared import reference as weak

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from typing import Any

    from typing_extensions import Self  # `typing` has it from 3.11 on

    Entry = tuple[tuple[Hashable, Hashable], Any]

CONFLICT = OBJECT + 1

# How to come by a receiver.
STRONG, WEAK, WEAK_METHOD, FOREIGN = range(4)


class Version:
    """Tokens for a table as it is, replaced when it changes.

    `state` goes with every change; `outside` with those only that its dispatcher does not make
    itself: deaths, and changes from outside.  It is the callback of the table's weak references,
    and refers to nothing: so it may be called at any moment, and keeps no signal alive.
    """

    __slots__ = ("outside", "state")

    def __init__(self) -> None:
        self()

    def __call__(self, reference: object = None) -> None:
        self.outside = object()
        self.state = object()


class Method:
    """A weakly referenced bound method in a route: `MethodReference` taken apart."""

    __slots__ = ("function", "owner")

    def __init__(self, reference: MethodReference) -> None:
        self.owner: Callable[[], Any] = super(MethodReference, reference).__call__
        self.function = reference.function


class Plan:
    """How receivers that follow one another take the arguments of one call shape.

    `call` calls them and appends to the responses; `receivers` are their references, each with
    the code for which the plan holds.
    """

    __slots__ = ("call", "receivers")

    def __init__(self, call: Callable[..., None]) -> None:
        self.call = call
        self.receivers: list[tuple[Any, object]] = []


class Route:
    """The connections that one sender reaches, with their plans for each call shape."""

    __slots__ = ("calls", "crowded", "entries", "ids", "references", "state", "table")

    SHAPES = 8  # so many call shapes keep their plans; a ninth starts anew

    def __init__(self, references: Iterable[Any]) -> None:
        self.references = tuple(
            Method(reference) if type(reference) is MethodReference else reference
            for reference in references
        )
        self.calls: dict[tuple[str, ...], list[Plan]] = {}
        self.crowded = False  # there were more call shapes than that, and may be ever new ones
        self.state: object = None  # that of the table for which it is everybody's
        self.table: list[Entry] | None = None  # to be compared with `entries` at each send
        self.entries: list[Entry] = []
        self.ids: list[int] = []  # of the entries


class Routes:
    """What is worked out from a table in a certain state: its connections by sender."""

    __slots__ = ("entries", "places", "routes", "sole", "state")

    def __init__(self, state: object, entries: list[Entry]) -> None:
        self.state = state
        self.entries = entries
        self.places: dict[Hashable, Any] = {ANY: []}
        for place, ((_, sender_key), _) in enumerate(entries):
            self.places.setdefault(sender_key, []).append(place)
        if len(self.places) == 1:
            self.places[ANY] = range(len(entries))
        self.routes: dict[Hashable, Route] = {}
        self.sole: Route | None = None  # that of everybody, if the table is a list without others

    def route(self, sender_key: Hashable) -> Route | None:
        """Return the route of a sender key, None if it is not in the table."""
        route = self.routes.get(sender_key)
        if route is None and sender_key in self.places:
            places = self.places[sender_key]
            if sender_key != ANY:
                places = sorted([*self.places[ANY], *places])
            route = self.routes[sender_key] = Route(self.entries[i][1] for i in places)
        return route


NO_ROUTES = Routes(None, [])


class Dispatcher:
    """The connections of one signal.

    `Signal` gives it its interface; what a face of fastsig may want otherwise (what becomes of an
    exception) is a method to override.
    """

    __slots__ = ("_index", "_routes", "_senders", "_table", "_version", "_watched")

    _table: Any
    _watched: bool
    _version: Version
    _index: tuple[object, dict[Hashable, Entry]] | None  # true while nothing changes outside
    _senders: dict[Hashable, object]
    _routes: Routes

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self: Self = object.__new__(cls)
        self._table, self._index, self._routes = None, None, NO_ROUTES
        self._senders = {}
        self._version = Version()
        self._adopt(Table(self._version))
        return self

    @property
    def receivers(self) -> Any:
        """The live table, a list of ``((receiver key, sender key), reference)``.

        Change it as you like, or assign another list: the next `send` honours it.
        """
        if self._table is None:
            raise AttributeError("receivers")
        return self._table

    @receivers.setter
    def receivers(self, table: Any) -> None:
        self._adopt(table)

    @receivers.deleter
    def receivers(self) -> None:
        self._adopt(None)

    def _connect(self, receiver_key: Hashable, reference: Any, sender: object = None) -> None:
        """Add a connection, unless there is one with the same keys.

        Arguments:
            receiver_key: What the receiver is known by.
            reference: The receiver, or a weak reference to it made by `_weak`.
            sender: The only sender to receive from; None for any.

        Raises:
            TypeError: `receiver_key` is not hashable.
        """
        sender_key = key(sender)
        hash(receiver_key)
        self._insert(((receiver_key, sender_key), reference), holder(sender, self._version))

    def _disconnect(self, receiver_key: Hashable, sender: object = None) -> bool:
        """Remove the connection with these keys; return whether there was one.

        Raises:
            TypeError: `receiver_key` is not hashable.
        """
        sender_key = key(sender)
        hash(receiver_key)
        return self._remove((receiver_key, sender_key))

    def _weak(self, receiver: object) -> ReferenceType[Any]:
        """Return a weak reference to `receiver` that the table is told of the death of.

        Raises:
            TypeError: `receiver` cannot be weakly referenced.
        """
        return weak(receiver, self._version)

    def has_listeners(self, sender: object = None) -> bool:
        """Tell whether a live receiver would be called if `sender` sent the signal."""
        return any(live(reference) is not None for reference in self._find(sender).references)

    def _failed(self, receiver: object, exception: Exception) -> object:
        """Return the response of a receiver that raised `exception`, or raise one.

        It is called while the exception is being handled.
        """
        raise exception

    def send(self, /, sender: object, **named: Any) -> list[tuple[Any, Any]]:
        """Call every receiver that is connected to `sender` or to any sender.

        A receiver is called as ``receiver(signal=self, sender=sender, **named)``; one that does
        not take ``**kwargs`` gets those of these arguments that it has a name for.

        Arguments:
            sender: What sends the signal, or None.
            **named: What the receivers are told.

        Returns:
            ``[(receiver, response), ...]``, in the order of connection.

        Raises:
            TypeError: There is no sender, or more than one positional argument.
        """
        # No local name for the routes: they keep what is disconnected meanwhile for other senders.
        route = self._routes.sole
        if (
            route is None
            or route.state is not self._version.state
            or (
                route.table is not None
                and (route.table or route.ids)
                and [*map(id, route.table)] != route.ids
            )
        ):
            route = self._find(sender)
        if not route.references:
            return []
        names = tuple(named)
        responses: list[tuple[Any, Any]] = []
        try:
            for run in route.calls.get(names) or self._plan(route, names):
                run.call(self, sender, named, route, run.receivers, responses)
            return responses
        finally:
            del responses  # it may have exceptions, whose tracebacks have this frame

    send_robust = send

    def _adopt(self, table: Any) -> None:
        """Make `table` the table."""
        # The table of another signal tells that one, so here it is compared like any list.
        watched = type(table) is Table and table.changed is self._version
        self._at_once(
            later(setattr, self, "_table", table), later(setattr, self, "_watched", watched)
        )

    def _at_once(
        self,
        *actions: Iterable[object],
        conditions: Iterable[object] = (True,),
        index: tuple[object, dict[Hashable, Entry]] | None = None,
    ) -> bool:
        """Change the table, if that is all right; return whether it was.

        Arguments:
            *actions: What changes it, and what goes with it: see `later`.
            conditions: Whether to; looked at right before.
            index: What is then the index of the table.
        """
        # One operation, which runs no bytecode unless an action does, allocates nothing that is
        # collected, and frees no receiver: nothing comes between.
        before, after, _old = object(), object(), (self._routes, self._index, self._table)
        edit = chain(
            later(setattr, self._version, "state", before),  # there may be an exception in between
            *actions,
            later(setattr, self, "_index", index),
            later(setattr, self, "_routes", NO_ROUTES),
            later(setattr, self._version, "state", after),
        )
        return bool(done(compress((edit,), conditions)))

    def _still(self, watched: bool, index: tuple[object, dict[Hashable, Entry]]) -> Iterable[bool]:
        """Return the condition that no other edit has come between."""
        if watched:
            return unchanged(self, "_index", index)
        return unchanged(self._version, "state", index[0])

    def _current(self) -> Routes:
        """Return what is worked out from the table as it is, once what died is purged."""
        version = self._version
        routes = self._routes
        if routes.state is version.state and (
            self._watched or _same(routes.entries, listed(self._table))
        ):
            return routes
        while True:
            state, outside = version.state, version.outside
            entries = listed(self._table)
            alive, senders = self._purged(entries)
            routes = Routes(state, alive)
            if state is version.state:
                break
        index = self._index
        if index is not None and index[0] is not outside:
            self._index = None
        if len(alive) != len(entries) and issubclass(type(self._table), list):
            self._discard({id(entry) for entry in entries} - {id(entry) for entry in alive})
        for sender_key in self._senders.keys() - senders:
            sender_holder = self._senders.get(sender_key)
            # Connections that were taken out of the table from outside may be put back.
            if dead(sender_holder) or not isinstance(sender_holder, ReferenceType):
                self._let_go(sender_key, state)
        if len(routes.places) == 1 and (self._watched or type(self._table) is list):
            sole = routes.sole = routes.route(ANY)
            assert sole is not None
            sole.state = state
            if not self._watched:
                sole.table, sole.entries = self._table, alive
                sole.ids = [*map(id, alive)]
        self._routes = routes
        return routes

    def _purged(self, entries: list[Entry]) -> tuple[list[Entry], set[Hashable]]:
        """Return those of `entries` that are alive, and the keys of their senders."""
        alive, senders = [], set()
        for entry in entries:
            (_, sender_key), reference = entry
            if not dead(reference) and not dead(self._senders.get(sender_key)):
                alive.append(entry)
                senders.add(sender_key)
        return alive, senders

    def _let_go(self, sender_key: Hashable, state: object) -> None:
        """Drop what keeps a sender's key its own, which no connection in `state` needs."""
        sender_holder = self._senders.pop(sender_key, None)
        changed = state is not self._version.state
        if sender_holder is not None and changed and not dead(sender_holder):
            self._senders.setdefault(sender_key, sender_holder)  # a new connection may need it

    def _discard(self, gone: set[int]) -> None:
        """Take the entries with these `id` out of the table."""
        # One operation, as in `_at_once`; but it makes a list: up to CPython 3.11 that may collect.
        table = self._table
        stays = map(not_, map(gone.__contains__, map(id, table)))
        collecting = gc.isenabled()
        gc.disable()
        try:
            done([later(list.__setitem__, table, slice(None), compress(table, stays))])
        finally:
            if collecting:
                gc.enable()
        if type(table) is Table and table.changed is not self._version:
            table.changed()  # for it is the table of another signal, too

    def _indexed(self) -> tuple[object, dict[Hashable, Entry]]:
        """Return the entries of the table by their keys, after the token of its outside changes."""
        version = self._version
        while True:
            index = self._index
            if (
                index is not None
                and self._watched
                and index[0] is version.outside
                and len(index[1]) == len(self._table)
            ):
                return index
            index = version.outside, {}
            routes = self._current()
            for entry in routes.entries:
                index[1].setdefault(entry[0], entry)
            if not self._watched:
                if routes.state is version.state:
                    return routes.state, index[1]
                continue
            kept = later(setattr, self, "_index", index)
            if done(compress((kept,), unchanged(version, "state", routes.state))):
                return index

    def _insert(self, entry: Entry, sender_holder: object) -> None:
        """Add an entry to the table, unless one with its keys is there."""
        keys = entry[0]
        while True:
            outside, index = current = self._indexed()
            table, watched = self._table, self._watched
            if sender_holder is not None and dead(self._senders.get(keys[1])):
                self._version()  # nobody told of that death
                continue
            other = index.get(keys)
            if other is not None:
                if not (dead(other[1]) and issubclass(type(table), list)):
                    return
                self._version()
                continue
            conditions = self._still(watched, current)
            actions: list[Iterable[object]] = []
            if sender_holder is not None:
                actions = [later(self._senders.setdefault, keys[1], sender_holder)]
            if watched:
                actions += later(list.append, table, entry), later(index.setdefault, keys, entry)
            elif type(table) is list:  # which may have been changed from outside
                known = map(contains, map(dict, (table,)), (keys,))
                conditions = compress(map(not_, known), conditions)
                actions.append(later(table.append, entry))
            else:
                actions.append(later(self.receivers.append, entry))
            after = (outside, index) if watched else None
            if self._at_once(*actions, conditions=conditions, index=after):
                return

    def _remove(self, keys: tuple[Hashable, Hashable]) -> bool:
        """Remove the entry with these keys; return whether it was there."""
        while True:
            outside, index = current = self._indexed()
            table, watched = self._table, self._watched
            entry = index.get(keys)
            if entry is None:
                return False
            if dead(entry[1]) or dead(self._senders.get(keys[1])):
                self._version()
                return False
            # By its place: by comparing entries, a key that lies would take out another one.
            is_list = issubclass(type(table), list)
            place = next(compress(count(), map(is_, listed(table), repeat(entry))), None)
            if place is None:
                if is_list:
                    self._version()  # it was changed meanwhile
                    continue
                return False
            conditions = self._still(watched, current)
            if is_list:  # looked at last: what looks at an attribute may collect, up to 3.10
                there = map(is_, islice(list.__iter__(table), place, None), (entry,))
                conditions = compress(conditions, there)
            actions = [later(list.pop if watched else delitem, table, place)]
            if watched:
                actions.append(later(index.pop, keys, None))
            after = (outside, index) if watched else None
            if not self._at_once(*actions, conditions=conditions, index=after):
                continue
            now = self._version.state
            if keys[1] in self._senders and all(
                sender_key != keys[1] for (_, sender_key), _ in list(self._table)
            ):
                self._let_go(keys[1], now)
            return True

    def _find(self, sender: object) -> Route:
        """Return the route of a sender."""
        while True:
            routes = self._current()
            if len(routes.places) == 1:
                sender = None
            sender_key: object = sender if type(sender) is str else id(sender)
            route = routes.route(sender_key)
            if route is None and sender_key is not sender:
                sender_key = key(sender)
                route = routes.route(sender_key)
            if route is None:
                route = routes.route(ANY)
                assert route is not None
                return route
            if not dead(self._senders.get(sender_key)):
                return route
            # CPython does not tell of all: of no weak reference, from 3.14 on, that was made
            # while its target was finalized.
            self._version()

    def _plan(self, route: Route, names: tuple[str, ...]) -> list[Plan]:
        """Work out the plans of a route for a new call shape."""
        all_names = ("signal", "sender", *names)
        plans: list[Plan] = []
        last: object = None
        for reference in route.references:
            receiver = live(reference)
            kind, code, positional, by_keyword = (
                (CONFLICT, None, (), ())
                if receiver is None or "signal" in names
                else plan(receiver, all_names)
            )
            keywords = tuple(
                (i, None if route.crowded or not plain(all_names[i]) else all_names[i])
                for i in by_keyword
            )
            shape = how_to_find(reference), kind, positional, keywords
            if shape != last:
                last = shape
                plans.append(Plan(caller(len(names), *shape)))
            is_method = type(reference) is Method
            item = (reference.owner, reference.function) if is_method else reference
            plans[-1].receivers.append((item, code))
        if len(route.calls) >= Route.SHAPES:
            route.calls = {}
            route.crowded = True
        route.calls[names] = plans
        return plans

    def _call_unplanned(
        self, receiver: Any, route: Route, sender: object, named: dict[str, Any]
    ) -> Any:
        """Call a receiver whose plan does not hold; return its response."""
        route.calls = {}  # to be planned again by the next send
        if "signal" in named:  # it is a TypeError, which Python itself raises
            return receiver(signal=self, **named)
        sent = {"signal": self, "sender": sender, **named}
        names = tuple(sent)
        _, _, positional, by_keyword = plan(receiver, names)
        return receiver(
            *[sent[names[i]] for i in positional], **{names[i]: sent[names[i]] for i in by_keyword}
        )


def unchanged(thing: object, name: str, value: object) -> Iterable[bool]:
    """Return the condition, looked at later, that an attribute is still the same."""
    return map(is_, map(attrgetter(name), (thing,)), (value,))


def done(operations: Iterable[Iterable[object]]) -> list[object]:
    """Do what `later` put off; return what came of it."""
    if LOCK is None:
        return list(chain.from_iterable(operations))
    with LOCK:
        return list(chain.from_iterable(operations))


LOCK: Any = None
if not getattr(sys, "_is_gil_enabled", lambda: True)():
    from threading import RLock

    LOCK = RLock()


def later(function: Callable[..., object], *args: object) -> Iterable[object]:
    """Return an iterator that calls a function once."""
    return map(function, *[(arg,) for arg in args])


def listed(table: Any) -> list[Any]:
    """Return a copy of a table; of a list, whatever its own methods, as it is."""
    # Not by list.copy, which looks at the size before it allocates, which may collect.
    return list(list.__iter__(table) if issubclass(type(table), list) else table or ())


def live(reference: Any) -> Any:
    """Return the receiver of a reference in a route, None if it is dead."""
    if type(reference) is Method:
        owner, function = reference.owner(), reference.function()
        return None if owner is None or function is None else MethodType(function, owner)
    return reference() if isinstance(reference, ReferenceType) else reference


def how_to_find(reference: object) -> int:
    """Return how to come by the receiver of a reference in a route."""
    if type(reference) is ReferenceType:
        return WEAK
    if type(reference) is Method:
        return WEAK_METHOD
    return FOREIGN if isinstance(reference, ReferenceType) else STRONG


def code_of(kind: int, receiver: Any) -> object:
    """Return the code that runs when `receiver` is called, None if it is not of that kind."""
    if kind == METHOD:
        receiver = receiver.__func__ if type(receiver) is MethodType else None
    return receiver.__code__ if type(receiver) is FunctionType else None


def _same(entries: list[Entry], others: list[Entry]) -> bool:
    return len(entries) == len(others) and all(map(is_, entries, others))


def caller(*shape: Any) -> Callable[..., None]:
    """Return the function that `_made` makes of these arguments; it is made once."""
    call = _callers.get(shape)
    if call is None:
        if len(_callers) >= CALLERS:
            _callers.clear()
        call = _callers[shape] = _made(*shape)
    return call


CALLERS = 256
_callers: dict[object, Callable[..., None]] = {}


def plain(name: str) -> bool:
    """Tell whether `name` can be written as the keyword of a call, and stays what it is."""
    # The compiler normalizes names that are not ASCII.
    if type(name) is not str or iskeyword(name) or name == "__debug__":
        return False
    return name.isascii() and name.isidentifier()


# The arguments are a0 (the signal), a1 (the sender), a2, ...
_SOURCE = """
def call(a0, a1, named, route, receivers, responses):
    [{sent}] = named.values()
    {names}
    try:
        for {item}, code in receivers:
            {receiver}
            if receiver is None:
                a0._version()
                continue
            try:
                if {holds}:
                    response = {call_it}{arguments})
                else:
                    response = a0._call_unplanned(receiver, route, a1, named)
            except Exception as exception:
                responses.append((receiver, a0._failed(receiver, exception)))
            else:
                responses.append((receiver, response))
    finally:
        del responses  # as in `send`
"""


def _made(
    count: int,
    how: int,
    kind: int,
    positional: tuple[int, ...],
    by_keyword: tuple[tuple[int, str | None], ...],
) -> Callable[..., None]:
    """Return a function that calls receivers of a kind in one way.

    Arguments:
        count: How many arguments are sent by name.
        how: How to come by a receiver.
        kind: The kind of receiver.
        positional: Which of the arguments (0 is the signal, 1 the sender) go by position.
        by_keyword: Which of them go by keyword, and under which name; None for the one that they
            were sent under, which takes longer but makes one function do for all names.
    """
    names = [name for _, name in by_keyword]
    item, receiver = _FIND[how]
    holds, call_it = _HOLDS.get((how, kind)) or _HOLDS_FOR_ANY[kind]
    arguments = [f"a{i}" for i in positional]
    arguments += [f"{name}=a{i}" if name else f"**{{names[{i}]: a{i}}}" for i, name in by_keyword]
    source = _SOURCE.format(
        sent=", ".join(f"a{i}" for i in range(2, 2 + count)),
        names='names = "signal", "sender", *named' if None in names else "pass",
        item=item,
        receiver=receiver,
        holds=holds,
        call_it=call_it,
        arguments=", ".join(arguments),
    )
    scope: dict[str, Any] = {
        "FunctionType": FunctionType,
        "MethodType": MethodType,
        "code_of": code_of,
    }
    exec(compile(source, "<fastsig>", "exec"), scope)
    call: Callable[..., None] = scope["call"]
    return call


# What the loop goes over, and how to come by the receiver.
_FIND = {
    STRONG: ("receiver", "pass"),
    WEAK: ("reference", "receiver = reference()"),
    FOREIGN: ("reference", "receiver = reference()"),
    WEAK_METHOD: (
        "(owner, function)",
        "owner = owner(); function = function(); receiver = "
        "None if owner is None or function is None else MethodType(function, owner)",
    ),
}
# Whether the plan holds, and the call.
_HOLDS = {
    (STRONG, FUNCTION): ("receiver.__code__ is code", "receiver("),
    (WEAK, FUNCTION): ("receiver.__code__ is code", "receiver("),
    (WEAK_METHOD, METHOD): ("function.__code__ is code", "function(owner, "),
}
_HOLDS_FOR_ANY = {
    OTHER: ("True", "receiver("),
    FUNCTION: (f"code_of({FUNCTION}, receiver) is code", "receiver("),
    METHOD: (f"code_of({METHOD}, receiver) is code", "receiver("),
    OBJECT: (
        "type(function := getattr(type(receiver), '__call__', None)) is FunctionType"
        " and function.__code__ is code",
        "function(receiver, ",
    ),
    CONFLICT: ("False", "receiver("),
}
