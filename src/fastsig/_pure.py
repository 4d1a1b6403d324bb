"""The pure core: `_core` in plain Python, with the same names in the same order.

Instead of critical sections it relies on single operations of built-in types, which no other
thread can interrupt: what one thread works out from the table is marked with the state of the
table that it saw, and is not used once there is another.  So no lock is ever held.
"""

from __future__ import annotations

from itertools import compress
from operator import is_, itemgetter, not_
from types import MethodType
from weakref import ReferenceType

from fastsig._shared import (
    ANY,
    FUNCTION,
    METHOD,
    OBJECT,
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
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from typing import Any

    from typing_extensions import Self  # `typing` has it from 3.11 on

    Entry = tuple[tuple[Hashable, Hashable], Any]

    Call = tuple[int, Any, int, object, "Plan"]
    """How to come by a receiver, its reference and kind, and the code for which its plan holds."""

CONFLICT = OBJECT + 1

# What of the sent arguments goes by keyword.
THE_SIGNAL, EVERYTHING, SOME = range(3)

# How to come by a receiver.
STRONG, WEAK, WEAK_METHOD = range(3)


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


class Method:
    """A weakly referenced bound method in a route: `MethodReference` taken apart."""

    __slots__ = ("function", "reference")

    def __init__(self, reference: MethodReference) -> None:
        self.reference = reference
        self.function = reference.function


class Plan:
    """How a receiver takes the arguments of one call shape.

    `values` takes those that go by position from all that were sent, in order: the signal, the
    sender, and the rest.  `by_keyword` tells which go by name; `form` tells the usual cases of
    these apart.
    """

    __slots__ = ("by_keyword", "form", "values")

    def __init__(
        self, names: tuple[str, ...], positional: tuple[int, ...], by_keyword: tuple[int, ...]
    ) -> None:
        if len(positional) > 1:
            self.values: Callable[[Sequence[Any]], tuple[Any, ...]] = itemgetter(*positional)
        else:
            self.values = lambda sent: tuple([sent[i] for i in positional])
        self.by_keyword = [(names[i], i) for i in by_keyword]
        if len(by_keyword) == len(names):
            self.form = EVERYTHING
        else:
            self.form = THE_SIGNAL if by_keyword == (0,) else SOME


class Route:
    """The connections that one sender reaches, with their calls for each call shape."""

    __slots__ = ("calls", "references")

    SHAPES = 8  # so many call shapes keep their plans; a ninth starts anew

    def __init__(self, references: Iterable[Any]) -> None:
        self.references = tuple(
            Method(reference) if type(reference) is MethodReference else reference
            for reference in references
        )
        self.calls: dict[tuple[str, ...], list[Call]] = {}


class Routes:
    """What was worked out from the table as it was in a certain state."""

    __slots__ = ("edit", "entries", "places", "routes", "sole", "state")

    def __init__(self, state: object, edit: object, entries: list[Entry]) -> None:
        self.state = state
        self.edit = edit
        self.entries = entries
        self.places: dict[Hashable, Any] = {ANY: []}
        for place, ((_, sender_key), _) in enumerate(entries):
            self.places.setdefault(sender_key, []).append(place)
        if len(self.places) == 1:
            self.places[ANY] = range(len(entries))
        self.routes: dict[Hashable, Route] = {}
        self.sole: Route | None = None  # the route of everybody, if it is the only one

    def route(self, sender_key: Hashable) -> Route | None:
        """Return the route of a sender key, None if it is not in the table."""
        route = self.routes.get(sender_key)
        if route is None and sender_key in self.places:
            places = self.places[sender_key]
            if sender_key != ANY:
                places = sorted([*self.places[ANY], *places])
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

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
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
        routes = self._routes
        if (
            routes is not None
            and routes.sole is not None
            and routes.state is self._version.state
            and routes.edit is self._edit
        ):
            route = routes.sole
        else:
            route = self._find(sender)
        responses: list[tuple[Any, Any]] = []
        if not route.references:
            return responses

        names = tuple(named)
        calls = route.calls.get(names) or self._plan(route, names)
        sent = (self, sender, *named.values())
        ordered: Plan | None = None
        keywords: dict[str, Any]
        for how, reference, kind, code, order in calls:
            receiver = reference() if how == WEAK else live(reference)
            if receiver is None:
                self._version()
                continue
            if order is not ordered:
                values = order.values(sent)
                if order.form == THE_SIGNAL:
                    keywords = {"signal": self}
                elif order.form == EVERYTHING:
                    keywords = {"signal": self, "sender": sender, **named}
                else:
                    keywords = {name: sent[i] for name, i in order.by_keyword}
                ordered = order
            try:
                if code is (receiver.__code__ if kind == FUNCTION else code_of(kind, receiver)):
                    response = receiver(*values, **keywords)
                else:
                    response = self._call_unplanned(receiver, route, names, sent)
            except Exception as exception:
                response = self._failed(receiver, exception)
            responses.append((receiver, response))
        return responses

    send_robust = send

    def _adopt(self, table: Any) -> None:
        """Make `table` the table."""
        # The table of another signal tells that one, so here it is compared like any list.
        self._watched = type(table) is Table and table.changed is self._version
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
            alive, senders = self._purged(entries)
            routes = Routes(state, edit, alive)
            if state is self._version.state and edit is self._edit:
                break
        if self._index is not None and (self._index[0] is not state or not self._watched):
            self._index = None
        if len(alive) != len(entries) and isinstance(self._table, list):
            self._discard({id(entry) for entry in entries} - {id(entry) for entry in alive})
        for sender_key in self._senders.keys() - senders:
            self._senders.pop(sender_key, None)
        if self._watched and len(routes.places) == 1:
            routes.sole = routes.route(ANY)
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
        while True:
            index = self._indexed()
            other = index.setdefault(entry[0], entry)
            if other is entry:
                break
            if not (dead(other[1]) and isinstance(self._table, list)):
                return
            self._version()  # nobody told of that death
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
        if dead(entry[1]):
            self._version()
            return False
        if twice:
            places = (place for place, (known, _) in enumerate(self._table) if known == keys)
            place = next(places, None)
            if place is not None:
                del self._table[place]
        else:
            try:
                (list if self._watched else type(self._table)).remove(self._table, entry)
            except ValueError:  # comparing keys ran code that changed the table
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
        if len(routes.places) == 1:
            sender = None
        by_value = type(sender) is str
        route = routes.route(sender if by_value else id(sender))
        if route is None and not by_value:
            route = routes.route(key(sender))
        if route is None:
            route = routes.route(ANY)
            assert route is not None
        return route

    def _plan(self, route: Route, names: tuple[str, ...]) -> list[Call]:
        """Work out the calls of a route for a new call shape."""
        all_names = ("signal", "sender", *names)
        known: dict[object, Plan] = {}
        calls: list[Call] = []
        for reference in route.references:
            how = WEAK if type(reference) is ReferenceType else STRONG
            kind, code, positional, by_keyword = (
                (CONFLICT, CONFLICT, (), ())
                if "signal" in names
                else plan(live(reference), all_names)
            )
            order = positional, by_keyword
            if order not in known:
                known[order] = Plan(all_names, positional, by_keyword)
            calls.append((how, reference, kind, code, known[order]))
        if len(route.calls) >= Route.SHAPES:
            route.calls = {}
        route.calls[names] = calls
        return calls

    def _call_unplanned(
        self, receiver: Any, route: Route, names: tuple[str, ...], sent: tuple[Any, ...]
    ) -> Any:
        """Call a receiver whose plan does not hold; return its response."""
        route.calls = {}  # to be planned again by the next send
        if "signal" in names:  # it is a TypeError, which Python itself raises
            return receiver(signal=self, **dict(zip(names, sent[2:], strict=True)))
        all_names = ("signal", "sender", *names)
        _, _, positional, by_keyword = plan(receiver, all_names)
        return receiver(
            *[sent[i] for i in positional], **{all_names[i]: sent[i] for i in by_keyword}
        )


def live(reference: Any) -> Any:
    """Return the receiver of a reference in a route, None if it is dead."""
    if type(reference) is Method:
        owner, function = ReferenceType.__call__(reference.reference), reference.function()
        return None if owner is None or function is None else MethodType(function, owner)
    return reference() if isinstance(reference, ReferenceType) else reference


def code_of(kind: int, receiver: Any) -> object:
    """Return the code that runs when `receiver` is called, None if there is none to tell."""
    if kind == METHOD:
        return receiver.__func__.__code__ if type(receiver) is MethodType else None
    if kind == OBJECT:
        return getattr(getattr(type(receiver), "__call__", None), "__code__", None)  # noqa: B004
    return None


def _same(entries: list[Entry], others: list[Entry]) -> bool:
    return len(entries) == len(others) and all(map(is_, entries, others))
