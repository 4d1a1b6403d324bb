"""How people use, hold and patch Celery's signals: fastsig makes no difference.

Each scenario prints what its user can observe; it runs with Celery alone, and with fastsig imported
before Celery and after it, and has to print the same.  A deliberate difference is marked at its
`program`, with the output that is expected instead.
"""

import abc
import contextlib
import copy
import gc
import importlib
import inspect
import io
import logging
import pickle
import sys
import threading
import types
import typing
import weakref
from unittest import mock

import pytest
from celery_modes import (
    Observer,
    difference,
    make_app,
    missing,
    names,
    one,
    program,
    programs,
    shown,
    signature_of,
)

celery = pytest.importorskip("celery")
signals = pytest.importorskip("celery.signals")
dispatch = pytest.importorskip("celery.utils.dispatch.signal")
Signal = dispatch.Signal
task_prerun, task_postrun = signals.task_prerun, signals.task_postrun


def make_task(app):
    @app.task(name="add")
    def add(x, y):
        return x + y

    app.finalize()
    return app.tasks["add"]


def face():
    """fastsig's module for Celery; None where there is only Celery."""
    return sys.modules.get("fastsig.celery")


class Observed:
    """An object with receivers of every kind."""

    def method(self, **kwargs):
        return "method"

    @staticmethod
    def static(**kwargs):
        return "static"

    @classmethod
    def of_class(cls, **kwargs):
        return "of class"

    def __call__(self, **kwargs):
        return "called"


# ---- what a signal is


@program
def class_of_a_signal():
    signal = task_prerun
    yield
    from celery.utils.dispatch import Signal as Public

    print(signal is task_prerun is importlib.import_module("celery.signals").task_prerun)
    print(type(signal) is Public is dispatch.Signal, type(signal).__module__)
    print(isinstance(signal, Signal), signal.__class__ is Signal)
    print(type(make_app().on_configure) is Signal)


@program
def text_of_a_signal():
    signal = Signal(name="saved", providing_args=["pk"])
    yield
    print(signal, repr(Signal(name="saved", providing_args=["pk"])), f"{signal!s:.7}")
    print(type("Sub", (Signal,), {})(name="s"))


@program
def equality_and_hash():
    known = {task_prerun: "started", task_postrun: "finished"}
    yield
    print(known[task_prerun], known[importlib.import_module("celery.signals").task_postrun])
    print(task_prerun == signals.task_prerun, task_prerun == task_postrun)
    print(task_prerun != signals.task_prerun, task_prerun != task_postrun)
    print(len({task_prerun, signals.task_prerun}), task_prerun in [task_postrun])


@program
def pickling():
    yield
    print(pickle.loads(pickle.dumps(Signal)) is Signal)
    for refused in (pickle.dumps, copy.deepcopy):
        try:
            print(refused(Signal()))
        except TypeError as error:
            print("TypeError", error)


@program
def copying():
    signal = Signal(name="copied")
    signal.connect(one)
    yield
    copied = copy.copy(signal)
    signal.connect(names)
    print(shown(signal.send("s")), shown(copied.send("s"))[0], copied.name, type(copied) is Signal)
    copied = copy.copy(copied)
    print(shown(copied.send("s"))[0])


@program
def attributes():
    signal = Signal(name="first")
    yield
    signal.note, signal.name = 1, "second"
    del signal.note
    print(signal, hasattr(signal, "note"), signal.providing_args, signal.use_caching)
    print(signal.receivers == [], bool(signal.receivers), signal.sender_receivers_cache == {})
    own = ("lock", "_dead_receivers", "receivers", "name", "use_caching", "providing_args")
    print([name for name in own if name not in vars(signal)], Signal.receivers)


@program
def reflection():
    yield
    kinds = (types.FunctionType, types.MethodDescriptorType)
    print(isinstance(Signal.send, kinds), Signal.send is Signal.send_robust)
    for name in ("connect", "disconnect", "has_listeners"):
        method = getattr(Signal, name)
        print(method.__name__, method.__qualname__, method.__module__, bool(method.__doc__))
        print(signature_of(method))
    print(inspect.signature(task_prerun.send), bool(Signal.__doc__), bool(Signal.send.__doc__))
    print(Signal.send.__name__, task_prerun.send.__name__)


@program(differs={"compiled": "(self, /, sender, **named)"})
def signature_of_send_of_the_class():
    print(inspect.signature(Signal.send))


# ---- subclasses


@program
def abstract_subclass():
    class Base(Signal, abc.ABC):
        @abc.abstractmethod
        def label(self): ...

    class Sub(Base):
        def label(self):
            return "sub"

    early = Sub()
    early.connect(one)
    yield

    class Late(Base):
        def label(self):
            return "late"

    late = Late()
    late.connect(one)
    print(early.label(), shown(early.send("s")), late.label(), shown(late.send("s")))
    try:
        Base()
    except TypeError:
        print("abstract")


@program
def generic_subclass():
    T = typing.TypeVar("T")

    class Typed(Signal, typing.Generic[T]):
        pass

    early = Typed[int](name="early")
    early.connect(one)
    yield
    late = Typed[str](name="late")
    late.connect(one)
    print(shown(early.send("s")), shown(late.send("s")), early.__orig_class__.__args__)


@program
def subclass_with_slots():
    class Slotted(Signal):
        __slots__ = ("extra",)

    early = Slotted()
    early.extra = 1
    yield
    late = Slotted()
    late.extra = 2
    for signal in (early, late):
        signal.connect(one)
        print(signal.extra, shown(signal.send("s")))


@program
def subclass_with_its_own_init():
    class Tagged(Signal):
        def __init__(self, tag):
            self.tag = tag
            super().__init__(name=f"tagged {tag}")

    early = Tagged(1)
    yield
    for signal in (early, Tagged(2)):
        signal.connect(one)
        print(signal, signal.tag, shown(signal.send("s")))


@program
def subclass_that_does_not_initialize():
    class Bare(Signal):
        def __init__(self):
            pass

    early = Bare()
    yield
    for signal in (early, Bare()):
        print(signal.receivers, signal.send("s"))


@program
def subclass_with_a_mixin_that_sees_attributes():
    seen = []

    class Seeing:
        def __setattr__(self, name, value):
            seen.append(name)
            super().__setattr__(name, value)

    class Sub(Signal, Seeing):
        pass

    early = Sub()
    early.connect(one)
    yield
    signal = Sub()
    signal.x = 1
    signal.connect(one)
    print("x" in seen, shown(early.send("s")), shown(signal.send("s")))


@program
def subclass_that_answers_to_any_attribute():
    class Anything(Signal):
        def __getattr__(self, name):
            return f"no {name}"

    early = Anything()
    early.connect(one)
    yield
    late = Anything()
    late.connect(one)
    print(early.foo, shown(early.send("s")), late.bar, shown(late.send("s")))


@program
def subclass_that_is_equal_to_all_and_not_hashable():
    class Equal(Signal):
        __hash__ = None

        def __eq__(self, other):
            return True

    early, other = Equal(), Equal()
    early.connect(one)
    yield
    other.connect(names)
    print(shown(early.send("s")), shown(other.send("s")), shown(Equal().send("s")))


@program
def subclass_that_overrides_send():
    class Prefixed(Signal):
        def send(self, sender, **named):
            return ["sent", *shown(super().send(sender, **named))]

    early = Prefixed(name="early")
    early.connect(one)
    yield
    late = Prefixed(name="late")
    late.connect(one)
    for signal in (early, late):
        print(signal.send("s"), shown(signal.send_robust("s")), signal.disconnect(one))
        print(signal.send("s"))


@program
def subclass_that_filters_receivers():
    class Filtered(Signal):
        def _live_receivers(self, sender):
            return [r for r in super()._live_receivers(sender) if r is not names]

    early = Filtered()
    early.connect(one)
    early.connect(names)
    yield
    late = Filtered()
    late.connect(names)
    late.connect(one)
    for signal in (early, late):
        print(shown(signal.send("s")), signal.has_listeners(), shown(signal.send_robust("s")))
        signal.disconnect(one)
        print(shown(signal.send("s")), signal.has_listeners("s"))


@program
def subclass_that_overrides_connecting():
    seen = []

    class Noted(Signal):
        def _connect_signal(self, receiver, sender, weak, dispatch_uid):
            seen.append((receiver.__name__, sender, weak, dispatch_uid))
            return super()._connect_signal(receiver, sender, weak, dispatch_uid)

    early = Noted()
    yield
    for signal in (early, Noted()):
        signal.connect(one, sender="x")
        signal.connect(sender="y", weak=False, dispatch_uid="uid")(names)
        print(seen, shown(signal.send("x")), shown(signal.send("y", a=1)))
        seen.clear()


@program
def subclass_that_overrides_cleaning():
    seen = []

    class Cleaning(Signal):
        def _clear_dead_receivers(self):
            seen.append("cleaned")
            super()._clear_dead_receivers()

    early = Cleaning()
    yield
    for signal in (early, Cleaning()):
        signal.connect(one)
        signal.send("s")
        print(bool(seen), shown(signal.send("s")))
        seen.clear()


@program
def subclass_that_overrides_send_and_receivers():
    class Both(Signal):
        def send(self, sender, **named):
            return ["both", *shown(super().send(sender, **named))]

        def _live_receivers(self, sender):
            return super()._live_receivers(sender)[:1]

    early = Both()
    yield
    for signal in (early, Both()):
        signal.connect(one)
        signal.connect(names)
        print(signal.send("s"))


@program
def subclass_patched_later():
    class Sub(Signal):
        pass

    signal = Sub()
    signal.connect(one)
    yield
    print(shown(signal.send("s")))
    Sub.send = lambda self, sender, **named: "patched"
    print(signal.send("s"))
    del Sub.send
    print(shown(signal.send("s")))


@program
def class_of_an_object_changed():
    class Other(Signal):
        def send(self, sender, **named):
            return "other"

    signal = Signal()
    signal.connect(one)
    yield
    print(shown(signal.send("s")))
    signal.__class__ = Other
    print(signal.send("s"))
    signal.__class__ = Signal
    print(shown(signal.send("s")))


# ---- patches of one signal


@program
def receivers_of_an_object_filtered():
    signal = Signal()
    signal.connect(one)
    yield
    signal.connect(names)
    signal._live_receivers = lambda sender: [one]
    print(shown(signal.send("s")), signal.has_listeners())
    del signal._live_receivers
    print(shown(signal.send("s")))


@program
def send_of_an_object_patched_before():
    seen, original = [], task_prerun.send

    def send(*args, **named):
        seen.append(args)
        return original(*args, **named)

    task_prerun.send = send
    yield
    task_prerun.connect(one)
    print(shown(task_prerun.send("s")), seen)
    del task_prerun.send
    print(shown(task_prerun.send("s")), seen)


@program
def send_of_an_object_patched_after():
    yield
    seen, original = [], task_prerun.send

    def send(*args, **named):
        seen.append(args)
        return original(*args, **named)

    task_prerun.send = send
    task_prerun.connect(one)
    print(shown(task_prerun.send("s")), seen)
    task_prerun.send = original
    print(shown(task_prerun.send("s")), seen)
    del task_prerun.send
    print(shown(task_prerun.send("s")), seen)


@program
def connect_of_an_object_patched():
    signal, seen = Signal(), []

    def connect(receiver, **options):
        seen.append(receiver.__name__)
        return original(receiver, **options)

    original = signal.connect
    signal.connect = connect
    yield
    signal.connect(one)
    print(seen, shown(signal.send("s")))


@program
def mock_of_send():
    task = make_task(make_app())
    task_prerun.connect(one)
    yield
    with mock.patch.object(task_prerun, "send") as send:
        task_prerun.send("s")
        print(task.apply((1, 2)).get())
    print(send.call_count, shown(task_prerun.send("s")))


@program
def mock_of_send_by_name():
    task_prerun.connect(one)
    yield
    with mock.patch("celery.signals.task_prerun.send") as send:
        signals.task_prerun.send("s", task_id=1)
    print(send.call_args, shown(task_prerun.send("s")))


@program
def mock_of_connect():
    yield
    with mock.patch.object(task_prerun, "connect") as connect:
        task_prerun.connect(one, sender="s")
    print(connect.call_args.kwargs, task_prerun.send("s"), "connect" in vars(task_prerun))


@program
def mock_of_receivers():
    task_prerun.connect(one)
    yield
    with mock.patch.object(task_prerun, "receivers", [((1, id(None)), names)]):
        print(shown(task_prerun.send("s", a=1)))
    print(shown(task_prerun.send("s")))


@program
def mock_of_receivers_by_name():
    task_prerun.connect(one)
    yield
    with mock.patch("celery.signals.task_prerun.receivers", []):
        print(task_prerun.send("s"), task_prerun.has_listeners())
        task_prerun.connect(names)
        print(shown(task_prerun.send("s")))
    print(shown(task_prerun.send("s")))


@program
def mock_over_the_import():
    """A patch that is entered before fastsig comes, and left after."""
    task_prerun.connect(one)
    patch = mock.patch.object(task_prerun, "receivers", [])
    patch.start()
    yield
    print(task_prerun.send("s"))
    patch.stop()
    print(shown(task_prerun.send("s")), len(task_prerun.receivers))


@program
def specs():
    yield
    signal = mock.create_autospec(task_prerun)
    signal.send("s", task_id=1)
    print(signal.send.call_count, isinstance(signal, Signal))
    print(mock.Mock(spec=Signal).connect(one) is not None, hasattr(mock.Mock(spec=Signal), "x"))


@program(differs={"compiled": "returned"})
def autospec_of_send_checks_the_arguments():
    """The signature of a builtin is nothing that `mock` looks at."""
    yield
    try:
        mock.create_autospec(task_prerun).send()
    except TypeError:
        return print("refused")
    return print("returned")


# ---- patches of the class


@program
def class_send_patched_before():
    seen, original = [], Signal.send

    def send(self, sender, **named):
        seen.append(self.name)
        return original(self, sender, **named)

    Signal.send = send
    yield
    task_prerun.connect(one)
    sub = type("Sub", (Signal,), {})(name="sub")
    sub.connect(one)
    print(shown(task_prerun.send("s")), shown(sub.send("s")), shown(task_prerun.send_robust("s")))
    print(seen)
    Signal.send = original
    print(shown(task_prerun.send("s")), seen)


@program
def class_send_patched_after():
    task_prerun.connect(one)
    sub = type("Sub", (Signal,), {})(name="sub")
    sub.connect(one)
    yield
    task_prerun.send("s")
    seen, original = [], Signal.send

    def send(self, sender, **named):
        seen.append(self.name)
        return original(self, sender, **named)

    Signal.send = send
    print(shown(task_prerun.send("s")), shown(sub.send("s")), shown(task_prerun.send_robust("s")))
    print(seen)
    Signal.send = original
    print(shown(task_prerun.send("s")), seen)


@program
def class_receivers_patched():
    seen, original = [], Signal._live_receivers
    task_prerun.connect(one)

    def _live_receivers(self, sender):
        seen.append((self.name, sender))
        return original(self, sender)

    yield
    Signal._live_receivers = _live_receivers
    print(shown(task_prerun.send("s")), task_prerun.has_listeners(), seen)
    Signal._live_receivers = original
    print(shown(task_prerun.send("s")), len(seen))


@program
def class_connect_patched():
    seen, original = [], Signal.connect

    def connect(self, *args, **options):
        seen.append((self.name, len(args), sorted(options)))
        return original(self, *args, **options)

    yield
    Signal.connect = connect
    task_prerun.connect(one)
    task_prerun.connect(sender="s")(names)
    Signal.connect = original
    print(seen, shown(task_prerun.send("s", a=1)))


@program
def class_connecting_patched():
    seen, original = [], Signal._connect_signal

    def _connect_signal(self, receiver, sender, weak, dispatch_uid):
        seen.append(receiver.__name__)
        return original(self, receiver, sender, weak, dispatch_uid)

    Signal._connect_signal = _connect_signal
    yield
    task_prerun.connect(one)
    Signal._connect_signal = original
    task_prerun.connect(names)
    print(seen, shown(task_prerun.send("s")))


@program
def class_disconnect_patched():
    seen, original = [], Signal.disconnect
    task_prerun.connect(one)

    def disconnect(self, *args, **options):
        seen.append(self.name)
        return original(self, *args, **options)

    yield
    Signal.disconnect = disconnect
    print(task_prerun.disconnect(one), task_prerun.disconnect(one))
    Signal.disconnect = original
    print(seen, task_prerun.disconnect(one), seen, task_prerun.send("s"))


@program
def mock_of_the_class_send():
    signal = Signal()
    task_prerun.connect(one)
    yield
    with mock.patch.object(Signal, "send", autospec=True, return_value="mocked") as send:
        print(task_prerun.send("s"), signal.send("s"), Signal().send("s"), send.call_count)
    print(shown(task_prerun.send("s")))
    with mock.patch("celery.utils.dispatch.Signal.send") as send:
        task_prerun.send("s", a=1)
    print(send.call_args, shown(task_prerun.send("s")))


@program
def mock_of_the_class_connect():
    yield
    with mock.patch.object(Signal, "connect", autospec=True) as connect:
        task_prerun.connect(one, sender="s")
    print(connect.call_args.kwargs, len(task_prerun.receivers))
    task_prerun.connect(one)
    print(shown(task_prerun.send("s")))


# ---- what was held from before


@program
def held_send():
    send, of_class, robust = task_prerun.send, Signal.send, task_prerun.send_robust
    yield
    task_prerun.connect(one)
    print(shown(send("s")), shown(of_class(task_prerun, "s")), shown(robust("s")))
    print(shown(of_class(Signal(), "s")), send.__name__)


@program
def held_methods():
    connect, disconnect, has_listeners = (
        getattr(task_prerun, name) for name in ("connect", "disconnect", "has_listeners")
    )
    live = task_prerun._live_receivers
    yield
    print(connect(one) is one, has_listeners(), shown(task_prerun.send("s")))
    print(live("s") == [one], disconnect(one), has_listeners(), task_prerun.send("s"))


@program
def held_list_tells_that_there_are_receivers():
    """As the closure of a tracer does."""
    task_prerun.connect(one)
    held = task_prerun.receivers
    yield
    task_prerun.connect(names)
    print(bool(held))


@program
def held_subclass():
    class Counted(Signal):
        count = 0

        def connect(self, *args, **options):
            self.count += 1
            return super().connect(*args, **options)

    early = Counted()
    early.connect(one)
    yield
    early.connect(names)
    late = Counted()
    late.connect(one)
    print(early.count, shown(early.send("s")), late.count, shown(late.send("s")))


# ---- the list of receivers


@program
def receivers_saved_and_restored():
    task_prerun.connect(one)
    yield
    saved, task_prerun.receivers = task_prerun.receivers, []
    print(task_prerun.send("s"))
    task_prerun.receivers = saved
    print(shown(task_prerun.send("s")))


@program
def receivers_restored_from_a_copy():
    task_prerun.connect(one)
    yield
    saved = task_prerun.receivers[:]
    task_prerun.receivers = []
    task_prerun.connect(names)
    print(shown(task_prerun.send("s")))
    task_prerun.receivers = saved
    print(shown(task_prerun.send("s")), len(task_prerun.receivers))


@program
def receivers_changed_in_place():
    task_prerun.connect(one)
    task_prerun.connect(names)
    yield
    task_prerun.receivers.reverse()
    print(shown(task_prerun.send("s")))
    task_prerun.receivers.pop()
    print(shown(task_prerun.send("s")))
    task_prerun.receivers[:] = []
    print(task_prerun.send("s"), task_prerun.has_listeners())


@program
def receivers_deleted():
    signal = Signal()
    signal.connect(one)
    yield
    del signal.receivers
    print(signal.receivers, signal.send("s"))
    signal.receivers = []
    signal.connect(names)
    print(shown(signal.send("s")))


@program
def receivers_set_to_none():
    signal = Signal()
    signal.connect(one)
    yield
    print(shown(signal.send("s")))
    signal.receivers = None
    print(signal.send("s"))


@program
def entry_of_a_weak_receiver():
    task_prerun.connect(one, sender="x")
    yield
    task_prerun.connect(names, sender="y")
    for ((receiver_key, sender_key), reference), receiver in zip(
        task_prerun.receivers, (one, names), strict=True
    ):
        print(receiver_key == id(receiver), sender_key, isinstance(reference, weakref.ref))
        print(reference() is receiver)


@program
def entry_of_a_strong_receiver():
    task_prerun.connect(one, weak=False, dispatch_uid="uid")
    yield
    task_prerun.connect(names, weak=False)
    ((first, sender), receiver), ((second, _), other) = task_prerun.receivers
    print(first, sender == id(None), receiver is one, second == id(names), other is names)


# ---- connecting and sending


@program(since=(5, 7))
def receivers_of_every_kind():
    first, second = Observed(), Observed()
    task_prerun.connect(first.method)
    yield
    task_prerun.connect(second.method)
    task_prerun.connect(Observed.of_class)
    task_prerun.connect(Observed.static)
    task_prerun.connect(first)
    print(shown(task_prerun.send("s")))
    print(task_prerun.disconnect(second.method), task_prerun.disconnect(Observed.of_class))
    del first
    gc.collect()
    print(shown(task_prerun.send("s")), len(task_prerun.receivers))


@program
def what_connecting_returns():
    yield
    print(task_prerun.connect(one) is one, task_prerun.connect(sender="x")(names) is names)
    print(task_prerun._connect_signal(one, "a", True, None)() is one)
    print(task_prerun._connect_signal(one, "b", False, None) is one)
    print(task_prerun.connect(one) is one, len(task_prerun.receivers))


@program
def wrong_arguments():
    yield
    for call in (
        lambda: task_prerun.connect(sender="x")(5),
        lambda: task_prerun.connect(one, sendr="x"),
        lambda: task_prerun.connect(one, "x", True, None, False, "too many"),
        lambda: task_prerun.send(),
        lambda: task_prerun.send("x", "y"),
        lambda: task_prerun.send("x", sender="y"),
        lambda: task_prerun.disconnect(one, receiver=one),
    ):
        try:
            print(call())
        except (AssertionError, TypeError):
            print("refused")


@program
def sender_that_is_a_task_not_yet_made():
    app = make_app()

    @app.task(name="late")
    def late():
        return 5

    task_prerun.connect(one, sender=late)
    yield
    task_prerun.connect(names, sender=late)
    print(len(task_prerun.receivers))
    app.finalize()
    task = app.tasks["late"]
    print(len(task_prerun.receivers), shown(task_prerun.send(task)), task_prerun.send("other"))


@program
def tasks_that_run_at_once():
    order = []
    task = make_task(make_app())

    def started(sender, task_id, task, **kwargs):
        order.append("started")

    def finished(sender, retval, state, **kwargs):
        order.append((retval, state))

    task_prerun.connect(started)
    yield
    task_postrun.connect(finished, sender=task)
    task.apply((1, 2))
    task_prerun.disconnect(started)
    task.apply((3, 4))
    print(order)


@program
def errors_are_responses():
    def bad(**kwargs):
        raise KeyError("x")

    task_prerun.connect(bad)
    yield
    task_prerun.connect(one)
    with mock.patch.object(dispatch, "logger") as logger:
        ((_, error), response) = task_prerun.send("s")
    print(repr(error), error.__traceback__ is not None, response == (one, 1))
    print(logger.exception.called or logger.error.called)


@program
def errors_are_logged():
    records, stream = [], io.StringIO()
    logger = logging.getLogger("celery.utils.dispatch.signal")
    logger.addHandler(logging.StreamHandler(stream))
    logger.addFilter(lambda record: records.append(record) or True)

    def bad(**kwargs):
        raise KeyError("x")

    task_prerun.connect(bad)
    yield
    task_prerun.send("s")
    (record,) = records
    print(record.name, record.levelname, record.msg, record.args[0] is bad, record.args[1])
    lines = stream.getvalue().rstrip().splitlines()
    print(lines[0].split(" at ")[0], lines[1], lines[-1])


@program
def exits_pass():
    def bad(**kwargs):
        raise SystemExit(3)

    task_prerun.connect(bad)
    task_prerun.connect(one)
    yield
    try:
        task_prerun.send("s")
    except SystemExit as error:
        print("exit", error.code)


@program
def send_of_other_objects():
    class Duck:
        receivers = (1,)
        sender_receivers_cache = types.MappingProxyType({})

        def _live_receivers(self, sender):
            return [one]

    send = Signal.send
    yield
    empty = mock.Mock(receivers=[], sender_receivers_cache={})
    print(send.__get__(empty)("s"), shown(send(Duck(), "s")), shown(Signal.send(Duck(), "s")))


@program
def caching():
    signal, sender = Signal(use_caching=True), Observed()
    signal.connect(one, sender=sender)
    yield
    print(shown(signal.send(sender)), signal.send(Observed()))
    signal.connect(names)
    print(shown(signal.send(sender)), shown(signal.send(Observed())), signal.use_caching)
    print(type(signal.sender_receivers_cache).__name__)


@program
def private_methods():
    task_prerun.connect(one)
    yield
    with task_prerun.lock:
        task_prerun._clear_dead_receivers()
    task_prerun._remove_receiver()
    task_prerun.sender_receivers_cache.clear()
    task_prerun._dead_receivers = True
    print(task_prerun._live_receivers("s") == [one], shown(task_prerun.send("s")))


@program
def receivers_die():
    def local(**kwargs):
        return 2

    task_prerun.connect(local)
    yield
    task_prerun.connect(one)
    print(shown(task_prerun.send("s")))
    del local
    gc.collect()
    print(shown(task_prerun.send("s")), len(task_prerun.receivers))


@program(differs="True")
def signals_die():
    """Celery's finalizers keep them for as long as the receiver lives."""
    yield
    signal = Signal()
    signal.connect(one)
    reference = weakref.ref(signal)
    del signal
    gc.collect()
    return reference() is None


@program
def hooks_of_an_app():
    class Hooked(celery.Celery):
        def on_configure(self):
            self.configured = True

    early = Hooked("early", broker="memory://", set_as_current=False)
    yield
    for app in (early, Hooked("late", broker="memory://", set_as_current=False)):
        print(app.conf.broker_url, app.configured)


# ---- modules that are imported anew


@program
def module_reloaded():
    held = Signal(name="held")
    held.connect(one)
    task_prerun.connect(one)
    yield
    importlib.reload(dispatch)
    signal = dispatch.Signal()
    signal.connect(one)
    print(dispatch.Signal is not Signal, isinstance(task_prerun, Signal))
    print(shown(signal.send("s")), shown(task_prerun.send("s")), shown(held.send("s")))


# ---- fastsig comes and goes


@program
def tracers():
    """One that a worker has installed, and one that nobody knows of."""
    from celery.app.trace import build_tracer

    app, ran = make_app(), []
    task = make_task(app)
    task.__trace__ = build_tracer("add", task, app.loader, "host", app=app)
    held = build_tracer("add", task, app.loader, "host", app=app)
    yield

    def started(task_id, **kwargs):
        ran.append("started")

    def succeeded(result, **kwargs):
        ran.append(result)

    task_prerun.connect(started)
    signals.task_success.connect(succeeded)
    request = {"is_eager": True, "id": "id", "delivery_info": {"is_eager": True}}
    for tracer in (task.__trace__, held, build_tracer("add", task, app.loader, "h", app=app)):
        tracer("id", (1, 2), {}, dict(request))
        print(ran)
        ran.clear()


@program
def publishers():
    app, sent = make_app(), []
    make_task(app)
    publish = app.amqp.send_task_message
    yield

    def before(sender, headers, **kwargs):
        sent.append(("before", sender, headers["task"]))

    def after(sender, **kwargs):
        sent.append(("after", sender))

    signals.before_task_publish.connect(before)
    signals.after_task_publish.connect(after)
    signals.task_sent.connect(after)
    message = app.amqp.create_task_message("id", "add", (), {})
    with app.producer_or_acquire(None) as producer:
        publish(producer, "add", message)
        print(sent)
        sent.clear()
        app.amqp.send_task_message(producer, "add", message)
    print(sent)


@program
def uninstalled_and_installed_again():
    """What held a tracer, a publisher or a `send` goes on, with fastsig and without."""
    from celery.app.trace import build_tracer

    app, ran = make_app(), []
    task = make_task(app)
    task.__trace__ = build_tracer("add", task, app.loader, "host", app=app)
    task_prerun.connect(one)
    yield

    def started(**kwargs):
        ran.append("started")

    task_prerun.connect(started)
    send, signal = task_prerun.send, Signal()
    signal.connect(one)
    held = signal.send
    request = {"is_eager": True, "id": "id", "delivery_info": {"is_eager": True}}
    tracer = build_tracer("add", task, app.loader, "host", app=app)
    for step in ("uninstall", "uninstall", "install", "install", "uninstall", "install"):
        if face():
            getattr(face(), step)()
        for run in (task.__trace__, tracer):
            run("id", (1, 2), {}, dict(request))
        print(ran, shown(send("s")), shown(task_prerun.send("s")), type(task_prerun) is Signal)
        print(shown(held("s")), shown(signal.send("s")), len(task_prerun.receivers))
        ran.clear()
        signal.connect(names)
        print(shown(held("s", a=1)), signal.disconnect(names), shown(signal.send("s")))


@program
def uninstalled_class_is_as_it_was():
    own = dict(vars(task_prerun))
    yield
    if face():
        face().uninstall()
        # Where fastsig was first, Celery's own functions can only be known by their module.
        for name in ("connect", "disconnect", "send", "send_robust", "_live_receivers"):
            assert getattr(Signal, name).__globals__ is vars(dispatch), name
        assert set(vars(task_prerun)) == {*vars(Signal("x")), *own} - {
            *("_fastsig", "_fastsig_list", "send")
        }
    print(type(vars(task_prerun)["receivers"]), "send" in vars(task_prerun))
    print(sorted(set(vars(Signal))))


@program
def signal_adopted_by_threads():
    """Several threads that are the first to use a signal; no connection is lost."""
    made = [Signal() for _ in range(50)]
    yield
    lost = 0
    for signal in [*made, *[Signal() for _ in range(50)]]:
        receivers = [lambda number=number, **kwargs: number for number in range(4)]
        barrier = threading.Barrier(4)

        def connect(receiver):
            barrier.wait()
            signal.connect(receiver)

        threads = [threading.Thread(target=connect, args=(each,)) for each in receivers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lost += len(signal.send("s")) != 4
    return lost


@program
def signals_come_and_go():
    """A thousand signals leave nothing behind."""
    yield
    if face() is None:
        return True  # Celery's own stay for as long as the receiver: `signals_die`

    def go():
        for _ in range(1000):
            signal = Signal()
            signal.connect(one)
            signal.send("s")

    go()
    gc.collect()
    before = len(gc.get_objects())
    go()
    gc.collect()
    return len(gc.get_objects()) - before < 50


@program
def class_changed_often():
    """CPython has so many version tags of a class, and no more."""
    signal = Signal()
    signal.connect(one)
    yield
    seen, original = [], Signal.send

    def send(self, sender, **named):
        seen.append(sender)
        return original(self, sender, **named)

    for number in range(3000):
        Signal.changed = number
        signal.send("s")
    print(shown(signal.send("s")))
    Signal.send = send
    print(shown(signal.send("t")), seen)
    Signal.send = original
    print(shown(signal.send("u")), seen)


@program
def threads_that_send_connect_and_patch():
    signal, wrong, stop = Signal(), [], threading.Event()
    signal.connect(one)
    yield
    original = Signal.send

    def sends():
        while not stop.is_set():
            found = [value for receiver, value in signal.send("s", task_id=1) if receiver is one]
            if found != [1]:
                wrong.append(found)

    def edits():
        while not stop.is_set():
            sender = Observed()
            signal.connect(sender.method, sender=sender)
            signal.send(sender)
            signal.disconnect(sender.method, sender=sender)

            def local(**kwargs):
                return "local"

            signal.connect(local)

    def patches():
        while not stop.is_set():
            Signal.send = lambda self, sender, **named: original(self, sender, **named)
            stop.wait(0.001)
            Signal.send = original
            stop.wait(0.001)

    threads = [threading.Thread(target=each) for each in (sends, sends, edits, edits, patches)]
    for thread in threads:
        thread.start()
    stop.wait(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    return wrong[:3], shown(signal.send("s"))


# ---- what is lost or different (docs/migrating.md)


@program(differs={"after": "[] [('one', 1), ('names', [])]"})
def edits_of_a_list_from_before():
    """A list that was taken before fastsig came is not the signal's any more."""
    task_prerun.connect(one)
    task_prerun.connect(names)
    held = task_prerun.receivers
    yield
    held.reverse()
    print(shown(task_prerun.send("s"))[2:], shown(task_prerun.send("s")))


@program(differs="False True")
def type_of_receivers():
    yield
    return print(type(task_prerun.receivers) is list, isinstance(task_prerun.receivers, list))


@program(differs={"compiled": "False"})
def send_is_a_method():
    yield
    return inspect.ismethod(task_prerun.send)


@program(differs="TypeError")
def receiver_that_is_not_callable():
    yield
    try:
        task_prerun.connect(sender="x")(5)
    except (AssertionError, TypeError) as error:
        print(type(error).__name__)


# ---- the tests


@pytest.fixture(scope="module")
def observer():
    with contextlib.closing(Observer()) as observer:
        yield observer


@pytest.mark.parametrize("mode", ["before", "after"])
@pytest.mark.parametrize("name", programs(globals()))
def test_scenario(observer, environment, core, name, mode):
    function = globals()[name]
    if reason := missing(function):
        pytest.skip(reason)
    if problem := difference(observer, function, mode, core, environment):
        if function.undecided:
            pytest.xfail(function.undecided)
        pytest.fail(problem, pytrace=False)
