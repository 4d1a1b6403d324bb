"""The hosts whose signals run on engines."""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

hosts: list[tuple[type, Callable[[Any], Any]]] = []
"""For each host ``(class, adopt)``; see `register_host`."""


def register_host(kind: type, adopt: Callable[[Any], Any]) -> None:
    """Let signals of a class send through an engine once `class_send` is its `send`.

    Arguments:
        kind: The class of the host's signals.
        adopt: Called with a signal; returns its engine, or what to call with the arguments of the
            send.
    """
    hosts.append((kind, adopt))


def adopt(signal: Any) -> Any:
    """Return the engine of a signal that has none yet, or what sends it."""
    for kind, adopt_signal in hosts:
        if isinstance(signal, kind):
            return adopt_signal(signal)
    return hosts[0][1](signal)  # something that is only like a signal
