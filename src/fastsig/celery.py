"""Celery's face: it runs Celery's own signals on fastsig's engine.

`install` patches the methods of Celery's signal class, and *adopts* its signals: each gets an
engine.  No signal is replaced, so a reference to a signal, to its `send` or to the class stays
valid, even if it was taken before.  If other code has changed the class, a subclass or a signal,
that code and Celery's run instead of the engine.

An adopted signal has three more entries in its ``__dict__``: ``_fastsig``, its engine;
``receivers``, the engine's table; and, compiled, ``send``, the engine's bound method, which is
cheaper to call than a method that is found on the class.
"""

from __future__ import annotations

import logging
import sys
import warnings
from functools import partial
from importlib import import_module
from threading import Lock, RLock
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, finalize, ref

from fastsig.advice import read_parameters
from fastsig.catalog import find_entry
from fastsig.engine import (
    RobustEngine,
    Table,
    class_send_robust,
    compiled,
    list_engines,
    make_key,
    make_receiver_key,
    make_table,
    register_host,
    resolve,
    resolve_proxy,
)
from fastsig.engine.hosts import bind, is_send_of, unpatch
from fastsig.engine.plans import OTHER, keywords_of, make_plan
from fastsig.senders import is_task, list_senders
from fastsig.signal import (
    ANYONE,
    AROUND,
    FAILED,
    LoggingPolicy,
    connect_receiver,
    disconnect_receiver,
    make_printable,
    make_weak,
)
from fastsig.signal import Signal as FastsigSignal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastsig.engine.plans import Plan
    from fastsig.seen import Connection

__all__ = ["install", "installed", "queued", "uninstall"]

METHODS = (
    *("connect", "disconnect", "has_listeners", "send", "send_robust"),
    *("_connect_signal", "_live_receivers", "__init__"),
)
"""The methods of Celery's class that are patched."""

PARTS = "_clear_dead_receivers", "_remove_receiver", "receivers"
"""What only Celery's own code uses: a signal whose class overrides one of these is not adopted."""

WATCHED = frozenset({"receivers", "send", "__class__", "_connect_signal", "_live_receivers"})
"""The attributes of a signal: when one of them changes, the engine is notified."""

PUBLISHING = frozenset({"before_task_publish", "after_task_publish", "task_sent"})
"""The signals that are sent when a task is published."""

faces: list[Face] = []
"""A face for each copy of Celery's dispatch module that this process has had."""

lock = RLock()


class _Gone:
    """The class of the dead object that `DEAD_ENTRY` refers to."""


DEAD_ENTRY = (("fastsig", id(None)), ref(_Gone()))
"""The only entry that stays in a list when a signal gets another one: its list from before it was
adopted, or the engine's table when the signal is released.

Code that still holds the old list and only checks whether it is empty, as the closures of Celery's
tracers do, therefore goes on sending.  Celery's own lists may have dead entries, too."""


def install() -> None:
    """Let Celery's signals run on fastsig's engine; their receivers stay connected.

    If they already do, nothing happens.
    """
    face = current_face()
    if face is not None:
        face.install()


def uninstall() -> None:
    """Restore Celery's own dispatch; the connected receivers stay connected.

    Celery cannot call those that do not accept ``**kwargs``: it logs a `TypeError` for each.
    """
    for face in faces:
        face.uninstall()


def installed() -> bool:
    """Return whether Celery's signals run on fastsig's engine."""
    face = current_face()
    return face is not None and face.active


def current_face() -> Face | None:
    """Return the face of the imported Celery, or None if its signal class is not as expected."""
    module: Any = import_module("celery.utils.dispatch.signal")
    for face in faces:
        if face.module is module and face.Signal is module.Signal:
            return face
    if not all(name in vars(module.Signal) for name in METHODS):
        return None
    faces.append(Face(module))
    return faces[-1]


class CeleryPolicy(LoggingPolicy):
    """The policy of Celery's signals: the logger, tasks as receivers, and overrides."""

    def __init__(self, face: Face) -> None:
        self.face = face

    def get_logger(self) -> Any:
        return self.face.module.logger  # looked up each time: it may be patched

    def fail(self, signal: Any, receiver: Any, exception: Exception) -> Any:
        """Log the exception as Celery does; print it to stderr if no handler outputs it."""
        logger = self.get_logger()
        super().fail(signal, receiver, exception)
        if (
            is_unheard(logger)
            and logger.isEnabledFor(logging.ERROR)
            and logging.lastResort is not None
        ):
            exc_info = type(exception), exception, exception.__traceback__
            args = make_printable(receiver), make_printable(exception)
            record = logging.LogRecord(
                logger.name, logging.ERROR, __file__, 0, FAILED, args, exc_info
            )
            logging.lastResort.handle(record)
        return exception

    def plan(self, receiver: Any, names: tuple[str, ...]) -> Plan:
        if not is_task(resolve_proxy(receiver)):
            return make_plan(receiver, names)
        accepted = names_of(receiver)
        chosen = [i for i, name in enumerate(names) if accepted is None or name in accepted]
        return OTHER, None, (), tuple(chosen)

    def overrides(self, engine: RobustEngine, signal: Any) -> tuple[Any, Any] | None:
        """Return what sends instead of the engine, or None if the engine does.

        Returns:
            ``(for the signal's send, for the class's send)``: a `send` that other code has put in
            place, or Celery's own, if other code has overridden what that calls.
        """
        return self.face.find_overrides(engine, signal)


class Face:
    """The face of the signals of one copy of Celery's dispatch module."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.Signal: Any = module.Signal
        self.active = False
        self.policy = CeleryPolicy(self)
        self.stock = {name: vars(self.Signal)[name] for name in (*METHODS, *PARTS)}
        self.patches = make_patches(self)
        register_host(self.Signal, self.find_engine)

    def install(self) -> None:
        with lock:
            if self.active:
                return
            for name, function in self.patches.items():
                there = vars(self.Signal).get(name)
                if self.is_stock(there) if name in METHODS else there is None:
                    setattr(self.Signal, name, function)
            self.active = True
            tables = {}
            for signal in self.find_signals():
                old = vars(signal).get("receivers")
                self.adopt(signal)
                tables[id(old)] = signal.receivers
            self.rebind(tables)

    def uninstall(self) -> None:
        with lock:
            if not self.active:
                return
            for signal in self.find_signals():
                self.adopt(signal)  # if it has not been used yet: its table goes with its engine
            self.active = False
            unpatch(self.Signal, self.patches, self.stock)
            tables = {}
            for engine in list_engines():
                signal = engine.get_owner()
                if not issubclass(type(signal), self.Signal):
                    continue
                if vars(signal).get("_fastsig") is engine:
                    tables[id(engine.receivers)] = self.release(signal)
            self.rebind(tables)

    def is_stock(self, function: Any) -> bool:
        """Return whether a function is Celery's own, not just one with the same name and module."""
        return type(function) is FunctionType and function.__globals__ is vars(self.module)

    def find_overrides(self, engine: RobustEngine, signal: Any) -> tuple[Any, Any] | None:
        kind, own = type(signal), vars(signal)
        send = live = None
        if own.get("_fastsig") is not engine or kind.send is not class_send_robust:
            send = bind(kind.send, signal)
        if self.overrides_live_receivers(signal):
            live = bind(self.stock["send"], signal)
        return None if send is live is None else (send or live, live)

    def overrides_live_receivers(self, signal: Any) -> bool:
        """Return whether other code has overridden how a signal finds its receivers."""
        kind, own = type(signal), vars(signal)
        return (
            kind._live_receivers is not self.patches["_live_receivers"] or "_live_receivers" in own
        )

    def can_adopt(self, signal: Any) -> bool:
        kind, stock = type(signal), self.stock
        return (
            self.active
            and issubclass(kind, self.Signal)
            and kind._clear_dead_receivers is stock["_clear_dead_receivers"]
            and kind._remove_receiver is stock["_remove_receiver"]
            and kind.receivers is stock["receivers"]
        )

    # Adopting

    def find_engine(self, signal: Any) -> Any:
        """Return the engine of a signal that is sent through its class, or else Celery's `send`."""
        return self.adopt(signal) or bind(self.stock["send"], signal)

    def engine_of(self, signal: Any) -> RobustEngine | None:
        engine = vars(signal).get("_fastsig")
        if engine is not None and engine.get_owner() is signal:
            return engine  # type: ignore[no-any-return]
        return self.adopt(signal)

    def adopt(self, signal: Any) -> RobustEngine | None:
        """Return the engine of a signal, make it if needed; None if Celery's code has to run."""
        if not self.can_adopt(signal):
            return None
        with lock:
            own = vars(signal)
            engine = own.get("_fastsig")
            if engine is not None and engine.get_owner() is signal:
                return engine  # type: ignore[no-any-return]
            if engine is not None and is_send_of(own.get("send"), engine):
                del own["send"]  # it belongs to the signal that this one was copied from
            own.pop("_fastsig", None)
            engine = RobustEngine()
            engine.configure(self.policy, signal)
            old = own.get("receivers")
            taken = type(old) is Table and engine.take_table(old)
            make_tasks_known(engine, old or ())
            if not taken:
                engine.receivers = list(self.convert(engine, old or ()))
            elif old:
                old.rewrite(partial(self.convert, engine))
            # Published last: another thread may connect to it at once.  If a finalizer has used the
            # signal meanwhile, that has an engine.
            engine = own.setdefault("_fastsig", engine)
            own["receivers"] = engine.receivers
            if own.get("sender_receivers_cache"):
                own["sender_receivers_cache"].clear()
            self.give_send(signal, engine)
            if type(old) is list:
                own["_fastsig_list"] = old
                old[:] = [DEAD_ENTRY]
            return engine  # type: ignore[no-any-return]

    def give_send(self, signal: Any, engine: RobustEngine) -> None:
        if compiled and type(signal).send is class_send_robust:
            vars(signal).setdefault("send", engine.send)

    def convert(self, engine: RobustEngine, entries: Iterable[Any]) -> Iterator[Any]:
        """Yield Celery's entries in the form that the engine gives them.

        Celery's weak references do not notify the engine when a receiver dies.  Before 5.7, Celery
        identified a bound method by its function alone.
        """
        make_id = self.module._make_id
        for (receiver_key, sender_key), reference in list(entries):
            receiver = resolve(reference)
            if receiver is None:
                continue
            own_key = type(receiver) is MethodType and receiver_key == make_id(receiver)
            weak = isinstance(reference, ReferenceType)
            yield (
                (make_key(receiver) if own_key else receiver_key, sender_key),
                engine.make_reference(receiver) if weak else receiver,
            )

    def release(self, signal: Any) -> list[Any]:
        """Return a signal to Celery's own dispatch; return its list of receivers."""
        own = vars(signal)
        engine = own.pop("_fastsig")
        table, old = engine.receivers, own.pop("_fastsig_list", [])
        entries = list(table)
        del old[:]
        for (receiver_key, sender_key), reference in entries:
            receiver = resolve(reference)
            if receiver is None:
                continue
            own_key = type(receiver) is MethodType and receiver_key == make_key(receiver)
            keys = (self.module._make_id(receiver) if own_key else receiver_key, sender_key)
            if isinstance(reference, ReferenceType):
                make, target = self.module._boundmethod_safe_weakref(receiver)
                finalize(target, signal._remove_receiver)
                receiver = make(receiver)
            old.append((keys, receiver))
        if "receivers" in own:
            own["receivers"] = old
        if is_send_of(own.get("send"), engine):
            del own["send"]
        table[:] = [DEAD_ENTRY]
        engine.look_for_overrides_again()
        return old  # type: ignore[no-any-return]

    def find_signals(self) -> Iterator[Any]:
        """Yield the signals in Celery's modules and apps; others are adopted when they are used."""
        for owner in find_owners():
            for value in list(vars(owner).values()):
                # Not isinstance, which would evaluate a proxy, and so create an app.
                if issubclass(type(value), self.Signal):
                    yield value

    def rebind(self, tables: dict[int, Any]) -> None:
        """Let Celery's modules, publishers and tracers use the current `send` and lists.

        Only speed depends on this: an old list still has the `DEAD_ENTRY`, and an old `send` of
        Celery's calls `_live_receivers`, which is patched.
        """

        def rebound(value: Any) -> Any:
            signal: Any = None
            if type(value) is MethodType:
                if value.__func__ in (self.stock["send"], class_send_robust):
                    signal = value.__self__
            elif type(value) is BuiltinMethodType and type(value.__self__) is RobustEngine:
                signal = value.__self__.get_owner()
            elif issubclass(type(value), list):
                return tables.get(id(value), value)
            return signal.send if issubclass(type(signal), self.Signal) else value

        for owner in find_owners():
            if isinstance(owner, ModuleType):
                for name, value in list(vars(owner).items()):
                    if (new := rebound(value)) is not value:
                        setattr(owner, name, new)
        for function in self.find_closures():
            for cell in getattr(function, "__closure__", None) or ():
                try:
                    value = cell.cell_contents
                except ValueError:  # it is empty
                    continue
                if (new := rebound(value)) is not value:
                    cell.cell_contents = new

    def find_closures(self) -> Iterator[Any]:
        """Yield the tracers and publishers that the apps have made."""
        for app in find_apps():
            for task in list((vars(app).get("_tasks") or {}).values()):
                yield vars(task).get("__trace__")
            if "amqp" in vars(app):
                yield vars(app.amqp).get("send_task_message")
                if not self.active:
                    vars(app.amqp).pop("send_task_message", None)  # a cache


def find_owners() -> Iterator[Any]:
    """Yield the objects that hold Celery's signals: its modules and its apps."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "celery" and module is not None:
            yield module
    yield from find_apps()


def find_apps() -> list[Any]:
    state = sys.modules.get("celery._state")
    return list(state._get_active_apps()) if state else []


def make_tasks_known(engine: RobustEngine, entries: Iterable[Any]) -> None:
    """Tell an engine which tasks the sender ids in Celery's entries belong to."""
    keys = {entry[0][1] for entry in list(entries) if type(entry[0][1]) is int}
    if keys - {id(None)}:
        for app in find_apps():
            for task in list((vars(app).get("_tasks") or {}).values()):
                if id(task) in keys:
                    engine.know_sender(task)


def make_patches(face: Face) -> dict[str, Any]:  # noqa: PLR0915, one function for one scope
    """Return the attributes to patch Celery's class with, by name."""
    # All names are local: a module's globals may be gone before the last callback at exit.
    Signal, stock, policy, module = face.Signal, face.stock, face.policy, face.module
    engine_of, adopt = face.engine_of, face.adopt

    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and callable(args[0]):
            return connect_one(self, *args, **kwargs)
        if "receiver" in kwargs and kwargs["receiver"] is not None:
            return connect_one(self, kwargs.pop("receiver"), *args, **kwargs)
        kwargs.pop("receiver", None)
        return lambda receiver: connect_one(self, receiver, *args, **kwargs)

    def connect_one(
        self: Any,
        receiver: Any,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: Any = False,
        *,
        senders: Any = None,
        subclasses: bool = False,
        on_error: Any = None,
        once: bool = False,
    ) -> Any:
        engine = engine_of(self)
        if engine is None or overrides_connect_signal(self):
            if subclasses:
                raise TypeError(
                    f"subclasses=True needs fastsig's engine, which {self!r} does not run on"
                )
            if on_error is not None or once or not isinstance(retry, int):
                raise TypeError(
                    "on_error, once and Retry need fastsig's engine, which"
                    f" {self!r} does not run on"
                )
            for each in [sender] if senders is None else senders:
                stock["connect"](self, receiver, each, weak, dispatch_uid, retry)
            return receiver
        check_task(self, receiver)
        return connect_receiver(
            *(self, engine, policy, receiver, sender, weak, dispatch_uid, retry),
            senders=senders,
            subclasses=subclasses,
            on_error=on_error,
            once=once,
        )

    def overrides_connect_signal(self: Any) -> bool:
        return type(self)._connect_signal is not patches[
            "_connect_signal"
        ] or "_connect_signal" in vars(self)

    def _connect_signal(self: Any, receiver: Any, sender: Any, weak: Any, dispatch_uid: Any) -> Any:
        engine = engine_of(self)
        if engine is None:
            return stock["_connect_signal"](self, receiver, sender, weak, dispatch_uid)
        check_task(self, receiver)
        receiver_key = make_receiver_key(receiver, dispatch_uid)
        if sender is not None and hasattr(type(sender), "__then__"):
            sender.__then__(self._connect_proxy, receiver, sender, weak, dispatch_uid)
            return receiver
        reference = make_weak(engine, receiver) if weak else receiver
        engine.add_connection(receiver_key, reference, *list_senders(sender))
        return reference

    def disconnect(
        self: Any,
        receiver: Any = None,
        sender: Any = None,
        weak: Any = None,
        dispatch_uid: Any = None,
        *,
        senders: Any = None,
        subclasses: bool = False,
    ) -> Any:
        if weak is not None:
            warnings.warn(
                "Passing `weak` to disconnect has no effect.",
                module.CDeprecationWarning,
                stacklevel=2,
            )
        engine = engine_of(self)
        if engine is None:
            return stock["disconnect"](self, receiver, sender, None, dispatch_uid)
        return disconnect_receiver(engine, receiver, sender, dispatch_uid, senders, subclasses)

    def has_listeners(
        self: Any, sender: Any = None, *, senders: Any = None, subclasses: bool = False
    ) -> bool:
        engine = engine_of(self)
        if engine is None or face.overrides_live_receivers(self):
            listed = [sender] if senders is None else senders
            return any(self._live_receivers(each) for each in listed)
        return engine.has_listeners(sender, senders=senders, subclasses=subclasses)

    def _live_receivers(self: Any, sender: Any) -> Any:
        engine = engine_of(self)
        if engine is None:
            return stock["_live_receivers"](self, sender)
        found = [resolve(reference) for reference in engine.find_route(sender).references]
        return [take_all(receiver) for receiver in found if receiver is not None]

    def connections(self: Any) -> list[Connection]:
        from fastsig.seen import list_connections

        engine = engine_of(self)
        return [] if engine is None else list_connections(engine)

    def explain(self: Any, receiver: Any, sender: Any = ANYONE) -> str:
        from fastsig.seen import explain, explain_stock

        engine = engine_of(self)
        if engine is None or face.overrides_live_receivers(self):
            return explain_stock(self, receiver, sender)
        return explain(self, engine, receiver, sender)

    def __init__(
        self: Any, providing_args: Any = None, use_caching: bool = False, name: Any = None
    ) -> None:
        own = self.__dict__  # which is faster than `vars`
        replaced = Signal.__setattr__ is not patches["__setattr__"]
        if own or replaced or type(self) is not Signal:
            stock["__init__"](self, providing_args, use_caching, name)
            return
        # Not Celery's own `__init__`: each of its assignments would go through `__setattr__`.
        # The signal is adopted when it is first used; this table is the one that it has then, too.
        own["receivers"] = make_table()
        own["providing_args"] = set(() if providing_args is None else providing_args)
        own["lock"] = Lock()
        own["use_caching"] = use_caching
        own["name"] = name
        own["sender_receivers_cache"] = WeakKeyDictionary() if use_caching else {}
        own["_dead_receivers"] = False

    def __setattr__(self: Any, name: str, value: Any) -> None:
        super(Signal, self).__setattr__(name, value)
        if name in WATCHED:
            notice(self, name, value)

    def __delattr__(self: Any, name: str) -> None:
        super(Signal, self).__delattr__(name)
        if name in WATCHED:
            notice(self, name, None)

    def notice(self: Any, name: str, value: Any) -> None:
        """Let the engine know that an attribute was set, or deleted if `value` is None."""
        own = vars(self)
        engine = own.get("_fastsig")
        if engine is None or engine.get_owner() is not self:
            if name == "receivers" and value is not None:
                adopt(self)
        elif name == "receivers":
            engine.receivers = value if issubclass(type(value), list) else list(value or ())
            if name in own:
                own[name] = engine.receivers
        else:
            if name == "send" and name not in own:  # mock deletes what it has set
                face.give_send(self, engine)
            engine.look_for_overrides_again()

    def __getstate__(self: Any) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name[:8] != "_fastsig"}
        if is_send_of(state.get("send"), vars(self).get("_fastsig")):
            del state["send"]
        if "receivers" in state:
            state["receivers"] = list(state["receivers"])
        return state

    patches: dict[str, Any] = {
        function.__name__: function
        for function in (
            *(connect, disconnect, has_listeners, _connect_signal, _live_receivers, __init__),
            *(__setattr__, __delattr__, __getstate__, connections, explain),
        )
    }
    for name, function in patches.items():
        if name in stock:
            for attribute in ("__doc__", "__qualname__", "__module__", "__annotations__"):
                setattr(function, attribute, getattr(stock[name], attribute))
    for name in ("connections", "explain"):
        patches[name].__doc__ = vars(FastsigSignal)[name].__doc__
    patches["send"] = patches["send_robust"] = class_send_robust
    patches.update(AROUND)
    return patches


# Receivers


def names_of(receiver: Any) -> set[str] | None:
    """Return the names that a receiver (or a task's `run`) takes by keyword, None for any."""
    receiver = resolve_proxy(receiver)
    return keywords_of(receiver.run if is_task(receiver) else receiver)


def check_task(signal: Any, receiver: Any) -> None:
    """Check a receiver that is a task.

    Raises:
        ValueError: It requires arguments that the signal never sends, so it is meant as a sender;
            or it is queued, and the signal is sent whenever a task is queued.
    """
    if type(receiver) is Queued and getattr(signal, "name", None) in PUBLISHING:
        raise ValueError(
            f"{receiver!r} would be queued without end: {signal.name} is sent when a task is queued"
        )
    if not is_task(task := resolve_proxy(receiver)):
        return
    entry = find_entry(signal)
    sent = getattr(signal, "providing_args", None) if entry is None else entry.list_sent()
    required, _ = read_parameters(task)
    missing = {*required} - {"signal", "sender", *sent} if sent else None
    if missing:
        raise ValueError(
            f"task {task.name!r} requires {', '.join(sorted(missing))}, which {signal.name} never"
            " sends; to filter by sender, write connect(sender=...)"
        )


def queued(task: Any, **options: Any) -> Queued:
    """Return a receiver that publishes a task with the sent arguments that the task names.

    The signal keeps it alive: ``order_paid.connect(queued(send_receipt, countdown=5))``.  To
    disconnect it, pass an equal one, with the same task and the same options.

    Arguments:
        task: A task.  With ``**kwargs``, it gets all arguments except `signal` and `sender`.
        **options: The options of ``task.apply_async``, except `args` and `kwargs`.

    Raises:
        TypeError: `task` is not a task, or `args` or `kwargs` is among the options.
    """
    if not (is_task(task) or hasattr(type(task), "_get_current_object")):
        raise TypeError(f"queued() takes a task, got {type(task).__name__!r}")
    for name in ("args", "kwargs"):
        if name in options:
            raise TypeError(f"queued() passes the sent arguments: {name!r} is not an option")
    return Queued(task, options)


class Queued:
    """A receiver that publishes a task."""

    __slots__ = ("_dispatch_uid", "names", "options", "task")

    _fastsig_kept = True

    def __init__(self, task: Any, options: dict[str, Any]) -> None:
        self.task, self.options = task, options
        self.names: Any = None
        name = vars(task)["name"] if "name" in getattr(task, "__dict__", ()) else id(task)
        self._dispatch_uid: Any = (queued, name, repr(sorted(options.items())))

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"queued({self.task!r}{options})"

    def __call__(self, /, **named: Any) -> Any:
        """Publish the task."""
        task = resolve_proxy(self.task)
        if self.names is None:
            accepted = keywords_of(task.run)
            self.names = (accepted,)
        (accepted,) = self.names
        arguments = {
            name: value
            for name, value in named.items()
            if (name not in ("signal", "sender") if accepted is None else name in accepted)
        }
        return task.apply_async(kwargs=arguments, **self.options)


def take_all(receiver: Any) -> Any:
    """Return a receiver that takes all arguments, as Celery's `send` passes: wrapped if needed."""
    names = names_of(receiver)
    if names is None:
        return receiver
    return lambda **named: receiver(**{name: named[name] for name in named if name in names})


def is_unheard(logger: Any) -> bool:
    """Return whether only NullHandlers get what is logged, so that it is not output.

    This is so in a worker until Celery has set up logging (celery/celery#4609).
    """
    while isinstance(logger, logging.Logger):
        if any(type(handler) is not logging.NullHandler for handler in logger.handlers):
            return False
        if not logger.propagate or logger.parent is None:
            return logger is logging.root
        logger = logger.parent
    return False
