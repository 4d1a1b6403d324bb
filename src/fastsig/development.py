"""Warnings of the development mode: ``-X dev`` or ``FASTSIG_DEBUG=1``.

In this mode each call of a receiver goes through `note_call` (see
`fastsig.engine.Policy.unplanned`), which is slower.  It sees each receiver and its response.
"""

from __future__ import annotations

import sys
import warnings
from types import CoroutineType, MethodType
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakMethod, ref

from fastsig.advice import SignalWarning, describe, find_caller, unwrap
from fastsig.engine import make_key

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["forget_connection", "note_call", "watch_connection"]

records: dict[tuple[int, Any], Record] = {}
"""Weak connections that were not called yet, by the `id` of the engine and the receiver key."""


class Record:
    """A weak connection whose receiver has not been called yet."""

    def __init__(self, signal: Any, engine: Any, receiver: Any, frame: Any) -> None:
        self.key = id(engine), make_key(receiver)
        self.signal = ref(signal)
        self.name, self.of = describe(receiver), getattr(signal, "name", None)
        self.path, self.line = frame.f_code.co_filename, frame.f_lineno
        self.module = frame.f_globals.get("__name__", "<unknown>")
        self.reference: ReferenceType[Any]
        if type(receiver) is MethodType:
            self.reference = WeakMethod(receiver, self.warn)
        else:
            self.reference = ref(receiver, self.warn)

    def warn(
        self,
        reference: Any,
        records: dict[tuple[int, Any], Record] = records,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        """Warn that the receiver died, at the line that connected it."""
        # What a module names may be gone before the last callback at exit: hence the defaults.
        if records.get(self.key) is not self or records.pop(self.key, None) is None:
            return
        if self.signal() is None or is_finalizing():
            return
        text = (
            f"{self.name} died before {self.of or 'the signal'} called it for the first time,"
            " because nothing referred to it: keep a reference, or connect it with weak=False"
        )
        warnings.warn_explicit(text, SignalWarning, self.path, self.line, self.module)


def watch_connection(signal: Any, engine: Any, receiver: Any) -> None:
    """Warn if a receiver that is connected weakly dies before it is called."""
    _, frame = find_caller()
    if frame is None:
        return
    try:
        record = Record(signal, engine, receiver, frame)
    except TypeError:  # it cannot be weakly referenced, so the signal keeps it alive
        return
    records[record.key] = record


def forget_connection(engine: Any, receiver: Any) -> None:
    """Stop watching a receiver, because it was called or disconnected."""
    records.pop((id(engine), make_key(receiver)), None)


def note_call(signal: Any, receiver: Any, response: Any) -> Any:
    """Check the response of a receiver, and return it."""
    if type(response) is CoroutineType:
        key, code = id(response), response.cr_code
        text = (
            f"{describe(unwrap(receiver))} returned the coroutine {response.__qualname__!r} to"
            f" {getattr(signal, 'name', None) or 'a signal'}, which nobody awaited"
        )

        def note_end(reference: Any) -> None:
            coroutines.discard(reference)
            if len(ending) > MOST:
                ending.clear()
            ending[key] = code, text

        ending.pop(key, None)
        coroutines.add(ref(response, note_end))
    return response


coroutines: set[ReferenceType[Any]] = set()
"""References to the coroutines that receivers returned."""

ending: dict[int, tuple[Any, str]] = {}
"""By id, the code of coroutines that ended, and the warning if they were not awaited."""

MOST = 1000

warn_of_coroutine = getattr(warnings, "_warn_unawaited_coroutine", None)


def warn_unawaited(coroutine: Any) -> None:
    """Warn of a coroutine that nobody awaited; CPython calls this before it frees the coroutine."""
    code, text = ending.pop(id(coroutine), (None, ""))
    if code is not None and code is coroutine.cr_code:
        path, line = code.co_filename, code.co_firstlineno
        warnings.warn_explicit(text, SignalWarning, path, line)
    warn_of_coroutine(coroutine)  # type: ignore[misc]


if warn_of_coroutine is not None:
    warnings._warn_unawaited_coroutine = warn_unawaited  # type: ignore[attr-defined]
