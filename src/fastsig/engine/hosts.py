"""The hosts whose signals run on engines, and what their faces share."""

from __future__ import annotations

from types import BuiltinMethodType

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


def bind(function: Any, signal: Any) -> Any:
    """Return what an attribute of its class is to a signal: a method, if it is a function."""
    return function.__get__(signal, type(signal)) if hasattr(function, "__get__") else function


def is_send_of(send: Any, engine: Any) -> bool:
    """Return whether `send` is the bound method of an engine."""
    return type(send) is BuiltinMethodType and send.__self__ is engine


def unpatch(kind: Any, patches: dict[str, Any], stock: dict[str, Any]) -> None:
    """Put a host's own attributes back into its class, where the patches are still in place."""
    for name, function in patches.items():
        if vars(kind).get(name) is function:
            if name in stock:
                setattr(kind, name, stock[name])
            else:
                delattr(kind, name)
