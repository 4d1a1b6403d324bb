"""A fixture for pytest-benchmark: what a send to receivers of your own costs.

Ask for it in a ``conftest.py``::

    from fastsig.pytest_plugin import benchmark_send  # noqa: F401
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, Protocol

import pytest

from fastsig import Signal, _bench, _measure, compiled
from fastsig._shared import keywords_of

__all__ = ["benchmark_send"]

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

    def benchmark_send(
        receivers: Iterable[Callable[..., Any]], /, sender: object = None, **named: Any
    ) -> list[tuple[Any, Any]]:
        receivers = list(receivers)
        signal = Signal()
        for i, receiver in enumerate(receivers):
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
            loops.append(_bench.loop(_written(arguments), f"receivers_{i}"))
        by_hand = "\n".join(["responses = []", *loops])

        _measure.function(by_hand, names)()  # what a receiver raises, a send would only log
        responses: list[tuple[Any, Any]] = benchmark(_measure.function(f"return {send}", names))
        if benchmark.enabled:
            runs = {"by_hand": _measure.run(by_hand, names), "send": _measure.run(send, names)}
            [ns] = _measure.races([runs], SECONDS)
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
