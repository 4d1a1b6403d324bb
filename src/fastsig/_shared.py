"""What both cores share: everything about a signal that is off the path of a send.

The table of connections is a list that anybody may change (`Table`).  Its entries are
``((receiver key, sender key), reference)``; `key` makes the keys and `reference` the references.
`plan` works out how a receiver takes the arguments of one call shape.
"""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType
from weakref import ReferenceType, ref

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType
    from typing import Any, Final

ANY: Final = id(None)
"""The sender key of a connection that takes every sender."""

VARKEYWORDS: Final = 0x08  # inspect.CO_VARKEYWORDS, without the cost of importing inspect


class Table(list[object]):
    """The connections of a signal, in order: a list that tells when it is changed from outside."""

    __slots__ = ("changed",)

    def __init__(self, changed: Callable[[], object], entries: Iterable[Any] = ()) -> None:
        super().__init__(entries)
        self.changed = changed


def _telling(name: str) -> Callable[..., Any]:
    method = getattr(list, name)

    def change(self: Table, *args: Any, **kwargs: Any) -> Any:
        self.changed()  # for an exception that comes between the change and telling of it
        try:
            return method(self, *args, **kwargs)
        finally:
            self.changed()

    change.__name__, change.__doc__ = name, method.__doc__
    return change


for _name in (
    *("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"),
    *("__delitem__", "__iadd__", "__imul__", "__setitem__"),
):
    setattr(Table, _name, _telling(_name))


class MethodReference(ref[object]):
    """A weak reference to a bound method: dead when its object is, or the function itself."""

    __slots__ = ("function",)

    function: ReferenceType[Any]

    def __new__(cls, method: MethodType, callback: Callable[[Any], object]) -> MethodReference:
        self = super().__new__(cls, method.__self__, callback)
        self.function = ref(method.__func__, callback)
        return self

    def __init__(self, method: MethodType, callback: Callable[[Any], object]) -> None:
        super().__init__(method.__self__, callback)  # type: ignore[call-arg]

    def __call__(self) -> Any:
        owner, function = super().__call__(), self.function()
        return None if owner is None or function is None else MethodType(function, owner)


def target(proxy: object) -> object:
    """Return what a proxy (Celery's ``Proxy``, werkzeug's ``LocalProxy``) stands for.

    Anything else is returned as it is.
    """
    if hasattr(type(proxy), "_get_current_object"):
        return proxy._get_current_object()  # type: ignore[attr-defined]
    return proxy


def key(thing: object) -> object:
    """Return what a receiver or a sender is known by in the table.

    It is the value of a str or bytes, ``(id(__self__), id(__func__))`` of a bound method, and
    the `id` of everything else; a proxy has the key of its target.
    """
    # By type, not by isinstance: a thing (a Mock with a spec) may lie about its class.
    kind = type(thing)
    if kind is FunctionType or thing is None:
        return id(thing)
    if kind is MethodType:
        return (id(thing.__self__), id(thing.__func__))  # type: ignore[attr-defined]
    if hasattr(kind, "_get_current_object"):
        thing = target(thing)
        return key(thing) if not hasattr(type(thing), "_get_current_object") else id(thing)
    if issubclass(kind, str):
        return str.__str__(thing)
    if issubclass(kind, bytes):
        return bytes(memoryview(thing))  # type: ignore[arg-type]
    return id(thing)


def reference(thing: object, callback: Callable[[Any], object]) -> ReferenceType[Any]:
    """Return a weak reference to `thing`, which calls `callback` when it dies.

    Raises:
        TypeError: `thing` cannot be weakly referenced.
    """
    if type(thing) is MethodType:
        return MethodReference(thing, callback)
    return ref(thing, callback)


def holder(sender: object, callback: Callable[[Any], object]) -> object:
    """Return what keeps a sender's key its own.

    That is a weak reference; where there can be none a tuple of the sender, which lives on; for
    a sender that is known by its value, None.
    """
    if sender is None:
        return None
    sender = target(sender)
    if issubclass(type(sender), (str, bytes)):
        return None
    try:
        return reference(sender, callback)
    except TypeError:
        return (sender,)  # which is no weak reference, even if the sender is one


def dead(reference: object) -> bool:
    """Tell whether `reference` is a weak reference whose target is gone."""
    return issubclass(type(reference), ReferenceType) and reference() is None  # type: ignore[operator]


# The kinds of receiver that a call plan tells apart.
OTHER, FUNCTION, METHOD, OBJECT = range(4)


def function_of(receiver: object) -> tuple[int, FunctionType | None]:
    """Return the kind of a receiver, and the plain function that runs when it is called."""
    function: object
    if type(receiver) is FunctionType:
        return FUNCTION, receiver
    if type(receiver) is MethodType:
        function = receiver.__func__
        return (METHOD, function) if type(function) is FunctionType else (OTHER, None)
    for base in type(receiver).__mro__:
        if base is type or base is partial:  # written in Python on PyPy, for any arguments
            return OTHER, None
        function = base.__dict__.get("__call__")
        if function is not None:
            return (OBJECT, function) if type(function) is FunctionType else (OTHER, None)
    return OTHER, None


def keywords_of(receiver: object) -> set[str] | None:
    """Return the names that `receiver` takes by keyword, None if it takes any.

    A callable that does not tell takes any.
    """
    from inspect import Parameter, signature  # slow to import, seldom needed

    try:
        parameters = signature(receiver).parameters.values()  # type: ignore[arg-type]
    except (MemoryError, RecursionError):
        raise  # it may tell the next time
    except Exception:
        return None
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return {parameter.name for parameter in parameters if parameter.kind in by_name}


def plan(
    receiver: object, names: tuple[str, ...]
) -> tuple[int, CodeType | None, tuple[int, ...], tuple[int, ...]]:
    """Work out how `receiver` takes arguments of these names.

    Returns:
        ``(kind, code, positional, keywords)``: the kind of receiver, the code object for which
        the plan holds, and which of `names` go by position, and by keyword, as indexes.  A plain
        function gets by position the longest run of leading parameters that are all there: that
        binds the same as by keyword, and faster.  What a receiver has no name for is dropped,
        unless it takes ``**kwargs``.
    """
    kind, function = function_of(receiver)
    everything = tuple(range(len(names)))
    if function is None:
        accepted = keywords_of(receiver)
        chosen = (i for i in everything if accepted is None or names[i] in accepted)
        return kind, None, (), tuple(chosen)

    code = function.__code__
    if getattr(function, "_retries", None) is code:  # not something that `functools.wraps` made
        _, _, positionally, by_keyword = plan(function.__wrapped__, names)  # type: ignore[attr-defined]
        return kind, code, (), tuple(sorted(positionally + by_keyword))
    bound = kind != FUNCTION
    count = code.co_argcount
    named = code.co_varnames[max(bound, code.co_posonlyargcount) : count]
    only = code.co_varnames[count : count + code.co_kwonlyargcount]
    if not code.co_flags & VARKEYWORDS:
        accepted = {*named, *only}
    elif hasattr(function, "__signature__"):
        accepted = keywords_of(receiver)
    else:
        accepted = None

    positional: list[int] = []
    if code.co_posonlyargcount <= bound:
        for name in named:
            if name not in names or (accepted is not None and name not in accepted):
                break
            positional.append(names.index(name))
    left = (i for i in everything if i not in positional)
    keywords = (i for i in left if accepted is None or names[i] in accepted)
    return kind, code, tuple(positional), tuple(keywords)
