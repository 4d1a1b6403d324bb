"""The receivers that are sent to: every shape of them, each with a code object of its own."""

from __future__ import annotations

from functools import cache, wraps
from types import FunctionType
from typing import Any

from fastsig._bench import PARAMETERS, receiver

_SOURCES = {
    "named, **kw": f"def receiver({PARAMETERS}): pass",
    "sender, **kwargs": "def receiver(sender, **kwargs): pass",
    "**kwargs": "def receiver(**kwargs): pass",
    "bound method": f"""
class Owner:
    def method(self, {PARAMETERS}): pass
receiver = Owner().method
""",
    "functools.wraps": f"""
def decorate(function):
    @wraps(function)
    def receiver(*args, **kwargs):
        return function(*args, **kwargs)
    return receiver
@decorate
def receiver({PARAMETERS}): pass
""",
    "callable object": f"""
class Callable:
    def __call__(self, {PARAMETERS}): pass
receiver = Callable()
""",
    "trimmed": "def receiver(task_id, task): pass",
    "raises": f"def receiver({PARAMETERS}): raise ValueError('as always')",
}

NAMED, TRIMMED, RAISES = "named, **kw", "trimmed", "raises"

SHAPES = [shape for shape in _SOURCES if shape not in (TRIMMED, RAISES)]
"""The shapes of receiver that every signal library of this kind takes."""


@cache
def receivers(shape: str, count: int) -> list[Any]:
    """Return receivers of a shape, always the same ones, compiled one by one."""
    return [receiver(_SOURCES[shape], wraps=wraps) for _ in range(count)]


def alike(count: int) -> list[Any]:
    """Return new receivers that share a code object, for where their being called matters not."""
    code = receiver(_SOURCES[NAMED]).__code__
    return [FunctionType(code, {}) for _ in range(count)]
