"""THE SEND in plain Python: what ``send.pyx`` does, where that is not compiled.

It has the same routes (`table`) and call plans (`plans`), and the loop that a reader would write.
"""

from __future__ import annotations

import os
from functools import partial
from operator import itemgetter
from threading import RLock
from types import MethodType
from weakref import ReferenceType

from fastsig.engine import hosts as hosts  # noqa: PLC0414, fastsig.engine has them from here
from fastsig.engine.plans import OBJECT, OTHER
from fastsig.engine.table import (
    WATCHERS,
    Connections,
    MethodReference,
    Route,
    Table,
    is_dead,
    resolve,
)

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self  # `typing` has it from 3.11 on


UNPLANNED = OBJECT + 1
SHAPES = 8
"""So many call shapes keep their plans; a ninth starts anew."""

LOCK = RLock()
"""The lock of all edits.  It is held for a moment, and by no send but the first after an edit."""

if hasattr(os, "register_at_fork"):
    # A child must not inherit the lock from a thread that it does not have.
    os.register_at_fork(
        before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release
    )


def locked(function: Any, *args: Any) -> Any:
    """Call a function with the lock of all edits."""
    # On one line, and so in `_commit`: if a tracer raised on the way out, at a line of its own, the
    # lock would not be released.
    with LOCK: return function(*args)  # fmt: skip


Table.locked = staticmethod(locked)


class Engine(Connections):
    """The connections of a signal, and the sends.

    A face either inherits from this, or makes one and calls `configure` with its signal.
    """

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
        self = object.__new__(cls)
        self._begin()
        return self

    def look_for_overrides_again(self) -> None:
        """Do nothing: the class's send looks each time."""

    def find_route(self, sender: Any) -> Route:
        """Return the route of a sender."""
        routes = self._cell[1]
        if routes.sole is None and routes.seen == self._version.number:
            by_value = self._by_value
            found = routes.by_sender.get(sender if type(sender) is str and by_value else id(sender))
            if type(found) is Route:
                if found.holder is None or not is_dead(found.holder):
                    return found
            elif found is None and not (routes.open or (by_value and has_own_key(sender))):
                return routes.any  # type: ignore[no-any-return]
        return Connections.find_route(self, sender)

    def send(self, /, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Call the receivers of the sender in the order of connection.

        Arguments:
            sender: Who sends the signal, or None.
            **named: What the receivers are told.

        Returns:
            ``[(receiver, response), ...]``.

        Raises:
            TypeError: There is no sender, or more than one positional argument.
            Exception: A receiver raised it; those after it are not called.
        """
        # The Routes get no name: they keep what is disconnected alive.  `seen` comes first: without
        # a GIL, the second read may find newer Routes, but not older ones.
        if self._cell[1].seen != self._version.number or (route := self._cell[1].sole) is None:
            if self._cell[3] is not None:
                return send_watched(self, sender, named, False)
            route = self.find_route(sender)
        return run(self, route, sender, named, False) if route.references else []

    def send_robust(self, /, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Call the receivers of the sender in the order of connection.

        Arguments:
            sender: Who sends the signal, or None.
            **named: What the receivers are told.

        Returns:
            ``[(receiver, response), ...]``.

        Raises:
            TypeError: There is no sender, or more than one positional argument.

        The response of a receiver that raises is up to the face.
        """
        # The Routes get no name: they keep what is disconnected alive.  `seen` comes first: without
        # a GIL, the second read may find newer Routes, but not older ones.
        if self._cell[1].seen != self._version.number or (route := self._cell[1].sole) is None:
            if self._cell[3] is not None:
                return send_watched(self, sender, named, True)
            route = self.find_route(sender)
        return run(self, route, sender, named, True) if route.references else []

    def send_unwatched(
        self, sender: Any, named: dict[str, Any], robust: bool, route: Route | None = None
    ) -> list[tuple[Any, Any]]:
        """Send without the watcher, on this route: for a watcher that has nothing to do."""
        return run(self, self.find_route(sender) if route is None else route, sender, named, robust)

    def _commit(self, *args: Any) -> bool:
        kept: list[Any] = []  # lives until the lock is released
        with LOCK: kept.extend(self._cell); return Connections._commit(self, *args)  # fmt: skip


def has_own_key(sender: Any) -> bool:
    """Return whether the key of a sender may be something else than its `id`."""
    kind = type(sender)
    return (
        kind is MethodType or issubclass(kind, (str, bytes)) or hasattr(kind, "_get_current_object")
    )


class RobustEngine(Engine):
    """An engine whose `send` is `send_robust`, as Celery's is."""

    __slots__ = ()

    def send(self, /, sender: Any, **named: Any) -> list[tuple[Any, Any]]:  # noqa: D102
        # Not `send_robust` by another name, which errors and tracebacks would tell of.
        if self._cell[1].seen != self._version.number or (route := self._cell[1].sole) is None:
            if self._cell[3] is not None:
                return send_watched(self, sender, named, True)
            route = self.find_route(sender)
        return run(self, route, sender, named, True) if route.references else []

    send.__doc__ = Engine.send_robust.__doc__


def run(  # noqa: PLR0912
    engine: Engine, route: Route, sender: Any, named: dict[str, Any], robust: bool
) -> list[tuple[Any, Any]]:
    """Call every receiver of a route; return the list of ``(receiver, response)``."""
    names = tuple(named)
    for shape in route.shapes:
        if shape[0] == names:
            plans = shape[1]
            break
    else:
        plans = plan_calls(engine, route, names)
    signal = engine if engine._owner is None else engine._owner
    responses: list[tuple[Any, Any]] = []
    failed = False
    args: tuple[Any, ...]
    kwargs: dict[str, Any] | None
    try:
        for kind, pick, keywords, pick_named, receivers in plans:
            if pick is None:
                args, kwargs = (), {keywords[0]: signal, keywords[1]: sender, **named}
            else:
                values = (signal, sender, *named.values())
                args = pick(values)
                # Not `strict`: that keyword alone takes 0.3 microseconds on 3.11.
                kwargs = dict(zip(keywords, pick_named(values))) if keywords else None  # noqa: B905
            for find, find_function, code in receivers:
                receiver = callee = find()
                if find_function is not None and receiver is not None:
                    callee = find_function()
                    receiver = None if callee is None else MethodType(callee, receiver)
                elif kind is OBJECT:
                    callee = type(receiver).__call__
                if receiver is None:
                    engine._version.bump()
                    continue
                try:
                    if kind is UNPLANNED or (
                        code is not None and getattr(callee, "__code__", None) is not code
                    ):
                        if kind is not UNPLANNED:
                            route.shapes.clear()  # its code was replaced: the next send plans again
                        response = engine._policy.call(signal, receiver, sender, named)
                    elif kwargs is None:
                        response = receiver(*args)
                    else:
                        response = receiver(*args, **kwargs)
                except Exception as exception:
                    if not robust or route.raises(receiver):
                        raise
                    response = engine._policy.fail(signal, receiver, exception)
                    failed = True
                responses.append((receiver, response))
        return engine._policy.finish(signal, responses) if failed else responses
    finally:
        response = None  # it and they may be exceptions, whose tracebacks refer to this frame
        del responses


def send_watched(
    engine: Engine, sender: Any, named: dict[str, Any], robust: bool
) -> list[tuple[Any, Any]]:
    """Send through the watcher."""
    watcher = engine._cell[3]
    if watcher is None:  # another thread has just taken it away
        return engine.send_unwatched(sender, named, robust)
    return watcher(engine, sender, named, robust)  # type: ignore[no-any-return]


def plan_calls(engine: Engine, route: Route, names: tuple[str, ...]) -> Any:
    """Return the plans of a route for a call shape that is new.

    For each run of receivers that take the arguments alike that is ``(kind, pick, keywords,
    pick_named, receivers)``: what picks the positional arguments from all, the names of the keyword
    arguments and what picks those, or None twice if everything goes by keyword; and for each
    receiver what finds it, for a bound method what finds its function, and the code object that the
    plan holds for.
    """
    policy = engine._policy
    all_names = (*(policy.names or ("signal", "sender")), *names)
    plans: list[Any] = []
    last = None
    positional: tuple[int, ...]
    keywords: tuple[int, ...]
    for reference in route.references:
        receiver = resolve(reference)
        find, find_function = reference, None
        if type(reference) is MethodReference:
            find = partial(ReferenceType.__call__, reference)
            find_function = reference._func_ref
        elif not isinstance(reference, ReferenceType):
            find = partial(returned, reference)
        if not policy.names:
            kind, code, positional, keywords = OTHER, None, (1,), tuple(range(2, len(all_names)))
        elif receiver is None or all_names[0] in names or policy.unplanned:
            kind, code, positional, keywords = UNPLANNED, None, (), ()
        else:
            kind, code, positional, keywords = policy.plan(receiver, all_names)
        if last != (kind, positional, keywords):
            last = kind, positional, keywords
            if keywords and policy.names and len(positional) + len(keywords) == len(all_names):
                # All by keyword: it binds the same, and the dict is quickly made.
                plans.append((kind, None, all_names, None, []))
            else:
                by_name = tuple(all_names[i] for i in keywords)
                plans.append((kind, make_picker(positional), by_name, make_picker(keywords), []))
        plans[-1][-1].append((find, find_function, code))
    if len(route.shapes) >= SHAPES:
        route.shapes.clear()
    route.shapes.append((names, plans))
    return plans


def make_picker(places: tuple[int, ...]) -> Any:
    """Return a function that takes a tuple and returns the tuple of its items at these places."""
    start = places[0] if places else 0
    if places == tuple(range(start, start + len(places))):
        return itemgetter(slice(start, start + len(places)))
    return itemgetter(*places)  # two at least


def returned(thing: Any) -> Any:  # noqa: D103
    return thing


# What the class of a host's signals sends with


def make_class_send(name: str, robust: bool) -> Any:
    """Return a method that sends a signal of a host through its engine.

    Nobody tells a Python program that a class was changed, so it looks at each send.
    """

    def send(self, sender, **named):  # type: ignore[no-untyped-def]
        engine = self.__dict__.get("_fastsig")
        if not self.receivers and (WATCHERS[0] if engine is None else engine._cell[3]) is None:
            return []
        if engine is None or engine._owner is not self:
            engine = hosts.adopt(self)
            if not isinstance(engine, Engine):
                return engine(sender, **named)
        overrides = engine._policy.overrides(engine, self)
        if overrides is not None and overrides[1] is not None:
            return overrides[1](sender, **named)
        if (
            engine._cell[1].seen != engine._version.number
            or (route := engine._cell[1].sole) is None
        ):
            if engine._cell[3] is not None:
                return send_watched(engine, sender, named, robust)
            route = engine.find_route(sender)
        return run(engine, route, sender, named, robust) if route.references else []

    send.__name__ = send.__qualname__ = name
    send.__doc__ = (Engine.send_robust if robust else Engine.send).__doc__
    return send


quick_send: Any = None  # a method that is found on the class is as quick
class_send: Any = make_class_send("send", False)
class_send_robust: Any = make_class_send("send", True)
