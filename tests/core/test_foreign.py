"""User code that misbehaves: a send returns or raises, and no change is left half done.

Receivers, senders, keys, logging: what they can raise, lie about, and do to the process.
"""

import contextlib
import functools
import gc
import importlib
import logging
import sys
import threading
import warnings
import weakref
from unittest import mock

import pytest


def first(**kwargs):
    return 1


def last(**kwargs):
    return "last"


@pytest.fixture
def between(signal):
    """A function that connects a receiver between two good ones, sends, and returns the middle.

    At the end the signal must be as good as new.
    """

    def between(receiver, sender=None, **named):
        signal.connect(first)
        signal.connect(receiver, weak=False, dispatch_uid="middle")
        signal.connect(last)
        responses = signal.send(sender, **named)
        assert [response for _, response in responses[::2]] == [1, "last"]
        return responses[1][1]

    yield between
    signal.disconnect(dispatch_uid="middle")
    signal.connect(first)
    signal.connect(last)
    assert [response for _, response in signal.send(None)] == [1, "last"]
    assert signal.disconnect(first)
    assert signal.disconnect(last)
    assert signal.receivers == []


class Lost(BaseException):
    pass


class Listener:
    def method(self, **kwargs):
        return 1


class TestReceivers:
    def test_base_exception(self, signal, between):
        def receiver(**kwargs):
            raise Lost

        with pytest.raises(Lost):
            between(receiver)

    def test_recursion_limit(self, between):
        def receiver(a, **kwargs):
            # With ``**kwargs``, CPython 3.15.2 itself finds no end.
            return receiver(a) if sys.version_info >= (3, 15) else receiver(a, **kwargs)

        assert type(between(receiver, a=1)) is RecursionError

    def test_deep_in_the_stack(self, signal):
        """Sent with ever less stack left: it works, or it is a RecursionError, and no crash."""
        # With no stack left for its context, PyPy now and then makes another error of it.
        on_pypy = sys.implementation.name == "pypy"
        errors = (RecursionError, TypeError) if on_pypy else (RecursionError,)
        signal.connect(first)
        signal.connect(last, sender="s")

        def deeper():
            for operation in (
                lambda: signal.send("s", a=1),
                lambda: signal.connect(first, sender="d"),
                lambda: signal.disconnect(first, sender="d"),
            ):
                with contextlib.suppress(*errors):
                    operation()
            deeper()

        with pytest.raises(errors):
            deeper()
        signal.disconnect(first, sender="d")
        assert [response for _, response in signal.send("s", a=1)] == [1, "last"]
        assert len(signal.receivers) == 2

    @pytest.mark.parametrize("name", ["__str__", "__repr__", "__hash__", "__eq__"])
    def test_exception_with_a_method_that_raises(self, between, caplog, name):
        def bad(self, *args):
            raise RuntimeError(name)

        error = type("Bad", (Exception,), {name: bad})()

        def receiver(**kwargs):
            raise error

        assert between(receiver) is error
        assert len(caplog.records) == 1

    @pytest.mark.parametrize("name", ["__eq__", "__hash__", "__bool__", "__len__", "__repr__"])
    def test_receiver_with_a_method_that_raises(self, signal, between, name):
        def bad(self, *args):
            raise RuntimeError(name)

        receiver = type("Bad", (), {name: bad, "__call__": lambda self, **kwargs: 2})()
        assert between(receiver) == 2
        signal.connect(receiver)
        assert signal.disconnect(receiver)

    def test_response_with_methods_that_raise(self, between):
        class Bad:
            def bad(self, *args):
                raise RuntimeError

            __eq__ = __bool__ = __repr__ = __len__ = __iter__ = bad
            __hash__ = None

        assert type(between(lambda **kwargs: Bad())) is Bad

    def test_modules_are_replaced(self, between, monkeypatch):
        def receiver(**kwargs):
            for name in ("logging", "inspect", "warnings"):
                monkeypatch.setitem(sys.modules, name, None)
            raise ValueError

        with pytest.raises(ImportError):
            between(receiver)
        monkeypatch.undo()
        importlib.import_module("logging")

    def test_call_is_replaced(self, signal, between):
        class Changing:
            def __call__(self, **kwargs):
                Changing.__call__ = lambda self, a: "new"
                return "old"

        receiver = Changing()
        assert between(receiver, a=1) == "old"
        assert signal.send(None, a=1)[1][1] == "new"
        del Changing.__call__
        assert type(signal.send(None, a=1)[1][1]) is TypeError

    def test_code_is_replaced(self, signal, between):
        def receiver(signal, **kwargs):
            signal.receivers[1][1].__code__ = (lambda a, b: (a, b)).__code__
            return "old"

        assert between(receiver, a=1, b=2) == "old"
        assert signal.send(None, a=1, b=2)[1][1] == (1, 2)
        assert type(signal.send(None, a=1)[1][1]) is TypeError

    def test_arguments_are_changed(self, between):
        """What a receiver does to its ``**kwargs`` is its own affair."""

        def receiver(**kwargs):
            kwargs.clear()
            return 2

        value = []
        count = getattr(sys, "getrefcount", lambda _: 0)
        before = count(value)
        assert between(receiver, value=value) == 2
        assert count(value) == before

    def test_generator_and_coroutine(self, between):
        async def receiver(**kwargs):
            pass

        coroutine = between(receiver)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coroutine.close()


def raising(*names):
    """Return a class that raises in these methods."""

    def bad(self, *args):
        raise RuntimeError

    return type("Raising", (), {"__hash__": object.__hash__, **dict.fromkeys(names, bad)})


class TestSenders:
    @pytest.mark.parametrize(
        "kind",
        [
            raising("__eq__"),
            raising("__hash__"),
            raising("__bool__", "__len__"),
            raising("__getattr__"),
            raising("__getattribute__"),
            type("Lying", (), {"__class__": str}),
            type("LyingBytes", (), {"__class__": bytes}),
            type("Dunder", (), {"__class__": property(lambda self: 1 / 0)}),
            type("Slots", (), {"__slots__": ()}),
        ],
        ids=lambda kind: kind.__name__,
    )
    def test_is_known_by_its_identity(self, signal, kind):
        one, other = kind(), kind()
        signal.connect(first, sender=one)
        signal.connect(first, sender=one)
        assert len(signal.receivers) == 1
        assert len(signal.send(one)) == 1
        assert signal.send(other) == []
        assert signal.has_listeners(one)
        assert not signal.disconnect(first, sender=other)
        assert signal.disconnect(first, sender=one)
        assert signal.receivers == []

    def test_proxy_that_uses_the_signal(self, signal):
        class Proxy:
            def _get_current_object(self):
                signal.disconnect(first, sender="s")
                signal.connect(last, sender="s")
                return "s"

        signal.connect(first, sender="s")
        assert [response for _, response in signal.send(Proxy())] in ([1], ["last"])
        assert [response for _, response in signal.send("s")] == ["last"]
        signal.connect(first, sender=Proxy())
        assert len(signal.receivers) == 2

    @pytest.mark.parametrize("operation", ["connect", "disconnect", "send", "has_listeners"])
    def test_proxy_that_raises(self, signal, operation):
        class Proxy:
            def _get_current_object(self):
                raise Lost

        signal.connect(first, sender="s")
        arguments = {"sender": Proxy()}
        if "connect" in operation:
            arguments["receiver"] = first
        with pytest.raises(Lost):
            getattr(signal, operation)(**arguments)
        assert [response for _, response in signal.send("s")] == [1]
        assert len(signal.receivers) == 1


class Uid:
    """A `dispatch_uid` that is equal to all others, and does something when it is compared."""

    actions = ()  # those left: an operation begins anew as long as comparing changes the signal

    def __hash__(self):
        return 1

    def __eq__(self, other):
        if self.actions:
            self.actions.pop()()
        return isinstance(other, Uid)


ACTIONS = {
    "raises": lambda signal: 1 / 0,
    "clears": lambda signal: signal.receivers.clear(),
    "assigns": lambda signal: setattr(signal, "receivers", []),
    "connects": lambda signal: signal.connect(last, sender="s"),
    "disconnects": lambda signal: signal.disconnect(first),
    "sends": lambda signal: signal.send("s"),
    "reverses": lambda signal: signal.receivers.reverse(),
}


class TestKeys:
    @pytest.mark.parametrize("action", ACTIONS)
    @pytest.mark.parametrize("operation", ["connect", "disconnect", "send"])
    @pytest.mark.parametrize("own_table", [True, False])
    @pytest.mark.parametrize("times", [1, 4])
    def test_comparing_a_dispatch_uid_uses_the_signal(
        self, signal, action, operation, own_table, times
    ):
        if not own_table:
            signal.receivers = []
        signal.connect(first)
        signal.connect(first, dispatch_uid=Uid())
        signal.connect(first, sender="s", dispatch_uid=Uid())
        try:
            for _ in range(3):
                Uid.actions = [lambda: ACTIONS[action](signal)] * times
                with contextlib.suppress(ZeroDivisionError):
                    if operation == "connect":
                        signal.connect(last, dispatch_uid=Uid())
                    elif operation == "disconnect":
                        signal.disconnect(dispatch_uid=Uid())
                    else:
                        signal.send("s")
        finally:
            Uid.actions = ()
        keys = [keys for keys, _ in signal.receivers]
        assert len(set(keys)) == len(keys)
        for (receiver_key, sender_key), _ in list(signal.receivers):
            sender = "s" if sender_key == "s" else None
            if isinstance(receiver_key, Uid):
                assert signal.disconnect(sender=sender, dispatch_uid=Uid())
        for sender in (None, "s"):
            signal.disconnect(first, sender=sender)
            signal.disconnect(last, sender=sender)
        assert signal.receivers == []
        assert signal.send("s") == []
        signal.connect(first)
        assert len(signal.send(None)) == 1

    @pytest.mark.parametrize("own_table", [True, False])
    def test_dispatch_uid_equal_to_everything(self, signal, own_table):
        """What is disconnected is what has the key, not what says that it is equal."""

        class Liar:
            def __hash__(self):
                return 1

            def __eq__(self, other):
                return True

        liar = Liar()
        if not own_table:
            signal.receivers = []
        signal.connect(first, dispatch_uid=liar)
        signal.connect(first)
        assert signal.disconnect(first)
        ((key, _), _), *others = signal.receivers
        assert key is liar
        assert not others
        assert not signal.disconnect(first)
        assert signal.send(None) == [(first, 1)]
        assert signal.disconnect(dispatch_uid=liar)
        assert signal.receivers == []

    @pytest.mark.parametrize("own_table", [True, False])
    @pytest.mark.parametrize("change", [list.copy, lambda table: table.reverse()])
    def test_comparing_a_dispatch_uid_connects_the_same(self, signal, own_table, change):
        class Named:
            def __init__(self, name):
                self.name = name

            def __hash__(self):
                return 1

            def __eq__(self, other):
                if actions:
                    actions.pop()()
                return self.name == other.name

        if not own_table:
            signal.receivers = []
        actions = []
        signal.connect(first, dispatch_uid=Named("first"))
        signal.connect(first, dispatch_uid=Named("another"))
        signal.send(None)

        def action():
            change(signal.receivers)
            signal.connect(last, dispatch_uid=Named("last"))

        actions.append(action)
        signal.connect(last, dispatch_uid=Named("last"))
        assert not actions
        assert signal.send(None) == [(first, 1), (first, 1), (last, "last")]

    @pytest.mark.parametrize("name", ["__hash__", "__eq__", "__bool__"])
    def test_dispatch_uid_that_raises(self, signal, name):
        kind = raising(name)
        kind.__hash__ = kind.__dict__["__hash__"] if name == "__hash__" else lambda self: 1
        signal.connect(first)
        with contextlib.suppress(RuntimeError, TypeError):
            signal.connect(last, dispatch_uid=kind())
            signal.connect(last, dispatch_uid=kind())
        signal.receivers[1:] = []
        assert [response for _, response in signal.send(None)] == [1]


class TestLogging:
    @pytest.fixture
    def logger(self):
        logger = logging.getLogger("fastsig")
        handlers, filters = logger.handlers[:], logger.filters[:]
        yield logger
        logger.handlers[:], logger.filters[:] = handlers, filters
        logger.disabled = False

    def failing(self, **kwargs):
        raise ValueError("bad")

    @pytest.mark.parametrize("where", ["emit", "filter", "error"])
    @pytest.mark.parametrize("kind", [OSError, Lost])
    def test_that_raises(self, signal, between, logger, monkeypatch, where, kind):
        def bad(*args, **kwargs):
            raise kind

        if where == "emit":
            handler = logging.Handler()
            handler.emit = bad
            logger.addHandler(handler)
        elif where == "filter":
            logger.addFilter(bad)
        else:
            monkeypatch.setattr(logger, "error", bad)
        with pytest.raises(kind):
            between(self.failing)

    def test_that_uses_the_signal(self, signal, between, logger):
        class Handler(logging.Handler):
            def emit(self, record):
                signal.connect(last, sender="logged")
                assert len(signal.send("logged", depth=1)) >= 3
                assert signal.disconnect(last, sender="logged")

        def receiver(depth=0):
            if not depth:
                raise ValueError

        logger.addHandler(Handler())
        assert type(between(receiver)) is ValueError

    def test_closed(self, between, logger):
        handler = logging.StreamHandler(open("/dev/null", "w"))  # noqa: SIM115
        logger.addHandler(handler)

        def receiver(**kwargs):
            handler.stream.close()
            handler.close()
            logger.disabled = True
            raise ValueError

        assert type(between(receiver)) is ValueError


@pytest.mark.threads
@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
def test_receiver_is_garbage_collected_in_another_thread(signal):
    """The last reference goes in a thread, in the middle of a send."""

    class Listener:
        def method(self, **kwargs):
            return "listener"

    listeners = [Listener() for _ in range(3)]
    for listener in listeners:
        signal.connect(listener.method)
    dead = [weakref.ref(listener) for listener in listeners]
    del listener

    def receiver(**kwargs):
        thread = threading.Thread(target=listeners.clear)
        thread.start()
        thread.join()

    signal.connect(receiver)
    signal.receivers.reverse()
    assert signal.send(None) == [(receiver, None)]
    gc.collect()
    assert [reference() for reference in dead] == [None] * 3
    assert signal.send(None) == [(receiver, None)]
    assert len(signal.receivers) == 1


@pytest.mark.threads
@pytest.mark.parametrize("depth", [1, 3])
def test_exception_hook_of_a_thread_uses_the_signal(signal, monkeypatch, depth):
    """A thread ends in the middle of a send, and its hook sends the same signal."""
    seen = []

    def lost(depth, **kwargs):
        if depth:
            signal.send("thread", depth=depth - 1)
        raise Lost

    def hook(arguments):
        before = signal.send("thread-hook", depth=0)
        assert signal.disconnect(lost, sender="thread")
        seen.append((arguments.exc_type, before, signal.send("thread", depth=0)))

    signal.connect(first)
    signal.connect(lost, sender="thread")
    signal.connect(last, sender="thread")
    monkeypatch.setattr(threading, "excepthook", hook)
    thread = threading.Thread(target=signal.send, args=("thread",), kwargs={"depth": depth})
    thread.start()
    thread.join()
    assert seen == [(Lost, [(first, 1)], [(first, 1), (last, "last")])]
    dead = weakref.ref(lost)
    lost = None
    gc.collect()
    assert dead() is None
    assert len(signal.receivers) == 2


class TestChanges:
    """A receiver changes what comes after it, in the middle of the send."""

    def sent_after(self, signal, change, receiver, **named):
        """Return what `receiver` responds in the send that changes it, and in the next one."""
        times = iter([change])
        signal.connect(lambda **kwargs: next(times, lambda: None)(), weak=False)
        signal.connect(receiver, weak=False)
        signal.connect(last)
        sends = [[response for _, response in signal.send(None, **named)] for _ in range(2)]
        assert [responses[::2] for responses in sends] == [[None, "last"]] * 2
        return [responses[1] for responses in sends]

    @pytest.mark.parametrize("planned", [False, True])
    def test_defaults(self, signal, planned):
        def receiver(a=1, *, b=2, **kwargs):
            return a, b

        def change():
            receiver.__defaults__ = (3,)
            receiver.__kwdefaults__ = {"b": 4}

        if planned:
            signal.connect(receiver)
            signal.send(None)
            signal.disconnect(receiver)
        assert self.sent_after(signal, change, receiver) == [(3, 4), (3, 4)]

    def test_no_more_defaults(self, signal):
        def receiver(sender, a=1, *, b=2):
            return a, b

        def change():
            receiver.__defaults__ = receiver.__kwdefaults__ = None

        for response in self.sent_after(signal, change, receiver):
            assert type(response) is TypeError

    @pytest.mark.parametrize(
        ("call", "response"),
        [
            (lambda self, b=0, **kwargs: b, 2),
            (lambda self, b, a: (a, b), (1, 2)),
            (staticmethod(functools.partial(lambda **kwargs: "partial")), "partial"),
            (None, None),
        ],
    )
    @pytest.mark.parametrize("of_the_receiver", [True, False])
    def test_class_of_a_receiver(self, signal, call, response, of_the_receiver):
        """What a receiver is called as is up to its class; a method stays what it was."""

        class Before:
            def __call__(self, a, **kwargs):
                return "before"

        receiver = Before()

        def change():
            receiver.__class__ = type("After", (), {"__call__": call} if call else {})

        connected = receiver if of_the_receiver else receiver.__call__
        responses = self.sent_after(signal, change, connected, a=1, b=2)
        if not of_the_receiver:
            assert responses == ["before"] * 2
        elif call:
            assert responses == [response] * 2
        else:
            assert [*map(type, responses)] == [TypeError] * 2

    @pytest.mark.parametrize("base", [object, raising("__eq__"), raising("__hash__")])
    def test_class_of_a_sender(self, signal, base):
        sender = type("Before", (), {})()

        def change(**kwargs):
            sender.__class__ = type("After", (base,), {})

        signal.connect(change, sender=sender)
        signal.connect(last, sender=sender)
        for _ in range(2):
            assert signal.send(sender) == [(change, None), (last, "last")]
        assert signal.has_listeners(sender)
        assert signal.disconnect(last, sender=sender)
        sender = None
        gc.collect()
        assert not signal.has_listeners()
        assert signal.receivers == []

    def test_class_of_the_signal(self, Signal, signal):
        class Loud(Signal):
            def send(self, sender, **named):
                return ["loud", *super().send(sender, **named)]

        def change(signal, **kwargs):
            signal.__class__ = next(classes)

        classes = iter([Loud, Signal])
        for receiver in (change, last):
            signal.connect(receiver)
        responses = [(change, None), (last, "last")]
        assert signal.send(None) == responses
        assert signal.send(None) == ["loud", *responses]
        assert type(signal) is Signal

    def test_policy_of_the_signal(self, engine, signal):
        """The new one has the say about what is raised from then on."""

        class Quiet(engine.Policy):
            def fail(self, signal, receiver, exception):
                return "failed"

        def change(signal, **kwargs):
            signal.configure(Quiet())

        def bad(**kwargs):
            raise ValueError

        for receiver in (bad, change, bad, last):
            signal.connect(receiver, dispatch_uid=len(signal.receivers))
        (_, error), *others = signal.send(None)
        assert type(error) is ValueError
        assert others == [(change, None), (bad, "failed"), (last, "last")]

    @pytest.mark.parametrize(
        "change",
        [
            lambda signal: delattr(signal, "receivers"),
            lambda signal: setattr(signal, "receivers", None),
            lambda signal: setattr(signal, "receivers", ()),
            lambda signal: [delattr(signal, name) for name in ("name", "providing_args")],
            lambda signal: vars(signal).clear(),
            lambda signal: signal.__init__(),
        ],
    )
    def test_of_the_signal(self, Signal, signal, change):
        times = iter([change])
        signal.connect(lambda signal, **kwargs: next(times, id)(signal), weak=False)
        signal.connect(last)
        assert len(signal.send(None)) == 2
        for _ in range(2):
            with contextlib.suppress(AttributeError, TypeError):
                signal.send(None)
            with contextlib.suppress(AttributeError, TypeError):
                signal.has_listeners()
        signal.receivers = []
        signal.connect(last)
        assert signal.send(None) == [(last, "last")]


class TestSubclasses:
    def test_overriding(self, engine, Signal):
        seen = []

        class Loud(Signal):
            def connect(self, receiver, *args, **kwargs):
                seen.append("connect")
                return super().connect(receiver, *args, **kwargs)

            def disconnect(self, *args, **kwargs):
                seen.append("disconnect")
                return super().disconnect(*args, **kwargs)

            def send(self, sender, **named):
                seen.append("send")
                return super().send(sender, extra=1, **named)

        class Propagating(engine.Policy):
            def fail(self, signal, receiver, exception):
                seen.append("failed")
                raise exception

        loud = Loud()
        loud.configure(Propagating())

        @loud.connect
        def receiver(extra):
            return 1 / (extra - 1)

        with pytest.raises(ZeroDivisionError):
            loud.send(None)
        assert loud.disconnect(receiver)
        assert seen == ["connect", "send", "failed", "disconnect"]
        assert loud.receivers == []

    def test_of_two_classes(self, Signal):
        class Mixin:
            def send(self, sender, **named):
                return ["mixin", *super().send(sender, **named)]

        class Mixed(Mixin, Signal):
            __slots__ = ("more",)

        mixed = Mixed()
        mixed.more = 1
        mixed.connect(first)
        assert mixed.send(None) == ["mixin", (first, 1)]

    def test_of_a_class_that_takes_arguments(self, Signal):
        """The `__new__` of another base, which Python would ask, is never called."""

        class Needs:
            def __new__(cls, needed):
                raise AssertionError

        class Mixed(Signal, Needs):
            pass

        mixed = Mixed("name")
        mixed.connect(first)
        assert mixed.send(None) == [(first, 1)]

    def test_names_of_its_own(self, Signal):
        """Those of what the engine is made of are free, too."""

        class Versioned(Signal):
            version = cell = deleted = by_value = "mine"

            def publish(self, **named):
                return self.send(self.version, **named)

            def mine(self, *args):
                raise AssertionError

            begin = commit = current = find_place = refresh = replace_table = routes = mine
            get_receivers = set_receivers = delete_receivers = snapshot = mine

        versioned = Versioned()
        versioned.connect(first)
        versioned.connect(last, sender="mine")
        assert versioned.publish(a=1) == [(first, 1), (last, "last")]
        versioned.receivers = [*versioned.receivers]
        versioned.receivers.reverse()
        versioned.state = versioned.entries = versioned.policy = versioned.owner = "mine"
        assert versioned.publish(a=1) == [(last, "last"), (first, 1)]
        assert versioned.disconnect(first)
        assert versioned.has_listeners("mine")
        del versioned.receivers
        assert versioned.publish(a=1) == []


@pytest.mark.parametrize(
    "name",
    ["connect", "disconnect", "has_listeners", "name", "providing_args", "send", "send_robust"],
)
@pytest.mark.parametrize("autospec", [None, True])
def test_every_attribute_is_patched(signal, name, autospec):
    signal.connect(first)
    before = getattr(signal, name)
    with mock.patch.object(signal, name, autospec=autospec) as patched:
        assert getattr(signal, name) is patched
        with contextlib.suppress(TypeError):
            signal.send(None)
    assert getattr(signal, name) == before
    assert signal.send(None) == [(first, 1)]
    assert signal.has_listeners()
    assert signal.disconnect(first)


@pytest.mark.parametrize("spoiled", [lambda: Listener.method, lambda: None, None, 3, weakref.ref])
@pytest.mark.parametrize("planned", [False, True])
def test_weakref_to_a_method_that_is_spoiled(signal, planned, spoiled):
    """What fastsig made of a method can be changed, but never so that the process ends."""

    listener = Listener()
    signal.connect(listener.method)
    if planned:
        signal.send(None)
    ((_, reference),) = signal.receivers
    assert isinstance(reference, weakref.WeakMethod)
    reference._func_ref = spoiled
    for _ in range(2):
        with contextlib.suppress(TypeError):
            signal.send(None)
        with contextlib.suppress(TypeError):
            signal.has_listeners()
        signal.receivers.reverse()  # what was planned is forgotten
    signal.receivers.clear()
    signal.connect(listener.method)
    assert [response for _, response in signal.send(None)] == [1]


@pytest.mark.not_traced
@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
def test_traced_by_what_uses_the_signal(signal, install):
    busy, left = False, 0

    def trace(frame, event, argument):
        nonlocal busy, left
        if not busy and left:  # what is changed at every line for ever is never up to date
            busy = True
            left -= 1
            signal.connect(last, sender="traced")
            assert "last" in [response for _, response in signal.send("traced", a=1)]
            assert signal.disconnect(last, sender="traced")
            busy = False
        return trace

    before = sys.gettrace() if install is sys.settrace else sys.getprofile()
    signal.connect(first)
    for events in (1, 10, 100):
        left = events
        install(trace)
        try:
            signal.connect(last)
            sent = signal.send(None, a=1)
            gone = signal.disconnect(last)
        finally:
            install(before)
        assert sent == [(first, 1), (last, "last")]
        assert gone
    assert len(signal.receivers) == 1


@pytest.mark.skipif(not hasattr(gc, "freeze"), reason="PyPy cannot freeze what there is")
def test_frozen(signal):
    """What the collector no longer looks at dies all the same."""

    class Listener:
        def method(self, **kwargs):
            return "listener"

    listener = Listener()
    signal.connect(listener.method)
    gc.freeze()
    try:
        assert len(signal.send(None)) == 1
        del listener
        gc.collect()
        assert signal.send(None) == []
        assert signal.receivers == []
    finally:
        gc.unfreeze()


def test_weakref_classes_are_patched(signal, collect):
    """They were taken when the package was imported, so what is put in their place has no say."""
    with mock.patch("weakref.ref", side_effect=Lost), mock.patch("weakref.WeakMethod", Lost):
        signal.connect(first)
        signal.connect(TestReceivers().test_base_exception)
        collect()
        assert signal.send(None) == [(first, 1)]
        assert signal.disconnect(first)
    assert signal.receivers == []
