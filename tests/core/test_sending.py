"""Sending: the arguments and the order of the calls, and the responses."""

import gc
import inspect
import logging
import sys
import weakref
from unittest import mock

import pytest


def test_no_receiver(signal):
    assert signal.send(None) == []
    assert signal.send("s", value=1) == []
    assert signal.send(sender="s") == []


def test_each_send_returns_a_new_list(signal):
    assert signal.send(None) is not signal.send(None)


def test_arguments(signal):
    seen = {}

    @signal.connect
    def receiver(**kwargs):
        seen.update(kwargs)

    signal.send("s", value=1)
    assert seen == {"signal": signal, "sender": "s", "value": 1}
    seen.clear()
    signal.send(value=2, sender="t")
    assert seen == {"signal": signal, "sender": "t", "value": 2}
    assert list(seen) == ["signal", "sender", "value"]


def test_send_robust_works_like_send(Signal, signal):
    """As in Celery, both log an exception that a receiver raises, and return it."""
    assert Signal.send_robust.__doc__ == Signal.send.__doc__
    assert inspect.signature(Signal.send_robust) == inspect.signature(Signal.send)

    @signal.connect
    def bad(**kwargs):
        raise ValueError

    @signal.connect
    def good(value):
        return value

    for send in (signal.send, signal.send_robust):
        (_, error), last = send("s", value=1)
        assert type(error) is ValueError
        assert last == (good, 1)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((), {"value": 1}), ((1, 2), {}), ((1,), {"sender": 2})]
)
@pytest.mark.parametrize("connected", [False, True])
def test_refused_calls(signal, connected, args, kwargs):
    def receiver(**kwargs):
        pytest.fail("called")

    if connected:
        signal.connect(receiver)
    for name in ("send", "send_robust"):
        with pytest.raises(TypeError, match=rf"\b(send|{name})\(\).*(sender|positional)"):
            getattr(signal, name)(*args, **kwargs)


def test_an_argument_may_be_called_self(signal):
    receiver = signal.connect(lambda self, **kwargs: self)
    assert signal.send(None, self=3) == [(receiver, 3)]


class TestExceptions:
    def test_exception_is_logged_and_returned(self, signal, caplog):
        error = ValueError("bad")

        def bad(**kwargs):
            raise error

        def good(**kwargs):
            return 1

        signal.connect(bad)
        signal.connect(good)
        with caplog.at_level(logging.ERROR):
            assert signal.send(None) == [(bad, error), (good, 1)]
        (record,) = caplog.records
        assert record.getMessage() == f"Signal handler {bad!r} raised: {error!r}"
        assert record.levelno == logging.ERROR
        assert record.exc_info[1] is error
        traceback = error.__traceback__
        while traceback.tb_next:
            traceback = traceback.tb_next
        assert traceback.tb_frame.f_code is bad.__code__

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_base_exception_propagates_and_ends_the_send(self, signal, kind):
        called = []

        def bad(**kwargs):
            raise kind

        def later(**kwargs):
            called.append(1)

        signal.connect(bad)
        signal.connect(later)
        with pytest.raises(kind):
            signal.send(None)
        assert not called

    def test_exception_is_current_while_it_is_logged(self, signal):
        seen = []

        class Handler(logging.Handler):
            def emit(self, record):
                seen.append((record.exc_info[1], sys.exc_info()[1]))

        logger = logging.getLogger("fastsig")
        handler = Handler()
        logger.addHandler(handler)
        logger.propagate = False
        try:

            @signal.connect
            def bad(**kwargs):
                raise ValueError

            ((_, error),) = signal.send(None)
        finally:
            logger.removeHandler(handler)
            logger.propagate = True
        assert seen == [(error, error)]
        assert sys.exc_info()[1] is None

    def test_repr_that_raises(self, signal, caplog):
        class Bad(Exception):
            def __repr__(self):
                raise RuntimeError("no repr")

            __str__ = __repr__

        class Receiver:
            def __repr__(self):
                raise RuntimeError("no repr")

            def __call__(self, **kwargs):
                raise Bad

        receiver = Receiver()
        signal.connect(receiver)
        ((_, error),) = signal.send(None)
        assert type(error) is Bad
        (message,) = caplog.messages
        assert "Receiver object at 0x" in message
        assert "Bad object at 0x" in message

    def test_logging_that_raises(self, signal):
        class Handler(logging.Handler):
            def emit(self, record):
                raise OSError("disk full")

        logger = logging.getLogger("fastsig")
        handler = Handler()
        logger.addHandler(handler)
        try:

            @signal.connect
            def bad(**kwargs):
                raise ValueError

            with pytest.raises(OSError, match="disk full"):
                signal.send(None)
        finally:
            logger.removeHandler(handler)

    def test_the_policy_may_raise(self, engine, signal):
        class Propagating(engine.Policy):
            def fail(self, signal, receiver, exception):
                raise exception

        signal.configure(Propagating())

        @signal.connect
        def bad(**kwargs):
            raise ValueError("bad")

        @signal.connect
        def later(**kwargs):
            pytest.fail("called")

        with pytest.raises(ValueError, match="bad"):
            signal.send(None)

    @pytest.mark.parametrize("response", [None, 0, "failed", ()])
    def test_the_policy_may_replace_the_response(self, engine, signal, response):
        """The result of `Policy.fail` becomes the response."""
        seen = []

        class Quiet(engine.Policy):
            def fail(self, *args):
                seen.append((*args, sys.exc_info()[1]))
                return response

        error = ValueError()
        signal.configure(Quiet())

        @signal.connect
        def bad(**kwargs):
            raise error

        @signal.connect
        def later(**kwargs):
            return "later"

        assert signal.send(None) == [(bad, response), (later, "later")]
        assert seen == [(signal, bad, error, error)]

    def test_an_argument_called_signal(self, signal):
        receivers = [lambda **kwargs: 1, lambda signal: 1, print]
        for receiver in receivers:
            signal.connect(receiver, weak=False)
        for receiver, response in signal.send(None, signal="mine"):
            assert receiver in receivers
            assert type(response) is TypeError
            assert "multiple values" in str(response)


class TestDuringASend:
    """A send uses the connections that existed when it started."""

    def test_connected_meanwhile_is_called_next_time(self, signal):
        def late(**kwargs):
            return "late"

        @signal.connect
        def early(**kwargs):
            signal.connect(late)

        assert [receiver for receiver, _ in signal.send(None)] == [early]
        assert [receiver for receiver, _ in signal.send(None)] == [early, late]

    def test_disconnected_meanwhile_is_still_called(self, signal):
        def first(**kwargs):
            signal.disconnect(first)
            signal.disconnect(second)

        def second(**kwargs):
            return 2

        signal.connect(first)
        signal.connect(second)
        assert signal.send(None) == [(first, None), (second, 2)]
        assert signal.send(None) == []
        assert signal.receivers == []

    def test_garbage_collected_before_its_turn_is_skipped(self, signal, collect):
        class Listener:
            def method(self, **kwargs):
                return 1

        listeners = [Listener(), Listener()]

        def first(**kwargs):
            listeners.pop()
            collect()

        signal.connect(first)
        signal.connect(listeners[0].method)
        signal.connect(listeners[1].method)
        assert [response for _, response in signal.send(None)] == [None, 1]
        assert len(signal.receivers) in (2, 3)  # purged by the next operation at the latest
        listeners.append(Listener())
        assert [response for _, response in signal.send(None)] == [None, 1]
        assert len(signal.receivers) == 2

    def test_recursion(self, signal):
        @signal.connect
        def receiver(signal, sender, depth, **kwargs):
            if depth:
                return signal.send(sender, depth=depth - 1, **{f"extra{depth}": 1, **kwargs})
            return sorted(kwargs)

        result = signal.send("s", depth=3)
        for _ in range(3):
            result = result[0][1]
        assert result == [(receiver, ["extra1", "extra2", "extra3"])]

    def test_endless_recursion(self, signal):
        @signal.connect
        def receiver(signal, sender, **kwargs):
            return signal.send(sender)

        result, depth = signal.send(None), 0
        while isinstance(result, list):
            result, depth = result[0][1], depth + 1
        assert isinstance(result, RecursionError)
        assert depth > 10

    def test_the_table_is_emptied(self, signal):
        def first(signal, **kwargs):
            signal.receivers[:] = []

        def second(**kwargs):
            return 2

        signal.connect(first)
        signal.connect(second)
        assert len(signal.send(None)) == 2
        assert signal.send(None) == []


def test_has_listeners(signal, collect):
    assert not signal.has_listeners()

    def receiver(**kwargs):
        pass

    signal.connect(receiver, sender="s")
    assert signal.has_listeners("s")
    assert not signal.has_listeners("t")
    assert not signal.has_listeners()
    assert signal.has_listeners(sender="s") is True
    del receiver
    collect()
    assert signal.has_listeners("s") is False


class TestASignalThatAModuleMakes:
    """Compiled, it has `send` in its `__dict__`, which a call of an imported name finds at once."""

    @pytest.fixture
    def make(self, Signal):
        def make(kind=Signal):
            module = {"kind": kind}
            exec("signal = kind()", module)
            return module["signal"]

        return make

    def test_only_there(self, core, make, Signal):
        signal = make()
        assert ("send" in vars(signal)) is (core == "compiled")
        assert signal.send.__self__ is signal
        assert inspect.signature(signal.send) == inspect.signature(Signal().send)
        reference = weakref.ref(Signal())
        assert reference() is None  # no cycle

    def test_it_sends(self, make, collect):
        signal = make()
        assert signal.send(None) == []
        signal.connect(collect)
        assert signal.send("s", value=1) == [(collect, None)]
        with pytest.raises(TypeError, match=r"missing 1 required .*argument: 'sender'"):
            signal.send()

    def test_what_replaces_send_of_the_class(self, make, Signal):
        class Traced(Signal):
            pass

        signal = make(Traced)
        assert signal.send(None) == []
        with mock.patch.object(Signal, "send", return_value="of the base") as send:
            assert signal.send("s", value=1) == "of the base"
        send.assert_called_once_with("s", value=1)
        assert signal.send(None) == []
        Traced.send = lambda self, sender, **named: (self, sender, named)
        assert signal.send("s", value=1) == (signal, "s", {"value": 1})
        assert make(Traced).send(sender="t")[1:] == ("t", {})

    def test_what_replaces_its_own_send(self, make):
        signal = make()
        with mock.patch.object(signal, "send", return_value="mocked"):
            assert signal.send(None) == "mocked"
        assert signal.send(None) == []

    def test_it_is_collected(self, make, collect):
        signal = make()
        signal.connect(collect)
        signal.send(None)
        reference = weakref.ref(signal)
        del signal
        gc.collect()
        assert reference() is None
