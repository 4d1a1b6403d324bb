"""Retry: when, and how often, a receiver that raises is called again."""

import asyncio
import logging
import time

import pytest


@pytest.fixture
def slept(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


class Flaky:
    """Raises so many times."""

    def __init__(self, times):
        self.times, self.calls = times, 0

    def __call__(self, pk):
        self.calls += 1
        if self.calls <= self.times:
            raise ValueError(self.calls)
        return pk


def test_it_succeeds(fastsig, signal, slept, caplog):
    flaky = Flaky(2)
    signal.connect(flaky, retry=fastsig.Retry(attempts=5, delay=1, backoff=3, max_delay=30))
    assert [response for _, response in signal.send(None, pk=7)] == [7]
    assert (flaky.calls, slept) == (3, [1, 3])
    assert len(caplog.records) == 2
    assert "Retrying in 3.00 seconds" in caplog.records[1].getMessage()


def test_the_last_exception_is_the_response(fastsig, signal, slept, caplog):
    flaky = Flaky(99)
    signal.connect(flaky, retry=fastsig.Retry(attempts=4, delay=10, backoff=2, max_delay=30))
    [(_, response)] = signal.send(None, pk=7)
    assert repr(response) == "ValueError(4)"
    assert slept == [10, 20, 30]
    assert len(caplog.records) == 4


def test_one_attempt(fastsig, signal, slept):
    signal.connect(Flaky(1), retry=fastsig.Retry(attempts=1))
    assert repr(signal.send(None, pk=7)[0][1]) == "ValueError(1)"
    assert slept == []


def test_without_limit(fastsig, signal, slept):
    flaky = Flaky(5000)
    signal.connect(flaky, retry=fastsig.Retry(attempts=None, delay=1e-3, backoff=10))
    logging.disable()
    try:
        assert signal.send(None, pk=7)[0][1] == 7
    finally:
        logging.disable(logging.NOTSET)
    assert slept[:4] == [0.001, 0.01, 0.1, 1]
    assert slept[-1] == 30


def test_as_celery(signal, slept):
    signal.connect(Flaky(16), retry=True)
    assert signal.send(None, pk=7)[0][1] == 7
    assert slept == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 30]


def test_disconnecting(fastsig, signal):
    flaky = Flaky(0)
    signal.connect(flaky, retry=fastsig.Retry())
    signal.connect(flaky, retry=fastsig.Retry())
    assert len(signal.receivers) == 1
    assert signal.disconnect(flaky)
    retrying = signal.connect(flaky, retry=fastsig.Retry())
    assert signal.disconnect(retrying)
    assert not signal.receivers


def test_as_a_decorator(fastsig, signal, slept):
    @signal.connect(retry=fastsig.Retry(2))
    def named(pk):
        return pk

    assert signal.send(None, pk=7, other=8)[0][1] == 7


def test_what_is_no_exception(fastsig, signal, slept):
    def stops():
        raise KeyboardInterrupt

    signal.connect(stops, retry=fastsig.Retry())
    with pytest.raises(KeyboardInterrupt):
        signal.send(None)
    assert not slept


def test_a_coroutine_function(fastsig, signal):
    calls = []

    async def flaky(pk):
        calls.append(pk)
        if len(calls) < 3:
            raise ValueError(pk)
        return pk

    signal.connect(flaky, retry=fastsig.Retry(delay=0.001))
    assert asyncio.run(signal.asend(None, pk=7))[0][1] == 7
    assert calls == [7, 7, 7]


def test_no_recursion_of_delays(fastsig):
    delays = fastsig.Retry(attempts=None, delay=1, backoff=1e300, max_delay=60).delays()
    assert [next(delays) for _ in range(4)] == [1, 60, 60, 60]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"attempts": 0}, ValueError, "attempts must be 1 or more, got 0"),
        ({"attempts": -1}, ValueError, "attempts must be 1 or more, got -1"),
        ({"attempts": 2.5}, TypeError, "attempts must be an int, got 'float'"),
        ({"attempts": True}, TypeError, "attempts must be an int, got 'bool'"),
        ({"delay": -1}, ValueError, "delay must be 0 or more, got -1"),
        ({"delay": "1"}, TypeError, "delay must be a number, got 'str'"),
        ({"backoff": 0.5}, ValueError, "backoff must be 1 or more, got 0.5"),
        ({"max_delay": float("nan")}, ValueError, "max_delay must be 0 or more, got nan"),
        ({"max_delay": float("inf")}, ValueError, "max_delay must be 0 or more, got inf"),
    ],
)
def test_bad_input(fastsig, options, error, message):
    with pytest.raises(error, match=message):
        fastsig.Retry(**options)


def test_what_is_no_retry(fastsig, signal):
    def receiver(pk):
        return pk

    for bad in ("5", 3, 1.5, [1], object()):
        with pytest.raises(TypeError, match="retry must be a bool or a Retry, got"):
            signal.connect(receiver, retry=bad)
    with pytest.raises(TypeError, match=r"got <class '.*Retry'>; write Retry\(\)"):
        signal.connect(receiver, retry=fastsig.Retry)
    for none in (None, 0):
        assert signal.connect(receiver, retry=none) is receiver
    assert len(signal.receivers) == 1


def test_repr(fastsig):
    expected = "Retry(attempts=3, delay=1, backoff=2, max_delay=30)"
    assert repr(fastsig.Retry(3)) == expected
