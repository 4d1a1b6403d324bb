"""The receivers that are sent to: every shape of them, each with a code object of its own."""

from __future__ import annotations

from functools import cache, wraps
from types import FunctionType
from typing import Any

_PARAMETERS = "sender=None, task_id=None, task=None, args=None, kwargs=None, **kw"

_SOURCES = {
    "named, **kw": f"def receiver({_PARAMETERS}): pass",
    "sender, **kwargs": "def receiver(sender, **kwargs): pass",
    "**kwargs": "def receiver(**kwargs): pass",
    "bound method": f"""
class Owner:
    def method(self, {_PARAMETERS}): pass
receiver = Owner().method
""",
    "functools.wraps": f"""
def decorate(function):
    @wraps(function)
    def receiver(*args, **kwargs):
        return function(*args, **kwargs)
    return receiver
@decorate
def receiver({_PARAMETERS}): pass
""",
    "callable object": f"""
class Callable:
    def __call__(self, {_PARAMETERS}): pass
receiver = Callable()
""",
    "trimmed": "def receiver(task_id, task): pass",
    "raises": f"def receiver({_PARAMETERS}): raise ValueError('as always')",
}

NAMED, TRIMMED, RAISES = "named, **kw", "trimmed", "raises"

SHAPES = [shape for shape in _SOURCES if shape not in (TRIMMED, RAISES)]
"""The shapes of receiver that every signal library of this kind takes."""

COUNTS = [0, 1, 3, 10, 100]
"""So many receivers are sent to."""


@cache
def receivers(shape: str, count: int) -> list[Any]:
    """Return receivers of a shape, always the same ones, compiled one by one.

    Each has a code object of its own: a loop over a single one would flatter the interpreter.
    """
    return [_receiver(_SOURCES[shape]) for _ in range(count)]


def _receiver(source: str) -> Any:
    scope = {"wraps": wraps}
    exec(source, scope)
    return scope["receiver"]


def alike(count: int) -> list[Any]:
    """Return new receivers that share a code object, for where their being called matters not."""
    code = _receiver(_SOURCES[NAMED]).__code__
    return [FunctionType(code, {}) for _ in range(count)]
