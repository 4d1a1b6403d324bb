"""The engine: the connections of a signal, and the send that calls its receivers.

It knows no host and has no policy and no logging; a face (`fastsig.signal`, `fastsig.celery`) is
the API of a host over it.  Read `table` for WHO is called, `plans` for HOW a receiver takes its
arguments, and ``send.pyx`` for THE SEND; ``send_py.py`` is the same send in plain Python.
"""

from __future__ import annotations

from fastsig.engine.policy import Policy
from fastsig.engine.switches import switch

__all__ = [
    "Engine",
    "Policy",
    "RobustEngine",
    "Subclasses",
    "Table",
    "class_send",
    "class_send_robust",
    "compiled",
    "find_engine",
    "is_class_key",
    "is_dead",
    "list_engines",
    "make_key",
    "make_label",
    "make_receiver_key",
    "make_reference",
    "make_table",
    "quick_send",
    "register_host",
    "resolve",
    "resolve_proxy",
    "watch_new",
]

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from typing import Any

compiled: bool
"""Whether signals run on the compiled engine."""

_off = switch("FASTSIG_NO_EXTENSIONS")
_required = switch("FASTSIG_REQUIRE_EXTENSIONS")
if _off and _required:
    raise ValueError("FASTSIG_NO_EXTENSIONS and FASTSIG_REQUIRE_EXTENSIONS contradict each other")

if TYPE_CHECKING or _off:
    compiled = False
else:
    try:
        from fastsig.engine._compiled import send, table

        compiled = True
    except ImportError:
        if _required:
            raise
        compiled = False

if TYPE_CHECKING or not compiled:
    from fastsig.engine import send_py as send
    from fastsig.engine import table

Engine = send.Engine  # one by one: so they are types
RobustEngine = send.RobustEngine
class_send = send.class_send
class_send_robust = send.class_send_robust
quick_send = send.quick_send
register_host = send.hosts.register_host
Subclasses, Table = table.Subclasses, table.Table
is_class_key, is_dead = table.is_class_key, table.is_dead
make_label, make_reference = table.make_label, table.make_reference
make_receiver_key, make_table = table.make_receiver_key, table.make_table
make_key, resolve, resolve_proxy = table.make_key, table.resolve, table.resolve_proxy
list_engines, watch_new = table.list_engines, table.watch_new


def find_engine(signal: Any) -> Engine | None:
    """Return the engine of a signal of whatever host, None if it has none: see `register_host`."""
    if issubclass(type(signal), Engine):
        return signal  # type: ignore[no-any-return]
    for kind, adopt in send.hosts.hosts:
        if issubclass(type(signal), kind):
            engine = adopt(signal)
            return engine if issubclass(type(engine), Engine) else None
    return None
