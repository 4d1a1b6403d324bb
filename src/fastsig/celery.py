"""Makes a real Celery dispatch through fastsig.

`install` puts the signals of `fastsig.signals` in the place of Celery's own, wherever Celery
refers to those.  Importing `fastsig.signals` calls it where Celery is installed, unless
``FASTSIG_CELERY=0`` is set.

Code that got hold of a Celery signal before keeps it: that object then hands everything on to the
signal that took its place.  Both have one and the same list of receivers, the old
one: so also a list, or a bound ``send``, that was taken from the old signal earlier stays right.
"""

from __future__ import annotations

import sys
from threading import RLock
from types import BuiltinMethodType, MethodType
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

import celery.utils.dispatch.signal as celery_dispatch
from celery import _state

from fastsig import signal
from fastsig._shared import key, keywords_of

__all__ = ["install", "installed", "uninstall"]

if TYPE_CHECKING:

    class CelerySignal:  # which has no types
        def _live_receivers(self, sender: object) -> list[Any]: ...

else:
    CelerySignal = celery_dispatch.Signal


class _Kind(type):
    """Lets `Signal` stand for the class whose name it takes: also for what was made before."""

    def __instancecheck__(cls, instance: object) -> bool:
        return super().__instancecheck__(instance) or (
            cls is Signal and isinstance(instance, CelerySignal)
        )

    def __subclasscheck__(cls, kind: type) -> bool:
        return super().__subclasscheck__(kind) or (cls is Signal and issubclass(kind, CelerySignal))


class Signal(signal.Signal, CelerySignal, metaclass=_Kind):
    """A fastsig signal that is also an instance of Celery's class."""

    __slots__ = ()

    _logger_name = celery_dispatch.logger.name

    # What the private methods of Celery's class expect to find.
    lock: Any = RLock()
    _dead_receivers = False

    @property
    def sender_receivers_cache(self) -> dict[object, object]:
        """An empty dict: there is no such cache."""
        return {}


class Replaced(CelerySignal):
    """What a signal of Celery's turns into when one of fastsig takes its place."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return Signal

    @property
    def receivers(self) -> Any:
        return self.__dict__["replacement"].receivers

    @receivers.setter
    def receivers(self, table: Any) -> None:
        self.__dict__["replacement"].receivers = table

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["replacement"].connect(*args, **kwargs)

    def disconnect(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["replacement"].disconnect(*args, **kwargs)

    def has_listeners(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["replacement"].has_listeners(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["replacement"].send(*args, **kwargs)

    send_robust = send

    def _live_receivers(self, sender: object) -> list[Any]:
        # Only Celery's `send` asks, where it was held, bound to this signal, since before; it
        # calls every receiver with all that is sent.
        return [_taking_all(receiver) for receiver in super()._live_receivers(sender)]


def _taking_all(receiver: Any) -> Any:
    """Return `receiver`, or what takes any keywords and gives it those that it names."""
    names = keywords_of(receiver)
    if names is None:
        return receiver
    return lambda **named: receiver(**{name: named[name] for name in named if name in names})


_replaced: list[tuple[Any, Any, Any]] = []
"""What `install` did: Celery's signals, those in their place, and the tables that these had."""


def installed() -> bool:
    """Return whether Celery dispatches through fastsig."""
    return bool(_replaced)


def install() -> None:
    """Make Celery dispatch through fastsig; the receivers that are connected stay connected.

    Afterwards ``celery.signals.X is fastsig.signals.X``.  Installing twice is installing once.
    """
    from fastsig import signals  # it calls this function

    if installed():
        return
    known = "celery.signals" in sys.modules
    import celery.signals  # whether anybody had imported it matters

    for name, old in list(vars(celery.signals).items()):
        if isinstance(old, CelerySignal):
            new = getattr(signals, name, None) or _like(old)
            _replace(old, new, known)
    for app in _state._get_active_apps():
        for old in list(vars(app).values()):
            if type(old) is CelerySignal:
                _replace(old, _like(old), True)
    _rebind({id(old): new for old, new, _ in _replaced}, {id(CelerySignal): Signal})


def uninstall() -> None:
    """Give Celery its own signals back.

    The receivers that are connected go with them.  (Celery cannot call those that do not take
    ``**kwargs``.)  The signals of `fastsig.signals` are left without receivers.
    """
    for old, new, table in _replaced:
        entries = list(new.receivers)
        new.receivers = table
        del new.receivers[:]
        new.__class__ = signal.Signal
        del old.__dict__["replacement"]
        _set_class(old, CelerySignal)
        old.receivers[:] = _rekeyed(entries, key, celery_dispatch._make_id)
    _rebind({id(new): old for old, new, _ in _replaced}, {id(Signal): CelerySignal})
    _replaced.clear()


def _like(old: Any) -> Signal:
    """Return a signal that describes itself as `old` does."""
    return Signal(old.providing_args, old.use_caching, old.name)


def _replace(old: Any, new: Any, known: bool) -> None:
    """Put `new` in the place of `old`, which is `known` to others than this module if so told."""
    table, entries = new.receivers, list(new.receivers)
    if known:
        old.receivers[:] = _rekeyed(old.receivers, celery_dispatch._make_id, key)
        keys = [entry[0] for entry in old.receivers]
        new.receivers = old.receivers
        new.receivers.extend(entry for entry in entries if entry[0] not in keys)
    new.__class__ = Signal
    old.__dict__["replacement"] = new
    _set_class(old, Replaced)
    _replaced.append((old, new, table))


def _rekeyed(entries: list[Any], known: Any, wanted: Any) -> list[Any]:
    """Return entries whose methods are known by what `wanted` tells instead of `known`.

    These differ before Celery 5.7, which knew a method by its function, whatever its object.
    """
    return [
        ((wanted(method), entry[0][1]), entry[1])
        if isinstance(method := _receiver(entry), MethodType)
        and entry[0][0] == known(method) != wanted(method)
        else entry
        for entry in entries
    ]


def _receiver(entry: Any) -> Any:
    return entry[1]() if isinstance(entry[1], ReferenceType) else entry[1]


def _set_class(thing: object, kind: type) -> None:
    # Not by assignment: `Replaced` hides its class.
    object.__dict__["__class__"].__set__(thing, kind)


def _rebind(signals: dict[int, Any], classes: dict[int, Any]) -> None:
    """Let Celery's modules and apps refer to other signals, and to another class of them."""
    for name, module in list(sys.modules.items()):
        if name == "celery" or name.startswith("celery."):
            _rebind_in(module, {**signals, **classes})
    for app in _state._get_active_apps():
        _rebind_in(app, signals)
        if "amqp" in vars(app):
            # The function that publishes a task holds on to signals; it is made anew when needed.
            vars(app.amqp).pop("send_task_message", None)


def _rebind_in(owner: object, others: dict[int, Any]) -> None:
    for name, value in list(vars(owner).items()):
        if id(value) in others:
            setattr(owner, name, others[id(value)])
        elif type(value) in (MethodType, BuiltinMethodType) and id(value.__self__) in others:
            setattr(owner, name, getattr(others[id(value.__self__)], value.__name__))
