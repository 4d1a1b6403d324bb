"""The pytest plugin: record signals, fail when a receiver raises, and benchmark sends.

pytest finds it where fastsig is installed.  The fixture `record_signal` records sends, and
``benchmark_send`` measures a send to your own receivers.  With ``fastsig_receiver_errors = raise``
in pytest's configuration, a test fails if a receiver raises an exception that would only be logged.
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


# Exceptions of receivers


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "what to do with the exceptions of receivers: log, or raise to fail the test"
    parser.addini(OPTION, text, default="log")


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker; check the option."""
    text = f"{OPTION}(how): overrides the option {OPTION} for a test: log or raise"
    config.addinivalue_line("markers", text)
    if config.getini(OPTION) not in CHOICES:
        raise pytest.UsageError(f"{OPTION} must be log or raise, not {config.getini(OPTION)!r}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail if a receiver raises during the setup of a test."""
    return (yield from raise_errors(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail if a receiver raises during a test."""
    return (yield from raise_errors(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail if a receiver raises during the teardown of a test."""
    return (yield from raise_errors(item))


def raise_errors(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run a phase of a test; then raise the exceptions of receivers that were only logged."""
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


# Recording


class RecordSignal(Protocol):
    """The type of the fixture `record_signal`."""

    def __call__(
        self, signal: SignalProtocol, /, *more: SignalProtocol, sender: object = None
    ) -> Recorded: ...


@pytest.fixture
def record_signal() -> Generator[RecordSignal, None, None]:
    """Record sends from the call until the test ends: ``sent = record_signal(task_sent)``.

    See `fastsig.recorded` for the arguments and the result.
    """
    from fastsig.watching import recorded

    with ExitStack() as stack:

        def record_signal(
            signal: SignalProtocol, /, *more: SignalProtocol, sender: object = None
        ) -> Recorded:
            return stack.enter_context(recorded(signal, *more, sender=sender))

        yield record_signal


# Benchmarking

SECONDS = 1.0
"""About how long the comparison takes; pytest-benchmark measures as long."""


class BenchmarkSend(Protocol):
    """The type of the fixture `benchmark_send`."""

    def __call__(
        self,
        receivers: Iterable[Callable[..., Any]],
        /,
        sender: object = None,
        **named: Any,
    ) -> list[tuple[Any, Any]]: ...


@pytest.fixture
def benchmark_send(benchmark: Any) -> BenchmarkSend:
    """Benchmark ``send(sender=..., **named)`` of a signal to receivers.  Call it once in a test.

    It calls each receiver many thousand times: through a signal, and by hand in a loop that passes
    the arguments that the receiver takes by keyword.  ``benchmark.extra_info`` has the results: the
    `core`, the number of `receivers`, the nanoseconds of `send` and `by_hand`, their difference
    (`overhead`) and their `ratio`.  If benchmarks are disabled, it calls the receivers once each
    way and measures nothing.

    Arguments of the function:
        receivers: The receivers to connect, in this order.
        sender: The sender.
        **named: The other arguments to send.  Their names must be identifiers.

    The function raises:
        TypeError: A receiver cannot be connected.
        Exception: A receiver raised it.
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
        names = {_name_variable(name): value for name, value in {**sent, "signal": signal}.items()}
        names["send"] = signal.send
        send = f"send({_write_arguments(sent)})"

        def taken(receiver: Callable[..., Any]) -> list[str]:
            accepted = keywords_of(receiver)
            return [name for name in (*sent, "signal") if accepted is None or name in accepted]

        loops = []
        for i, (arguments, group) in enumerate(groupby(receivers, taken)):
            names[f"receivers_{i}"] = list(group)
            loops.append(bench.loop(_write_arguments(arguments), f"receivers_{i}"))
        by_hand = "\n".join(["responses = []", *loops])

        measure.function(by_hand, names)()  # raises the exceptions that a send would only log
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


def _name_variable(name: str) -> str:
    """Return the name of the variable that holds an argument, which no other variable has."""
    return f"sent_{name}"


def _write_arguments(names: Iterable[str]) -> str:
    """Return the source of keyword arguments that are read from their variables."""
    return ", ".join(f"{name}={_name_variable(name)}" for name in names)
