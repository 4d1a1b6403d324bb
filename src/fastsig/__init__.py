"""Fast signals, and a drop-in replacement for Celery's.

>>> from fastsig import Signal
>>> saved = Signal(name="saved")
>>> @saved.connect
... def on_saved(sender, pk):
...     return pk
>>> saved.send("article", pk=7)  # doctest: +ELLIPSIS
[(<function on_saved at ...>, 7)]

Celery's signals are in `fastsig.signals`.
"""

from fastsig.advice import SignalWarning
from fastsig.engine import compiled
from fastsig.signal import Signal, receiver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastsig.seen import explain_any as explain
    from fastsig.standins import Retry
    from fastsig.watching import muted, observe, recorded

__all__ = [
    "Retry",
    "Signal",
    "SignalWarning",
    "__version__",
    "compiled",
    "explain",
    "muted",
    "observe",
    "receiver",
    "recorded",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import rarely needed names on first use, so that importing fastsig stays fast."""
    if name == "explain":
        from fastsig.seen import explain_any

        return explain_any
    if name == "Retry":
        from fastsig.standins import Retry

        return Retry
    if name in ("muted", "observe", "recorded"):
        from fastsig import watching

        return getattr(watching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _watch_slow() -> None:
    from os import environ

    value = environ.get("FASTSIG_SLOW")
    if not value:
        return
    try:
        seconds = float(value)
        if not seconds >= 0:
            raise ValueError
    except ValueError:
        raise ValueError(f"FASTSIG_SLOW must be a number of seconds, not {value!r}") from None
    from fastsig.watching import log_slow

    log_slow(seconds)


_watch_slow()
