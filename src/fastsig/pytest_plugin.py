"""The plugin for pytest: tests that record signals, fail with receivers, and benchmark sends.

pytest finds it by itself where fastsig is installed.  The fixture `record_signal` records what is
sent, and ``benchmark_send`` measures what a send to receivers of your own costs.  With the option
``fastsig_receiver_errors = raise`` in pytest's configuration, a test fails with what a receiver
raised and fastsig would only log.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from fastsig.protocol import SignalProtocol
    from fastsig.watching import Recorded

__all__ = ["benchmark_send", "record_signal"]

OPTION = "fastsig_receiver_errors"
CHOICES = ("log", "raise")


# What receivers raise


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "what becomes of the exceptions of receivers: log, or raise to fail the test"
    parser.addini(OPTION, text, default="log")


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker; check the option."""
    text = f"{OPTION}(how): as the option of that name, for some tests: log or raise"
    config.addinivalue_line("markers", text)
    if config.getini(OPTION) not in CHOICES:
        raise pytest.UsageError(f"{OPTION} must be log or raise, not {config.getini(OPTION)!r}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail with what receivers raise while a test is set up."""
    return (yield from raise_errors(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail with what receivers raise while a test runs."""
    return (yield from raise_errors(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail with what receivers raise while a test is torn down."""
    return (yield from raise_errors(item))


def raise_errors(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let a part of a test run; then raise what receivers raised, and was only logged."""
    marker = item.get_closest_marker(OPTION)
    how = marker.args[0] if marker is not None and marker.args else item.config.getini(OPTION)
    if how not in CHOICES:
        raise pytest.UsageError(f"{OPTION} must be log or raise, not {how!r}")
    if how == "log":
        return (yield)
    from fastsig.signal import LoggingPolicy, make_group, make_printable, name_of

    errors: list[Exception] = []
    log = LoggingPolicy.fail

    def fail(self: Any, signal: Any, receiver: Any, exception: Exception) -> Any:
        if sys.version_info >= (3, 11):
            exception.add_note(f"receiver {make_printable(receiver)!r} of {name_of(signal)}")
        errors.append(exception)
        return log(self, signal, receiver, exception)

    LoggingPolicy.fail = fail  # type: ignore[method-assign]
    try:
        result = yield
    finally:
        LoggingPolicy.fail = log  # type: ignore[method-assign]
    if len(errors) > 1:
        raise make_group(item, errors)
    if errors:
        raise errors[0]
    return result


# What is sent


class RecordSignal(Protocol):
    """What the fixture gives: it records signals until the test ends."""

    def __call__(
        self, signal: SignalProtocol, /, *more: SignalProtocol, sender: object = None
    ) -> Recorded: ...


@pytest.fixture
def record_signal() -> Generator[RecordSignal, None, None]:
    """Record what is sent, from the call until the test ends: ``sent = record_signal(task_sent)``.

    See `fastsig.recorded` for the arguments, and for what is recorded.
    """
    from fastsig.watching import recorded

    with ExitStack() as stack:

        def record_signal(
            signal: SignalProtocol, /, *more: SignalProtocol, sender: object = None
        ) -> Recorded:
            return stack.enter_context(recorded(signal, *more, sender=sender))

        yield record_signal


# What a send costs

SECONDS = 1.0
"""How long the comparison takes, about: as long as pytest-benchmark measures."""


class BenchmarkSend(Protocol):
    """What the fixture gives: it sends, and returns the responses."""

    def __call__(
        self,
        receivers: Iterable[Callable[..., Any]],
        /,
        sender: object = None,
        **named: Any,
    ) -> list[tuple[Any, Any]]: ...


@pytest.fixture
def benchmark_send(benchmark: Any) -> BenchmarkSend:
    """Benchmark ``send(sender=..., **named)`` of a signal to receivers; once in a test.

    Each receiver is called many thousand times, as a signal calls it and also by hand: in a loop,
    by keyword, with the arguments that it takes.  How the two compare is in
    ``benchmark.extra_info``: the `core`, the number of `receivers`, the nanoseconds that `send`
    takes, `by_hand` and more than that (`overhead`), and the `ratio` of the two.  Where benchmarks
    are disabled, the receivers are called once each way, and nothing is measured.

    Arguments of what it gives:
        receivers: What to connect, in this order.
        sender: The sender.
        **named: The other arguments to send; their names must be identifiers.

    Raises (what it gives):
        TypeError: A receiver cannot be connected.
        Exception: What a receiver raises.
    """

    from fastsig import Signal, compiled
    from fastsig.command import bench, measure
    from fastsig.engine.plans import keywords_of

    def benchmark_send(
        receivers: Iterable[Callable[..., Any]], /, sender: object = None, **named: Any
    ) -> list[tuple[Any, Any]]:
        receivers = list(receivers)
        signal = Signal()
        for i, receiver in enumerate(receivers):
            if not callable(receiver):  # connect() takes a str for a sender
                raise TypeError(f"receiver must be callable, got {type(receiver).__name__!r}")
            signal.connect(receiver, dispatch_uid=f"receiver {i}")
        sent = {"sender": sender, **named}
        names = {_variable(name): value for name, value in {**sent, "signal": signal}.items()}
        names["send"] = signal.send
        send = f"send({_written(sent)})"

        def taken(receiver: Callable[..., Any]) -> list[str]:
            accepted = keywords_of(receiver)
            return [name for name in (*sent, "signal") if accepted is None or name in accepted]

        loops = []
        for i, (arguments, group) in enumerate(groupby(receivers, taken)):
            names[f"receivers_{i}"] = list(group)
            loops.append(bench.loop(_written(arguments), f"receivers_{i}"))
        by_hand = "\n".join(["responses = []", *loops])

        measure.function(by_hand, names)()  # what a receiver raises, a send would only log
        responses: list[tuple[Any, Any]] = benchmark(measure.function(f"return {send}", names))
        if benchmark.enabled:
            runs = {"by_hand": measure.run(by_hand, names), "send": measure.run(send, names)}
            [ns] = measure.races([runs], SECONDS)
            benchmark.extra_info.update(
                **ns,
                overhead=ns["send"] - ns["by_hand"],
                ratio=ns["send"] / ns["by_hand"],
                core="compiled" if compiled else "pure",
                receivers=len(receivers),
            )
        return responses

    return benchmark_send


def _variable(name: str) -> str:
    """Return the name of the variable that holds an argument: none that is used otherwise."""
    return f"sent_{name}"


def _written(names: Iterable[str]) -> str:
    """Return the source of arguments by keyword, from their variables."""
    return ", ".join(f"{name}={_variable(name)}" for name in names)
