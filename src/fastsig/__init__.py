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

from fastsig.signal import Signal, compiled, receiver

__all__ = ["Signal", "__version__", "compiled", "receiver"]

__version__ = "0.1.0"
