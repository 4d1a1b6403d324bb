"""The receivers that are sent to: every shape of them, each with a code object of its own."""

from __future__ import annotations

from functools import cache, wraps
from types import FunctionType
from typing import Any

from fastsig.command.bench import KINDS, PARAMETERS, receiver

_SOURCES = {
    "named, **kw": f"def receiver({PARAMETERS}): BODY",
    "sender, **kwargs": "def receiver(sender, **kw): BODY",
    "**kwargs": "def receiver(**kw): BODY",
    "bound method": f"""
class Owner:
    def method(self, {PARAMETERS}): BODY
receiver = Owner().method
""",
    "functools.wraps": f"""
def decorate(function):
    @wraps(function)
    def receiver(WRAPPED
    return receiver
@decorate
def receiver({PARAMETERS}): BODY
""",
    "callable object": f"""
class Callable:
    def __call__(self, {PARAMETERS}): BODY
receiver = Callable()
""",
    "trimmed": "def receiver(task_id, task): pass",
    "raises": f"def receiver({PARAMETERS}): raise ValueError('as always')",
}

_WRAPPED = {
    False: "sender, task_id, *args, **kw): return function(sender, task_id)",
    True: "*args, **kw): return function(*args, **kw)",
}
"""A wrapper that passes its ``**kw`` on reads it."""

NAMED, TRIMMED, RAISES = "named, **kw", "trimmed", "raises"

SHAPES = [shape for shape in _SOURCES if shape not in (TRIMMED, RAISES)]
"""The shapes of receiver that every signal library of this kind takes, each of both kinds."""


@cache
def receivers(shape: str, count: int, reads: bool = False) -> list[Any]:
    """Return receivers of a shape, always the same ones, compiled one by one.

    Arguments:
        shape: One of `SHAPES`, `TRIMMED` or `RAISES`.
        count: How many.
        reads: Whether they read their ``**kw``: what a receiver does not read, fastsig does not
            pass.
    """
    source = _SOURCES[shape].replace("BODY", KINDS[reads]).replace("WRAPPED", _WRAPPED[reads])
    return [receiver(source, wraps=wraps) for _ in range(count)]


def alike(count: int) -> list[Any]:
    """Return new receivers that share a code object, for where their being called matters not."""
    [one] = receivers(NAMED, 1)
    code = one.__code__
    return [FunctionType(code, {}) for _ in range(count)]
