"""Django's signals on fastsig's engine.

Put ``"fastsig.django"`` into ``INSTALLED_APPS``, or call `install`.  ``docs/django.md`` lists the
differences from Django.  `connect` and `receiver` have options that Django's versions do not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsig.django.face import install, installed, uninstall

if TYPE_CHECKING:
    from fastsig.django.extras import connect, connected, connections, disconnect, receiver

__all__ = [
    "connect",
    "connected",
    "connections",
    "disconnect",
    "install",
    "installed",
    "receiver",
    "uninstall",
]


def __getattr__(name: str) -> Any:
    """Import what needs Django's models when it is needed."""
    if name in __all__:
        from fastsig.django import extras

        return getattr(extras, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
