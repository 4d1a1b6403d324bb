"""Exceptions of receivers: on_error, for a receiver and for a signal."""

import builtins
import contextlib
import gc
import logging
import sys
import threading
from functools import partial

import pytest

GROUPS = sys.version_info >= (3, 11)
ERRORS = getattr(builtins, "ExceptionGroup", ValueError)


def fails(pk):
    raise ValueError(pk)


def works(pk):
    return pk


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.ERROR)
    return lambda: [record.getMessage() for record in caplog.records]


class TestReceiver:
    def test_it_raises(self, signal, logged):
        after = []
        signal.connect(works)
        assert signal.connect(fails, on_error="raise") is fails
        signal.connect(lambda pk: after.append(pk), weak=False)
        for send in (signal.send, signal.send_robust):
            with pytest.raises(ValueError, match=r"^7$") as caught:
                send(None, pk=7)
            assert caught.traceback[-1].name == "fails"
        assert not after
        assert not logged()

    def test_others_are_logged(self, signal, logged):
        def other(pk):
            raise KeyError(pk)

        signal.connect(other)
        signal.connect(fails, on_error="raise")
        with pytest.raises(ValueError, match="7"):
            signal.send(None, pk=7)
        assert len(logged()) == 1
        assert "other" in logged()[0]

    @pytest.mark.parametrize("muted", [False, True])
    def test_only_this_connection(self, signal, muted):
        signal.connect(fails, sender="a", on_error="raise")
        signal.connect(fails, sender="b")
        if muted:
            signal.muted(sender="c").__enter__()
        with pytest.raises(ValueError, match="1"):
            signal.send("a", pk=1)
        assert len(signal.send("b", pk=1)) == 1
        if muted:
            from fastsig import watching

            [block] = watching.BLOCKS.get()
            block.muted.__exit__(None, None, None)

    def test_as_a_decorator(self, signal):
        @signal.connect(sender="a", on_error="raise")
        def guard(pk):
            raise ValueError(pk)

        with pytest.raises(ValueError, match="1"):
            signal.send("a", pk=1)

    def test_a_method(self, signal):
        class Guard:
            def method(self, pk):
                raise ValueError(pk)

        guard, other = Guard(), Guard()
        signal.connect(guard.method, on_error="raise")
        signal.connect(other.method)
        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)
        del guard
        gc.collect()
        assert len(signal.send(None, pk=1)) == 1

    def test_an_object(self, signal):
        class Guard:
            def __call__(self, pk):
                raise ValueError(pk)

        guard = Guard()
        signal.connect(guard, on_error="raise")
        signal.connect(partial(fails, pk=2), weak=False, on_error="raise")
        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)
        signal.disconnect(guard)
        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)

    def test_a_receiver_that_disconnects_itself(self, signal):
        @signal.connect(on_error="raise")
        def guard(pk):
            signal.disconnect(guard)
            raise ValueError(pk)

        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)
        assert signal.send(None, pk=1) == []

    def test_with_once_and_retry(self, fastsig, signal):
        signal.connect(fails, on_error="raise", once=True)
        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)
        assert signal.send(None, pk=1) == []
        signal.connect(fails, on_error="raise", retry=fastsig.Retry(2, delay=0))
        with pytest.raises(ValueError, match="2"):
            signal.send(None, pk=2)

    def test_a_receiver_that_no_plan_holds_for(self, signal):
        def guard(pk):
            return pk

        signal.connect(guard, on_error="raise")
        assert len(signal.send(None, pk=1)) == 1
        guard.__code__ = fails.__code__
        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)
        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)

    def test_while_it_is_watched(self, fastsig, signal, called):
        signal.connect(fails, on_error="raise")
        with signal.recorded() as sent, pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)
        assert type(sent.one.error) is ValueError
        assert len(sent.one.responses) == 2

    def test_a_lazy_sender(self, signal):
        class Lazy:
            then = None

            def __then__(self, function, *args, **kwargs):
                self.then = lambda: function(*args, **kwargs)

            def _get_current_object(self):
                return "a"

        sender = Lazy()
        signal.connect(fails, sender=sender, on_error="raise", once=True)
        assert signal.send("a", pk=1) == []
        sender.then()
        with pytest.raises(ValueError, match="1"):
            signal.send("a", pk=1)
        assert signal.send("a", pk=1) == []

    @pytest.mark.parametrize("bad", ["ignore", "log", "collect", 7, True, []])
    def test_unknown(self, signal, bad):
        with pytest.raises(ValueError, match=r"on_error of a receiver must be 'raise' or None"):
            signal.connect(fails, on_error=bad)
        assert not signal.receivers

    def test_the_table_can_be_copied(self, signal):
        signal.connect(fails, on_error="raise")
        signal.connect(works)
        for (_, _), reference in signal.receivers:  # as many walk through it
            assert reference() in (fails, works)
        saved, signal.receivers = signal.receivers, []
        assert signal.send(None, pk=1) == []
        signal.receivers = list(saved)
        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)


class TestSignal:
    def test_raise(self, Signal, logged):
        signal = Signal(name="saved", on_error="raise")
        signal.connect(works)
        signal.connect(fails)
        for send in (signal.send, signal.send_robust):
            with pytest.raises(ValueError, match=r"^7$"):
                send(None, pk=7)
        with signal.muted(receiver=works), pytest.raises(ValueError, match=r"^7$"):
            signal.send(None, pk=7)
        assert not logged()

    @pytest.mark.parametrize("watched", [False, True])
    def test_collect(self, Signal, logged, watched):
        signal = Signal(name="saved", on_error="collect")
        ran = []

        def fails_too(sender, **named):
            ran.append(named["pk"])
            raise KeyError(sender)

        def returns_an_error(pk):
            return LookupError(pk)

        for receiver in (returns_an_error, fails, works, fails_too):
            signal.connect(receiver)
        context = signal.muted(receiver=works) if watched else signal.connected(lambda: 1)
        with context, pytest.raises(ERRORS) as caught:
            signal.send("a", pk=7)
        assert ran == [7]
        if GROUPS:
            assert str(caught.value) == "2 receivers of saved raised (2 sub-exceptions)"
            assert [repr(error) for error in caught.value.exceptions] == [
                *("ValueError(7)", "KeyError('a')")
            ]
            assert not logged()
        else:
            assert logged() == ["KeyError('a') was raised, too"]
        signal.disconnect(fails)
        signal.disconnect(fails_too)
        assert len(signal.send("a", pk=7)) == 2

    def test_collect_and_a_receiver_that_raises(self, Signal):
        signal = Signal(on_error="collect")
        signal.connect(works)
        signal.connect(fails)

        @signal.connect(on_error="raise")
        def guard():
            raise KeyError("at once")

        @signal.connect
        def after():
            raise AssertionError("not called")

        for context in (signal.connected(lambda: 1), signal.muted(receiver=works)):
            with context, pytest.raises(KeyError, match="at once"):
                signal.send(None, pk=7)

    def test_collect_after_a_garbage_collected_receiver(self, Signal, collect):
        signal = Signal(on_error="collect")
        dead = lambda: 1  # noqa: E731
        signal.connect(dead)
        signal.connect(fails)

        @signal.connect
        def changed(pk):
            return pk

        signal.connect(lambda: ran.append(1), weak=False)
        ran = []
        with pytest.raises(ERRORS):
            signal.send(None, pk=7)
        changed.__code__ = fails.__code__
        del dead
        collect()
        with pytest.raises(ERRORS) as caught:
            signal.send(None, pk=7)
        assert ran == [1, 1]
        if GROUPS:
            assert len(caught.value.exceptions) == 2

    def test_collect_and_what_is_no_exception(self, Signal):
        signal = Signal(on_error="collect")
        signal.connect(fails)

        @signal.connect
        def ends():
            raise SystemExit

        with pytest.raises(SystemExit):
            signal.send(None, pk=7)

    def test_log(self, Signal, logged):
        signal = Signal(on_error="log")
        signal.connect(fails)
        assert type(signal.send(None, pk=1)[0][1]) is ValueError
        assert len(logged()) == 1

    @pytest.mark.parametrize("bad", ["ignore", "", None, 7, []])
    def test_unknown(self, Signal, bad):
        with pytest.raises(ValueError, match="must be 'log', 'raise' or 'collect', got"):
            Signal(on_error=bad)

    def test_a_subclass(self, Signal):
        class Mine(Signal):
            def __init__(self, name):
                super().__init__(name=name, on_error="raise")

        signal = Mine("mine")
        signal.connect(fails)
        with pytest.raises(ValueError, match="1"):
            signal.send(None, pk=1)


@pytest.mark.skipif(not GROUPS, reason="the log keeps what is not raised")
def test_no_garbage_cycle_stays(Signal, collect):
    """An exception that was collected does not keep the frames alive."""
    import weakref

    class Thing:
        pass

    signal = Signal(on_error="collect")
    signal.connect(fails)
    signal.connect(fails, sender="a")
    thing = Thing()
    gone = weakref.ref(thing)
    with contextlib.suppress(Exception):
        signal.send("a", pk=thing)
    del thing
    collect()
    assert gone() is None


def test_threads(signal):
    """The exception reaches the sender in its own thread, whatever the others do."""
    signal.connect(fails, on_error="raise")
    wrong = []

    def work(number):
        for i in range(300):
            try:
                signal.send(None, pk=(number, i))
            except ValueError as error:
                if error.args != ((number, i),):
                    wrong.append(error)
            else:
                wrong.append("nothing")
            if number == 0:
                with signal.connected(works):
                    pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
