"""The pure core: `_core` in plain Python, with the same names in the same order.

Instead of critical sections it relies on single operations of built-in types, which no other
thread can interrupt: what one thread works out from the table is marked with the state of the
table that it saw, and is not used once there is another.  So no lock is ever held.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import compress
from operator import is_, itemgetter, not_
from types import CodeType
from typing import Any, NamedTuple
from weakref import ReferenceType

from fastsig._shared import ANY, FUNCTION, METHOD, OBJECT, Table, dead, holder, key, plan
from fastsig._shared import reference as weak

CONFLICT = OBJECT + 1

Entry = tuple[tuple[Hashable, Hashable], Any]


class Version:
    """The state of a table as to what its dispatcher does not do: outside changes, and deaths.

    It is the callback of the table's weak references, and refers to nothing itself: so it may be
    called at any moment, and keeps no signal alive.
    """

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = object()

    def __call__(self, reference: object = None) -> None:
        self.state = object()


class Plan:
    """How a receiver takes the arguments of one call shape.

    `positional` are the names of those that go by position, `keywords` of those that go by name.
    """

    __slots__ = ("keywords", "positional")

    def __init__(self, positional: tuple[str, ...], keywords: tuple[str, ...]) -> None:
        self.positional = _getter(positional)
        self.keywords = keywords


def _getter(names: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """Return what takes the values of `names` from a dict, as a tuple."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda named: tuple([named[name] for name in names])


class Call(NamedTuple):
    """The call of one receiver of a route; its plan holds as long as the receiver runs `code`."""

    weak: bool
    reference: Any
    kind: int
    code: object
    plan: Plan


class Route:
    """The connections that one sender reaches, with their calls for each call shape."""

    __slots__ = ("calls", "references")

    SHAPES = 8  # so many call shapes keep their plans; a ninth starts anew

    def __init__(self, references: Iterable[Any]) -> None:
        self.references = tuple(references)
        self.calls: dict[tuple[str, ...], tuple[Call, ...]] = {}


class Routes:
    """What was worked out from the table as it was in a certain state."""

    __slots__ = ("edit", "entries", "places", "routes", "sole", "state")

    def __init__(self, state: object, edit: object, entries: list[Entry]) -> None:
        self.state = state
        self.edit = edit
        self.entries = entries
        self.places: dict[Hashable, list[int]] = {ANY: []}
        for place, ((_, sender_key), _) in enumerate(entries):
            self.places.setdefault(sender_key, []).append(place)
        self.routes: dict[Hashable, Route] = {}
        self.sole = Route(entry[1] for entry in entries) if len(self.places) == 1 else None

    def route(self, sender_key: Hashable) -> Route | None:
        """Return the route of a sender key, None if it is not in the table."""
        route = self.routes.get(sender_key)
        if route is None and sender_key in self.places:
            places = self.places[sender_key]
            if sender_key != ANY:
                places = sorted(self.places[ANY] + places)
            route = self.routes[sender_key] = Route(self.entries[i][1] for i in places)
        return route


class Dispatcher:
    """The connections of one signal.

    `Signal` gives it its interface; what a face of fastsig may want otherwise (what becomes of an
    exception) is a method to override.
    """

    __slots__ = ("_edit", "_index", "_routes", "_senders", "_table", "_version", "_watched")

    _table: Any
    _watched: bool
    _version: Version
    _edit: object  # another one each time that this dispatcher changes the table
    _index: tuple[object, dict[Hashable, Entry]] | None
    _senders: dict[Hashable, object]
    _routes: Routes | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self._senders = {}
        self._version = Version()
        self._adopt(Table(self._version))
        return self

    @property
    def receivers(self) -> Any:
        """The live table: a list of ``((receiver key, sender key), reference)``.

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
        return any(not dead(reference) for reference in self._find(sender).references)

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
        routes = self._routes
        if (
            routes is None
            or routes.sole is None
            or routes.state is not self._version.state
            or routes.edit is not self._edit
            or not self._watched
        ):
            route = self._find(sender)
        else:
            route = routes.sole
        responses: list[tuple[Any, Any]] = []
        if not route.references:
            return responses

        names = tuple(named)
        calls = route.calls.get(names) or self._plan(route, names)
        everything = {"signal": self, "sender": sender, **named}
        ordered = None
        for is_weak, reference, kind, code, order in calls:
            receiver = reference() if is_weak else reference
            if receiver is None:
                self._version()
                continue
            if order is not ordered:
                values = order.positional(everything)
                keywords = {name: everything[name] for name in order.keywords}
                ordered = order
            try:
                if code is (
                    receiver.__code__
                    if kind == FUNCTION
                    else receiver.__func__.__code__
                    if kind == METHOD
                    else _code_of_object(receiver)
                    if kind == OBJECT
                    else None
                ):
                    response = receiver(*values, **keywords)
                else:
                    response = self._call_unplanned(receiver, route, named, everything)
            except Exception as exception:
                response = self._failed(receiver, exception)
            responses.append((receiver, response))
        return responses

    send_robust = send

    def _adopt(self, table: Any) -> None:
        """Make `table` the table."""
        version = getattr(table, "changed", None) if type(table) is Table else None
        self._watched = type(version) is Version
        if type(version) is Version:
            self._version = version
        self._table = table
        self._index = None
        self._edited()

    def _edited(self) -> None:
        """Drop what was worked out from the table as it was."""
        self._edit = object()
        self._routes = None

    def _current(self) -> Routes:
        """Return what is worked out from the table as it is, once what died is purged."""
        routes = self._routes
        if (
            routes is not None
            and routes.state is self._version.state
            and routes.edit is self._edit
            and (self._watched or _same(routes.entries, list(self.receivers)))
        ):
            return routes
        while True:
            state, edit = self._version.state, self._edit
            entries = list(self.receivers)
            live, senders = self._purged(entries)
            routes = Routes(state, edit, live)
            if state is self._version.state and edit is self._edit:
                break
        if self._index is not None and (self._index[0] is not state or not self._watched):
            self._index = None
        if len(live) != len(entries) and isinstance(self._table, list):
            self._discard({id(entry) for entry in entries} - {id(entry) for entry in live})
        for sender_key in self._senders.keys() - senders:
            self._senders.pop(sender_key, None)
        self._routes = routes
        return routes

    def _purged(self, entries: list[Entry]) -> tuple[list[Entry], set[Hashable]]:
        """Return those of `entries` that are alive, and the keys of their senders."""
        live, senders = [], set()
        for entry in entries:
            (_, sender_key), reference = entry
            if not dead(reference) and not dead(self._senders.get(sender_key)):
                live.append(entry)
                senders.add(sender_key)
        return live, senders

    def _discard(self, gone: set[int]) -> None:
        """Take the entries with these `id` out of the table."""
        # One operation, which runs no bytecode: no other thread changes the table meanwhile.
        table = self._table
        stays = map(not_, map(gone.__contains__, map(id, table)))
        list.__setitem__(table, slice(None), compress(table, stays))

    def _indexed(self) -> dict[Hashable, Entry]:
        """Return the entries of the table by their keys."""
        index = self._index
        if (
            index is None
            or index[0] is not self._version.state
            or len(index[1]) != len(self._table)
            or not self._watched
        ):
            routes = self._current()
            index = routes.state, {}
            for entry in routes.entries:
                index[1].setdefault(entry[0], entry)
            self._index = index
        return index[1]

    def _insert(self, entry: Entry, sender_holder: object) -> None:
        """Add an entry to the table, unless one with its keys is there."""
        index = self._indexed()
        if index.setdefault(entry[0], entry) is not entry:
            return
        sender_key = entry[0][1]
        if sender_holder is not None:
            self._senders.setdefault(sender_key, sender_holder)
        if self._watched:
            list.append(self._table, entry)
        else:
            self._table.append(entry)
        if sender_holder is not None:  # again: without the entry, it may have been dropped
            self._senders.setdefault(sender_key, sender_holder)
        self._edited()

    def _remove(self, keys: tuple[Hashable, Hashable]) -> bool:
        """Remove the entry with these keys; return whether it was there."""
        index = self._indexed()
        twice = len(index) != len(self._table)  # something was added twice, outside
        entry = index.pop(keys, None)
        if entry is None:
            return False
        if twice:
            del self._table[[keys for keys, _ in self._table].index(keys)]
        else:
            self._discard({id(entry)})
        if keys[1] in self._senders and all(
            sender_key != keys[1] for (_, sender_key), _ in list(self._table)
        ):
            self._senders.pop(keys[1], None)
        self._edited()
        return True

    def _find(self, sender: object) -> Route:
        """Return the route of a sender."""
        routes = self._current()
        if routes.sole is not None:
            return routes.sole
        by_value = type(sender) is str
        route = routes.route(sender if by_value else id(sender))
        if route is None and not by_value:
            route = routes.route(key(sender))
        if route is None:
            route = routes.route(ANY)
            assert route is not None
        return route

    def _plan(self, route: Route, names: tuple[str, ...]) -> tuple[Call, ...]:
        """Work out the calls of a route for a new call shape."""
        all_names = ("signal", "sender", *names)
        known: dict[object, Plan] = {}
        calls = []
        for reference in route.references:
            is_weak = isinstance(reference, ReferenceType)
            receiver = reference() if is_weak else reference
            kind, code, positional, keywords = (
                (CONFLICT, CONFLICT, (), ()) if "signal" in names else plan(receiver, all_names)
            )
            order = positional, keywords
            if order not in known:
                known[order] = Plan(*(tuple(all_names[i] for i in part) for part in order))
            calls.append(Call(is_weak, reference, kind, code, known[order]))
        if len(route.calls) >= Route.SHAPES:
            route.calls = {}
        route.calls[names] = tuple(calls)
        return route.calls[names]

    def _call_unplanned(
        self, receiver: Any, route: Route, named: dict[str, Any], everything: dict[str, Any]
    ) -> Any:
        """Call a receiver whose plan does not hold; return its response."""
        route.calls = {}  # to be planned again by the next send
        if "signal" in named:
            return receiver(signal=self, **everything)  # it is the TypeError that Python raises
        names = tuple(everything)
        _, _, positional, keywords = plan(receiver, names)
        return receiver(
            *[everything[names[i]] for i in positional],
            **{names[i]: everything[names[i]] for i in keywords},
        )


def _code_of_object(receiver: object) -> CodeType | None:
    """Return the code of the ``__call__`` that the type of `receiver` has."""
    return getattr(getattr(type(receiver), "__call__", None), "__code__", None)  # noqa: B004


def _same(entries: list[Entry], others: list[Entry]) -> bool:
    return len(entries) == len(others) and all(map(is_, entries, others))
