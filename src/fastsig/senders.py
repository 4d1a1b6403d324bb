"""Interpret senders: a task by its name, several senders, a class with its subclasses.

This module recognizes tasks by their attributes, and does not import Celery.
"""

from __future__ import annotations

import sys
from types import FunctionType

from fastsig.engine import Subclasses

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def is_task(thing: Any) -> bool:
    """Return whether something looks like a task of Celery's."""
    return hasattr(type(thing), "__trace__") and hasattr(type(thing), "apply_async")


def find_names(sender: Any) -> tuple[str, ...]:
    """Return the names of a task; an empty tuple for anything else."""
    if not is_task(sender):
        return ()
    name = sender.name
    if type(name) is not str:
        return ()
    kind = type(sender)
    if kind.__module__ == "__main__":  # see `find_shared_name`
        return name, f"__main__.{kind.__name__}"
    return (name,)


def find_shared_name(thing: Any) -> str | None:
    """Return the name of a shared task; None for anything else.

    A shared task is a proxy for a different task in each app.  It must not be evaluated here: if
    there is no app yet, that would create one.
    """
    local = sys.modules.get("celery.local")
    if local is None or type(thing) is not local.Proxy:
        return None
    find = object.__getattribute__(thing, "_Proxy__local")
    code = find.__code__ if type(find) is FunctionType else None
    if code is None or code.co_name != "task_by_cons":
        return None
    variables = dict(zip(code.co_freevars, find.__closure__ or (), strict=True))
    function = variables["fun"].cell_contents
    name: str | None = variables["name"].cell_contents
    if name:
        return name
    state = sys.modules["celery._state"]
    app = state._tls.current_app or state.default_app
    if app is not None:
        made: str = app.gen_task_name(function.__name__, function.__module__)
        return made
    return f"{function.__module__}.{function.__name__}"


def read_sender(sender: Any) -> Any:
    """Return the name of a shared task, and any other sender unchanged."""
    if sender is not None and hasattr(type(sender), "_get_current_object"):
        name = find_shared_name(sender)
        return sender if name is None else name
    return sender


def list_senders(
    sender: Any, senders: Iterable[Any] | None = None, subclasses: bool = False
) -> list[Any]:
    """Return the senders to connect for, in the form that the engine takes.

    Arguments:
        sender: The sender; None for any.
        senders: Several senders, instead of `sender`.
        subclasses: Whether a class also matches its subclasses, and the instances of them all.

    Raises:
        TypeError: Both are given, `senders` is a single sender, or `subclasses` is True and no
            sender is a class.
    """
    if senders is None:
        listed = [read_sender(sender)]
        if not subclasses:
            return listed
    else:
        if sender is not None:
            raise TypeError("connect() takes either sender or senders, not both")
        if isinstance(senders, (str, bytes)) or not hasattr(type(senders), "__iter__"):
            raise TypeError(
                f"senders must be an iterable of senders, got {type(senders).__name__!r}"
            )
        listed = [read_sender(each) for each in senders]
    if subclasses:
        found = [issubclass(type(each), type) for each in listed]
        if not any(found):
            raise TypeError(f"subclasses=True needs a class as the sender, got {listed!r}")
        listed = [
            Subclasses(each) if is_class else each
            for each, is_class in zip(listed, found, strict=True)
        ]
    return listed
