"""Signals that cost no more than the calls: a drop-in for Celery's signals with a C core.

>>> from fastsig import Signal
>>> saved = Signal(name="saved")
>>> @saved.connect
... def on_saved(sender, pk):
...     return pk
>>> saved.send("article", pk=7)  # doctest: +ELLIPSIS
[(<function on_saved at ...>, 7)]

The signals of Celery are in `fastsig.signals`.
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
    """Import what is seldom needed when it is."""
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
