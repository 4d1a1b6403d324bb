"""Django's face: it runs Django's own signals on fastsig's engine.

`install` patches Django's signal class; a signal is *adopted*, that is, gets an engine, when it is
first used.  No signal is replaced.  Entries, lock, caches and the clearing of dead receivers remain
Django's.  If other code has changed the class, a subclass or a signal, that code and Django's run
instead of the engine; if a receiver is a coroutine function, Django's code does.

An adopted signal has two more entries in its ``__dict__``: ``_fastsig``, its engine, and, compiled,
``send``, the engine's bound method, which is cheaper to call than a method that is found on the
class.  Its ``receivers`` is a list that tells the engine of changes.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from threading import RLock
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any
from weakref import ref

from fastsig.engine import (
    Engine,
    Policy,
    class_send,
    compiled,
    is_dead,
    list_engines,
    make_reference,
    register_host,
)
from fastsig.engine.hosts import bind, is_send_of, unpatch
from fastsig.engine.plans import FUNCTION, function_of, make_plan, passes_all
from fastsig.engine.switches import switch

if TYPE_CHECKING:
    from fastsig.engine.plans import Plan

__all__ = ["install", "installed", "uninstall"]

METHODS = "connect", "disconnect", "send"
"""The methods of Django's class that are patched."""

STATE = frozenset({"receivers", "lock", "use_caching", "sender_receivers_cache", "_dead_receivers"})
"""The attributes that Django's `__init__` gives a signal."""

COROUTINE = 0x80
"""The flag of the code of a coroutine function."""

MAX_PLANS = 1000
"""How many call plans are kept."""

faces: list[Face] = []
"""A face for each copy of Django's dispatch module that this process has had."""

lock = RLock()


def install() -> None:
    """Let Django's signals run on fastsig's engine, existing and future ones.

    It may be called at any time, and more than once.  It does nothing with ``FASTSIG_DJANGO=0``, or
    if Django is not as expected.  In plain Python, where Django's own dispatch is faster, it does
    nothing without ``FASTSIG_DJANGO=1``.  ``manage.py check`` reports the reason.
    """
    if not find_obstacle():
        current_face().install()


def uninstall() -> None:
    """Restore Django's own dispatch; the connected receivers stay connected."""
    for face in faces:
        face.uninstall()


def installed() -> bool:
    """Return whether Django's signals run on fastsig's engine."""
    return any(face.active and face.is_current() for face in faces)


def find_obstacle() -> str:
    """Return why `install` would do nothing: "off", "pure", or a text; "" if it would work."""
    if not switch("FASTSIG_DJANGO", default=True):
        return "off"
    if not compiled and not switch("FASTSIG_DJANGO"):
        return "pure"
    face = current_face()
    return "" if face.active else face.find_obstacle()


def current_face() -> Face:
    """Return the face of the imported Django."""
    for face in faces:
        if face.is_current():
            return face
    faces.append(Face(import_module("django.dispatch.dispatcher")))
    return faces[-1]


def find_engine(signal: Any) -> Engine | None:
    """Return the engine of a Django signal, even if Django's code sends it; None if it has none."""
    for face in faces:
        if issubclass(type(signal), face.Signal):
            return face.adopt(signal)
    return None


class DjangoPolicy(Policy):
    """The policy of Django's signals: senders by identity, all arguments, and overrides."""

    trim = False
    by_value = False
    purges = False

    def __init__(self, face: Face) -> None:
        self.face = face
        self.plans: dict[Any, Plan] = {}

    def plan(self, receiver: Any, names: tuple[str, ...]) -> Plan:
        """Return the call plan of a receiver, which is cached by the receiver's code.

        Without the cache, code that connects new receivers for each request, as Django's test
        client does, would make new plans each time.
        """
        function = receiver
        kind = FUNCTION
        if type(receiver) is not FunctionType:
            kind, function = function_of(receiver)
        if function is None or passes_all():
            return make_plan(receiver, names, False)
        key = kind, function.__code__, names
        plan = self.plans.get(key)
        if plan is None:
            if len(self.plans) >= MAX_PLANS:
                self.plans.clear()
            plan = self.plans[key] = make_plan(receiver, names, False)
        return plan

    def overrides(self, engine: Engine, signal: Any) -> tuple[Any, Any] | None:
        """Return what sends instead of the engine, None for nothing; first clear dead receivers."""
        return self.face.find_overrides(engine, signal)

    def find_sender(self, entry: tuple[Any, ...]) -> Any:
        """Return the sender of an entry, or None if it is not known."""
        if len(entry) == 4 and entry[2] is not None:  # from Django 6.0 on
            return entry[2]()
        models: Any = sys.modules.get("django.db.models")
        return None if models is None else find_class(models.Model, entry[0][1])

    def changed(self, signal: Any) -> None:
        """Clear Django's cache for a signal whose connections have changed."""
        signal.sender_receivers_cache.clear()


class Face:
    """The face of the signals of one copy of Django's dispatch module."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.Signal: Any = module.Signal
        self.active = False
        self.excluded: Any = None  # the one signal that is never adopted
        self.policy = DjangoPolicy(self)
        self.stock: dict[str, Any] = {}
        self.patches: dict[str, Any] = {}

    def is_current(self) -> bool:
        return sys.modules.get(self.module.__name__) is self.module

    def find_obstacle(self) -> str:
        """Return why this Django is not recognized, or "" if it is."""
        own = vars(self.Signal)
        for name in ("__setattr__", "__delattr__", "__getstate__"):
            if name in own:
                return f"something has patched django.dispatch.Signal.{name}"
        for name in (*METHODS, "_live_receivers", "_clear_dead_receivers"):
            if name not in own:
                return f"its django.dispatch.Signal has no {name}"
        if not self.is_stock(own["send"]):
            return "something has patched django.dispatch.Signal.send"
        if not any(name in own for name in CALLBACKS):
            return f"its django.dispatch.Signal has neither {' nor '.join(CALLBACKS)}"
        return self.find_unexpected()

    def find_unexpected(self) -> str:
        """Connect a receiver, and return what is unexpected about the entry, or ""."""

        def probe(**kwargs: Any) -> None: ...

        signal = self.Signal()
        self.Signal.connect(signal, probe, sender=Face)
        own = vars(signal)
        if not own.keys() >= STATE or type(own["receivers"]) is not list:
            return "its signals do not have the expected attributes"
        (entry,) = signal.receivers
        if not (
            (entry[0], entry[1](), entry[-1]) == ((id(probe), id(Face)), probe, False)
            and (len(entry) == 3 or (len(entry) == 4 and entry[2]() is Face))
        ):
            return "the entries of its receivers do not have the expected form"
        self.policy.more = (None, False) if len(entry) == 4 else (False,)
        return ""

    def install(self) -> None:
        with lock:
            if self.active:
                return
            if not self.patches:
                own = vars(self.Signal)
                self.stock = {name: own[name] for name in METHODS}
                self.patches = make_patches(self)
                register_host(self.Signal, self.find_engine)
            self.active = True
            for name, function in self.patches.items():
                if name not in METHODS or self.is_stock(vars(self.Signal)[name]):
                    setattr(self.Signal, name, function)
            # One of its receivers warns with a stacklevel that counts the frame of Django's `send`.
            self.excluded = import_module("django.core.signals").setting_changed
            vars(self.excluded).setdefault("send", bind(self.stock["send"], self.excluded))

    def uninstall(self) -> None:
        with lock:
            if not self.active:
                return
            self.active = False
            unpatch(self.Signal, self.patches, self.stock)
            for engine in list_engines():
                signal = engine.get_owner()
                if issubclass(type(signal), self.Signal):
                    with vars(signal)["lock"]:
                        self.release(signal)
            send = vars(self.excluded).get("send")
            if type(send) is MethodType and send.__func__ is self.stock["send"]:
                del vars(self.excluded)["send"]

    def is_stock(self, function: Any) -> bool:
        """Return whether a function is Django's own, not just one with the same name and module."""
        return type(function) is FunctionType and function.__globals__ is vars(self.module)

    # Adopting

    def can_adopt(self, signal: Any) -> bool:
        kind = type(signal)
        if not (self.active and issubclass(kind, self.Signal)) or signal is self.excluded:
            return False
        own = vars(signal)
        return (
            own.keys() >= STATE
            and type(own["receivers"]) is list
            and kind.__setattr__ is self.patches["__setattr__"]
            and not hasattr(kind, "receivers")
        )

    def adopt(self, signal: Any) -> Engine | None:
        """Return the engine of a signal, make it if needed; None if Django's code has to run."""
        own = getattr(signal, "__dict__", {})
        engine = own.get("_fastsig")
        if engine is not None and engine.get_owner() is signal:
            return engine  # type: ignore[no-any-return]
        # A thread that connects holds the lock.  Do not wait: the thread that sends may hold it.
        if not self.can_adopt(signal) or not own["lock"].acquire(False):
            return None
        try:
            if self.can_adopt(signal):
                engine = Engine()
                engine.configure(self.policy, signal)
                engine.receivers = own["receivers"]
                own["_fastsig"] = engine
                own["receivers"] = engine.receivers
                self.give_send(signal, engine)
                if not self.active:  # another thread has uninstalled, and may not have seen it
                    self.release(signal)
            return own.get("_fastsig")
        except TypeError:  # an entry is malformed
            return None
        finally:
            own["lock"].release()

    def give_send(self, signal: Any, engine: Engine) -> None:
        if compiled and type(signal).send is class_send:
            vars(signal).setdefault("send", engine.send)

    def release(self, signal: Any) -> None:
        """Return a signal to Django's own dispatch."""
        own = vars(signal)
        engine = own.pop("_fastsig", None)
        if engine is None or engine.get_owner() is not signal:
            return
        if "receivers" in own:
            own["receivers"] = list(own["receivers"])
        if is_send_of(own.get("send"), engine):
            del own["send"]
        engine.look_for_overrides_again()

    # Sending

    def find_engine(self, signal: Any) -> Any:
        """Return the engine of a signal, or Django's `send` if that has to run."""
        engine = self.adopt(signal)
        if engine is None or self.needs_django(signal):
            return bind(self.stock["send"], signal)
        return engine

    def find_overrides(self, engine: Engine, signal: Any) -> tuple[Any, Any] | None:
        """Return what sends instead of an engine, for the signal's and for the class's `send`."""
        kind, own = type(signal), vars(signal)
        send = live = None
        if own.get("_fastsig") is not engine or kind.send is not class_send:
            send = bind(kind.send, signal)
        own.pop("_fastsig_needs_django", None)
        if own.get("_fastsig") is not engine or self.needs_django(signal):
            live = bind(self.stock["send"], signal)
            own["_fastsig_needs_django"] = True
        elif own["_dead_receivers"]:
            # As in Django: before the next receivers are found, and by Django's own method.
            with own["lock"]:
                signal._clear_dead_receivers()
        return None if send is live is None else (send or live, live)

    def needs_django(self, signal: Any) -> bool:
        """Return whether Django's code sends a signal; flag dead receivers, as Django does."""
        own = vars(signal)
        if "_live_receivers" in own or not self.is_stock(type(signal)._live_receivers):
            return True
        for entry in list(own["receivers"]):
            # A coroutine function, or a bound method as the sender: a new object at each access.
            if entry[-1] or type(entry[0][1]) is not int:
                return True
            if is_dead(entry[1]):
                own["_dead_receivers"] = True
        return False


CALLBACKS = "_flag_dead_receivers", "_remove_receiver"
"""The methods that Django calls when a receiver has died: from Django 6.0 on, and before that."""


def find_class(base: Any, key: int) -> Any:
    """Return the class with this `id` among `base` and its subclasses, or None."""
    if id(base) == key:
        return base
    found = (find_class(each, key) for each in base.__subclasses__())
    return next((each for each in found if each is not None), None)


def refer(sender: Any, tell: Any) -> Any:
    """Return a weak reference to a sender, or None if it cannot be weakly referenced."""
    try:
        return None if sender is None else ref(sender, tell)
    except TypeError:
        return None


def make_patches(face: Face) -> dict[str, Any]:  # noqa: PLR0915, one function for one scope
    """Return the attributes to patch Django's class with, by name."""
    # All names are local: a module's globals may be gone before the last callback at exit.
    Signal, stock, module, policy = face.Signal, face.stock, face.module, face.policy
    adopt, release = face.adopt, face.release
    give_send = face.give_send
    conf = import_module("django.conf")
    watched = frozenset({"receivers", "send", "_dead_receivers", "_live_receivers"})
    callback = next(name for name in CALLBACKS if name in vars(Signal))
    refers_to_senders = len(policy.more) == 2

    def connect(  # noqa: PLR0912, to save a call
        self: Any, receiver: Any, sender: Any = None, weak: Any = True, dispatch_uid: Any = None
    ) -> None:
        engine = vars(self).get("_fastsig")  # inline: the test client connects for each request
        if engine is None or engine.get_owner() is not self:
            engine = adopt(self)
        receiver_key = dispatch_uid or module._make_id(receiver)
        try:
            hash(receiver_key)
        except TypeError:
            with self.lock:
                release(self)
            engine = None
        settings = conf.settings
        # The cache of the settings, read so because their __getattribute__ is a slow function.
        debug = object.__getattribute__(settings, "__dict__").get("DEBUG")
        if debug is None:
            debug = settings.configured and settings.DEBUG
        if (
            engine is None
            or debug  # Django checks the signature of the receiver
            or (sender is not None and type(module._make_id(sender)) is not int)
        ):
            stock["connect"](self, receiver, sender, weak, dispatch_uid)
            return
        function, kind = receiver, type(receiver)
        if kind is MethodType:
            function = receiver.__func__
        elif kind is partial and not receiver.__dict__:
            function = receiver.func
        if type(function) is FunctionType and not function.__dict__:  # not marked as one
            is_async = function.__code__.co_flags & COROUTINE != 0
        else:
            is_async = module.iscoroutinefunction(receiver)
        tell = getattr(self, callback)
        if not weak:
            reference = receiver
        elif kind is MethodType:
            reference = make_reference(receiver, tell)
        elif hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
            reference = module.weakref.WeakMethod(receiver, tell)
        else:  # looked up as Django does: it may be patched
            reference = module.weakref.ref(receiver, tell)
        more: tuple[Any, ...] = (is_async,)
        if refers_to_senders:
            more = (refer(sender, tell), is_async)
        with self.lock:
            self._clear_dead_receivers()
            if vars(self).get("_fastsig") is engine:
                engine.add_connection(receiver_key, reference, sender, more)
                self.sender_receivers_cache.clear()
                if is_async:
                    engine.look_for_overrides_again()
                return
        # Another thread has uninstalled fastsig.
        stock["connect"](self, receiver, sender, weak, dispatch_uid)

    def disconnect(
        self: Any, receiver: Any = None, sender: Any = None, dispatch_uid: Any = None
    ) -> Any:
        engine = vars(self).get("_fastsig")
        if engine is None or engine.get_owner() is not self:
            engine = adopt(self)
        if engine is None or (sender is not None and type(module._make_id(sender)) is not int):
            return stock["disconnect"](self, receiver, sender, dispatch_uid)
        with self.lock:
            self._clear_dead_receivers()
            if vars(self).get("_fastsig") is engine:
                receiver_key = dispatch_uid or module._make_id(receiver)
                try:
                    found = engine.remove_connection(receiver_key, sender)
                except TypeError:  # an unhashable key is not connected
                    found = False
                self.sender_receivers_cache.clear()
                if found and "_fastsig_needs_django" in vars(self):
                    engine.look_for_overrides_again()
                return found
        # Another thread has uninstalled fastsig.
        return stock["disconnect"](self, receiver, sender, dispatch_uid)

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if name not in watched:
            super(Signal, self).__setattr__(name, value)
            return
        own = vars(self)
        engine = own.get("_fastsig")
        if engine is None or engine.get_owner() is not self:
            super(Signal, self).__setattr__(name, value)
            return
        if name == "receivers":
            try:
                engine.receivers = value
                value = engine.receivers
            except TypeError:  # not a list, or an entry is malformed
                release(self)
        super(Signal, self).__setattr__(name, value)
        if value or name != "_dead_receivers":
            engine.look_for_overrides_again()

    def __delattr__(self: Any, name: str) -> None:
        if name == "receivers":
            release(self)
        super(Signal, self).__delattr__(name)
        engine = vars(self).get("_fastsig")
        if name in watched and engine is not None and engine.get_owner() is self:
            if name == "send":  # mock deletes the attribute that it has set
                give_send(self, engine)
            engine.look_for_overrides_again()

    def __getstate__(self: Any) -> dict[str, Any]:
        # A copy shares the list, as in Django; Django's own code sends it.
        state = {name: value for name, value in vars(self).items() if name[:8] != "_fastsig"}
        if is_send_of(state.get("send"), vars(self).get("_fastsig")):
            del state["send"]
        return state

    functions = connect, disconnect, __setattr__, __delattr__, __getstate__
    patches: dict[str, Any] = {function.__name__: function for function in functions}
    for name, function in patches.items():
        if name in stock:
            for attribute in ("__doc__", "__qualname__", "__module__", "__annotations__"):
                setattr(function, attribute, getattr(stock[name], attribute))
            function.__defaults__ = stock[name].__defaults__
    patches["send"] = class_send
    return patches
