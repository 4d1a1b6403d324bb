"""Beyond Django: receivers after the commit, for subclasses, and without ``**kwargs``.

Each is a function that is connected in the receiver's place, with the key that the receiver itself
would have.  So it works in whatever way Django sends, Django's own ``signal.disconnect(receiver)``
finds it, and it cannot be connected twice.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import update_wrapper
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

from fastsig.django.face import find_engine
from fastsig.engine.plans import keywords_of
from fastsig.seen import list_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from typing import TypeVar

    from fastsig.seen import Connection

    _Receiver = TypeVar("_Receiver", bound=Callable[..., Any])

__all__ = ["connect", "connected", "connections", "disconnect", "receiver"]

NAMED = "__module__", "__name__", "__qualname__", "__doc__"


def connect(
    signal: Any,
    receiver: _Receiver,
    sender: Any = None,
    weak: bool = True,
    dispatch_uid: Hashable = None,
    *,
    on_commit: bool = False,
    subclasses: bool = False,
) -> _Receiver:
    """Connect a receiver to a signal of Django's.

    The first arguments are those of Django's ``signal.connect``.  A receiver without ``**kwargs``
    gets those arguments that it names.

    Arguments:
        signal: The signal.
        receiver: What to call.
        sender: The only sender to receive from; None for any.
        weak: Refer to the receiver weakly.
        dispatch_uid: The key of the receiver, in place of its own.
        on_commit: Call it after the transaction has been committed, on the database that the signal
            names (``using``), or on the default one; at once where there is none.  What it raises
            is logged as by ``transaction.on_commit(..., robust=True)``.
        subclasses: A sender that is a model stands for its subclasses, too: proxies, and what
            inherits from it, abstract or not; also for those that are made later.

    Returns:
        The receiver.

    Raises:
        TypeError: The receiver is not callable, or is a coroutine function with ``on_commit``; or
            the sender is no model, with ``subclasses``.
    """
    if not callable(receiver):
        raise TypeError(f"receiver must be callable, got {type(receiver).__name__!r}")
    uid = dispatch_uid or make_id(receiver)
    if subclasses:
        check_model(sender)
    connected: Any = find_stand_in(receiver, weak, on_commit)
    for each in find_family(sender) if subclasses else [sender]:
        signal.connect(connected, sender=each, weak=weak, dispatch_uid=uid)
    if subclasses:
        connect_later(signal, receiver, connected, sender, weak, uid)
    return receiver


def disconnect(
    signal: Any,
    receiver: Callable[..., Any] | None = None,
    sender: Any = None,
    dispatch_uid: Hashable = None,
    *,
    subclasses: bool = False,
) -> bool:
    """Disconnect a receiver; return whether it was connected.

    Without `subclasses` it is the same as Django's ``signal.disconnect``.

    Arguments:
        signal: The signal.
        receiver: The receiver.
        sender: The sender that it was connected with.
        dispatch_uid: The `dispatch_uid` that it was connected with.
        subclasses: Whether it was connected with the subclasses of the sender.
    """
    uid = dispatch_uid or make_id(receiver)
    found = False
    if subclasses:
        check_model(sender)
        from django.db.models.signals import class_prepared

        key = later_key(signal, uid, sender)
        class_prepared.disconnect(dispatch_uid=key)
        kept.pop(key, None)
    for each in find_family(sender) if subclasses else [sender]:
        found = signal.disconnect(sender=each, dispatch_uid=uid) or found
    return found


def receiver(signal: Any | Iterable[Any], **options: Any) -> Callable[[_Receiver], _Receiver]:
    """Return a decorator that connects a function to a signal, or to each of several.

    Arguments:
        signal: A signal of Django's, or several.
        **options: The options of `connect`.
    """
    signals = [signal] if hasattr(signal, "connect") else list(signal)

    def decorate(function: _Receiver) -> _Receiver:
        for each in signals:
            connect(each, function, **options)
        return function

    return decorate


@contextmanager
def connected(
    signal: Any, receiver: Callable[..., Any], sender: Any = None, **options: Any
) -> Iterator[None]:
    """Return a context manager in which a receiver is connected.

    A connection with the same keys that there is already is left alone.

    Arguments:
        signal: The signal.
        receiver: The receiver.
        sender: The only sender to receive from; None for any.
        **options: The other options of `connect`.
    """
    uid = options.get("dispatch_uid") or make_id(receiver)
    senders = find_family(sender) if options.get("subclasses") else [sender]
    keys = {(uid, make_id(each)) for each in senders}
    there = not keys.isdisjoint(entry[0] for entry in list(signal.receivers))
    if not there:
        connect(signal, receiver, sender, **options)
    try:
        yield
    finally:
        if not there:
            disconnect(signal, None, sender, uid, subclasses=options.get("subclasses", False))


def connections(signal: Any) -> list[Connection]:
    """Return the connections of a signal of Django's, in order, as `fastsig.seen.Connection`.

    Arguments:
        signal: The signal.

    Raises:
        TypeError: It is no signal of Django's, or does not run on fastsig's engine.
    """
    engine = find_engine(signal)
    if engine is None:
        raise TypeError(f"connections() takes signals on fastsig's engine, got {signal!r}")
    return list_connections(engine)


def make_id(thing: Any) -> Any:
    """Return the key that Django gives a receiver or a sender."""
    from django.dispatch import dispatcher

    return dispatcher._make_id(thing)


def is_async(receiver: Any) -> bool:
    """Return whether Django awaits a receiver."""
    from django.dispatch import dispatcher

    return bool(dispatcher.iscoroutinefunction(receiver))


kept: dict[Any, tuple[Any, Any]] = {}
"""What lives as long as a receiver that is weakly referred to, with a weak reference to that.

A callback that disconnects would take the lock of a signal in the middle of whatever runs, which
may hold it.
"""


def keep(key: Any, receiver: Any, thing: Any) -> None:
    """Keep something as long as a receiver lives."""
    owner = receiver.__self__ if type(receiver) is MethodType else receiver

    def forget(_: Any, key: Any = key, forget: Any = kept.pop) -> None:
        forget(key, None)

    kept[key] = ref(owner, forget), thing


def find_stand_in(receiver: Any, weak: bool, on_commit: bool) -> Any:
    """Return what to connect in the place of a receiver; itself, if that will do."""
    names = keywords_of(receiver)
    if names is None and not on_commit:
        return receiver
    if is_async(receiver) and on_commit:
        raise TypeError("on_commit=True: a coroutine function cannot run after a commit")
    if not weak:
        return make_stand_in(lambda: receiver, receiver, names, on_commit)
    key = make_id(receiver), on_commit
    if key not in kept:
        make = WeakMethod if type(receiver) is MethodType else ref
        keep(key, receiver, make_stand_in(make(receiver), receiver, names, on_commit))
    return kept[key][1]


def make_stand_in(
    find: Callable[[], Any], receiver: Any, names: set[str] | None, on_commit: bool
) -> Any:
    """Return a function to connect in the place of a receiver.

    Arguments:
        find: Returns the receiver, None if it is dead.
        receiver: The receiver.
        names: The names of the arguments that the receiver accepts; None if it accepts any.
        on_commit: Whether to call it after the commit.
    """

    def choose(signal: Any, sender: Any, named: dict[str, Any]) -> dict[str, Any]:
        named.update(signal=signal, sender=sender)
        if names is None:
            return named
        return {name: value for name, value in named.items() if name in names}

    def call(signal: Any, sender: Any, **named: Any) -> Any:
        receiver = find()
        return None if receiver is None else receiver(**choose(signal, sender, named))

    async def call_async(signal: Any, sender: Any, **named: Any) -> Any:
        receiver = find()
        return None if receiver is None else await receiver(**choose(signal, sender, named))

    def call_later(signal: Any, sender: Any, **named: Any) -> None:
        from django.db import transaction

        receiver = find()
        if receiver is None:
            return

        def run() -> None:
            receiver(**chosen)

        # Before 6.1, Django logs the `__qualname__` of what fails: a partial has none.
        name_like(run, receiver)
        using = named.get("using")
        chosen = choose(signal, sender, named)
        transaction.on_commit(run, using=using, robust=True)

    function: Any = call_later if on_commit else call_async if is_async(receiver) else call
    name_like(function, receiver)
    function._fastsig_original = find
    return function


def name_like(function: Any, receiver: Any) -> None:
    """Give a function the name of a receiver."""
    update_wrapper(function, receiver, NAMED, ())
    function.__qualname__ = getattr(receiver, "__qualname__", type(receiver).__qualname__)
    # With DEBUG, Django would look through it for **kwargs.
    del function.__wrapped__


# Subclasses


def check_model(sender: Any) -> None:
    """Check that a sender is a model.

    Raises:
        TypeError: It is none.
    """
    from django.db.models import Model

    if not (issubclass(type(sender), type) and issubclass(sender, Model)):
        raise TypeError(f"subclasses=True needs a model as the sender, got {sender!r}")


def find_family(model: Any) -> list[Any]:
    """Return a model and all of its subclasses, each once."""
    found = {model: None}
    for each in model.__subclasses__():
        found.update(dict.fromkeys(find_family(each)))
    return list(found)


def later_key(signal: Any, uid: Any, sender: Any) -> Any:
    """Return the key of what connects a receiver for models that are made later."""
    return ("fastsig", id(signal), uid, id(sender))


def connect_later(
    signal: Any, receiver: Any, connected: Any, base: Any, weak: bool, uid: Any
) -> None:
    """Connect what is connected for a model for each subclass that is made from now on."""
    from django.db.models.signals import class_prepared

    key = later_key(signal, uid, base)
    target: Any = connected
    if weak:
        target = (WeakMethod if type(connected) is MethodType else ref)(connected)

    def prepare(sender: Any, **named: Any) -> None:
        found = target() if weak else target
        if found is not None and issubclass(sender, base):
            signal.connect(found, sender=sender, weak=weak, dispatch_uid=uid)

    if weak:
        keep(key, receiver, prepare)
    class_prepared.connect(prepare, weak=weak, dispatch_uid=key)
