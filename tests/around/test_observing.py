"""Observing: a callback after each receiver, and FASTSIG_SLOW."""

import gc
import importlib
import logging
import sys
import threading
import time

import pytest


def test_a_call(fastsig, signal, called):
    calls = []
    with fastsig.observe(calls.append, signals=[signal]):
        assert len(signal.send("a", pk=1)) == 2
    signal.send("a", pk=1)
    assert [call.receiver for call in calls] == [called.first, called.second]
    for call in calls:
        assert call.signal is signal
        assert call.sender == "a"
        assert call.error is None
        assert 0 < call.seconds < 1
        assert repr(call).endswith(f" of saved: {call.seconds:.6f} s>")


def test_how_long_it_takes(fastsig, signal):
    calls = []
    signal.connect(lambda: time.sleep(0.02), weak=False)
    with fastsig.observe(calls.append, signals=[signal]):
        signal.send(None)
    assert 0.02 <= calls[0].seconds < 1


def test_errors(fastsig, signal):
    calls = []
    errors = [ValueError(1), KeyError(2), SystemExit(3)]

    def fails(error):
        raise error

    signal.connect(fails)
    with fastsig.observe(calls.append, signals=[signal]):
        assert signal.send(None, error=errors[0]) == [(fails, errors[0])]
        signal.connect(fails, sender="b", on_error="raise")
        with pytest.raises(KeyError):
            signal.send("b", error=errors[1])
        with pytest.raises(SystemExit):
            signal.send(None, error=errors[2])
    assert [call.error for call in calls] == errors
    assert repr(calls[1]).endswith("raised KeyError(2)>")


def test_all_signals(fastsig, make_signal):
    calls = []
    before, now = make_signal(name="before"), lambda: None
    before.connect(now)
    with fastsig.observe(calls.append):
        before.send(None)
        later = make_signal(name="later")
        later.connect(now)
        later.send(None)
        with later.muted():
            later.send(None)
        later.send(None)
    later.send(None)
    before.send(None)
    make_signal(name="after").send(None)
    assert [call.signal for call in calls] == [before, later, later]


def test_several_observers(fastsig, signal, called):
    one, other, everything = [], [], []
    with (
        fastsig.observe(everything.append),
        fastsig.observe(one.append, [signal]) as first,
        fastsig.observe(other.append, [signal, signal]),
    ):
        signal.send(None, pk=1)
        first.stop()
        first.stop()
        signal.send(None, pk=1)
    assert [len(each) for each in (one, other, everything)] == [2, 4, 4]


def test_observation_survives_garbage_collection(fastsig, signal, called):
    calls = []
    fastsig.observe(calls.append, signals=[signal])
    gc.collect()
    signal.send(None, pk=1)
    from fastsig import watching

    [around] = watching.watched.values()
    [observation] = around.observations
    observation.stop()
    signal.send(None, pk=1)
    assert len(calls) == 2


def test_a_callback_that_raises(fastsig, signal, called, caplog):
    calls = []

    def fails(call):
        raise ValueError(call)

    with fastsig.observe(fails, [signal]), fastsig.observe(calls.append, [signal]):
        assert [response for _, response in signal.send(None, pk=1)] == ["first", "second"]
    assert len(calls) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"observe() callback {fails!r} raised"
    ] * 2
    assert all(record.exc_info for record in caplog.records)


def test_a_callback_that_sends(fastsig, signal, called):
    calls = []

    def sends(call):
        calls.append(call)
        signal.send("again", pk=2)

    with fastsig.observe(sends, [signal]):
        signal.send(None, pk=1)
    assert len(calls) == 2
    assert called.take() == ["first", *["first", "second"], "second", *["first", "second"]]


def test_a_receiver_that_sends(fastsig, signal):
    calls = []

    @signal.connect
    def again(pk):
        if pk:
            signal.send(None, pk=pk - 1)

    with fastsig.observe(calls.append, [signal]):
        signal.send(None, pk=3)
    assert len(calls) == 4
    assert calls[0].seconds < calls[3].seconds


def test_retry_and_once(fastsig, signal, called):
    calls = []

    def receiver(pk):
        return pk

    signal.connect(receiver, once=True, retry=fastsig.Retry(2))
    with fastsig.observe(calls.append, [signal]):
        signal.send(None, pk=1)
    assert calls[2].receiver is receiver


def test_what_is_recorded_is_not_called(fastsig, signal):
    calls = []
    with fastsig.observe(calls.append), signal.recorded():
        signal.send(None)
    assert calls == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((None,), "callback must be callable, got 'NoneType'"),
        ((print, [7]), r"observe\(\) takes signals, got 'int'"),
        ((print, ["saved"]), r"observe\(\) takes signals, got 'str'"),
        ((print, 7), "signals must be an iterable of signals, or None"),
    ],
)
def test_bad_input(fastsig, args, message):
    with pytest.raises(TypeError, match=message):
        fastsig.observe(*args)


def test_one_signal_is_not_several(fastsig, signal):
    with pytest.raises(TypeError, match=r"write signals=\[signal\]"):
        fastsig.observe(print, signal)


def test_threads(fastsig, make_signal):
    """Observations begin and end while others send, and signals come and go."""
    stop = threading.Event()
    wrong = []
    shared = make_signal(name="shared")

    def receiver(pk):
        return pk

    shared.connect(receiver)

    def send():
        while not stop.is_set():
            own = make_signal(name="own")
            own.connect(receiver)
            for signal in (shared, own):
                responses = signal.send(None, pk=1)
                # A recording that begins at this very moment may have left its stand-in.
                if [pair for pair in responses if pair[1] is not None] != [(receiver, 1)]:
                    wrong.append(responses)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            calls = []
            with fastsig.observe(calls.append), shared.muted(), shared.recorded() as sent:
                time.sleep(0.005)
            if any(call.receiver is not receiver for call in calls):
                wrong.append(calls)
            if any(each.responses not in ([], [(receiver, 1)]) for each in sent):
                wrong.append(sent)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert shared.send(None, pk=1) == [(receiver, 1)]
    assert len(shared.receivers) == 1


class TestSlow:
    PROGRAM = """
        import logging, sys, time
        logging.basicConfig(format="%(name)s %(levelname)s %(message)s", stream=sys.stdout)
        import fastsig
        saved = fastsig.Signal(name="saved")
        @saved.connect
        def slow(): time.sleep(0.03)
        @saved.connect
        def quick(): pass
        saved.send(None)
        """

    def test_it_logs(self, run):
        output = run(self.PROGRAM, FASTSIG_SLOW="0.02")
        assert output.count("\n") == 1
        assert output.startswith("fastsig WARNING Receiver <function slow at")
        assert "of saved took 0." in output

    @pytest.mark.parametrize("value", ["0.5", "", None])
    def test_it_does_not_log(self, run, value):
        assert run(self.PROGRAM, **({} if value is None else {"FASTSIG_SLOW": value})) == ""

    @pytest.mark.parametrize("value", ["slow", "-1", "nan"])
    def test_bad_values(self, run, value):
        output = run(
            """
            try:
                import fastsig
            except ValueError as error:
                print(error)
            """,
            FASTSIG_SLOW=value,
        )
        assert output == f"FASTSIG_SLOW must be a number of seconds, not {value!r}\n"

    def test_on_celerys_signals(self, run):
        pytest.importorskip("celery.signals")
        output = run(
            """
            import logging, sys, time
            logging.basicConfig(format="%(message)s", stream=sys.stdout)
            from celery.signals import task_prerun
            import fastsig.signals
            from celery import Celery
            app = Celery(set_as_current=False)
            @app.task
            def add(): return 1
            @task_prerun.connect
            def slow(**kwargs): time.sleep(0.03)
            add.apply()
            """,
            FASTSIG_SLOW="0.02",
        )
        assert "of task_prerun took 0." in output

    def test_nothing_is_imported_without_need(self, run):
        run(
            """
            import sys
            import fastsig
            fastsig.Signal().connect(print, weak=False)
            for name in ("contextvars", "dataclasses", "fastsig.watching", "fastsig.standins"):
                assert name not in sys.modules, name
            assert "inspect" not in sys.modules
            fastsig.muted
            assert "fastsig.watching" in sys.modules
            late = {"Retry", "explain", "muted", "observe", "recorded"}
            assert set(fastsig.__all__) <= {*dir(fastsig), *late}
            """.replace("print", "len"),
            PYTHONSAFEPATH="1",
        )


def test_caplog_level(fastsig, signal, called, caplog):
    caplog.set_level(logging.WARNING)
    with importlib.import_module("fastsig.watching").log_slow(0):
        signal.send(None, pk=1)
    assert len(caplog.records) == 2


@pytest.mark.threads
def test_other_threads_do_not_notice(fastsig):
    # Whoever finds the signals through the garbage collector holds tuples that others still fill.
    stop, errors, made = threading.Event(), [], 0

    def make():
        nonlocal made
        while not stop.is_set():
            try:
                made += len(tuple(i for i in range(200)))
            except SystemError as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=make) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(30):
            fastsig.observe(print).stop()
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert made


def test_the_engines_are_known_as_long_as_they_live(engine, Signal, collect):
    signal = Signal(name="known")
    assert any(each is signal for each in engine.list_engines())
    count = len(engine.list_engines())
    del signal
    collect()
    assert len(engine.list_engines()) < count
