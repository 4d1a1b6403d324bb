"""Find problems of a connection, and say what to write instead.

`find_problems` compares a receiver and its senders with `fastsig.catalog`.  `connect` warns of the
problems, and ``python -m fastsig check`` lists them.
"""

from __future__ import annotations

import sys
import warnings
from types import FunctionType, ModuleType

from fastsig.catalog import SENDERS, find_entry
from fastsig.engine import Subclasses, resolve_proxy
from fastsig.engine.plans import FUNCTION, VARARGS, VARKEYWORDS, function_of
from fastsig.engine.switches import switch
from fastsig.senders import is_task

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType
    from typing import Any

    from fastsig.catalog import Entry

__all__ = [
    "SignalWarning",
    "find_caller",
    "find_problems",
    "find_unsent",
    "warn_of_no_sender",
    "warn_of_problems",
]

DEVELOPING = switch("FASTSIG_DEBUG", default=sys.flags.dev_mode)
"""Development mode: ``-X dev`` or ``FASTSIG_DEBUG=1``."""

COROUTINE, ASYNC_GENERATOR = 0x80, 0x200  # flags of code objects

INSTEAD = {
    "name": {
        "task": "sender is the task's name",
        "name": "sender is the task's name",
        "task_name": "sender is the task's name",
        "task_id": "take headers['id']",
        "id": "take headers['id']",
        "args": "take body[0]",
        "kwargs": "take body[1]",
    },
    "task": {
        "task": "sender is the task",
        "name": "take sender.name",
        "task_name": "take sender.name",
        "task_id": "take sender.request.id",
        "id": "take sender.request.id",
        "args": "take sender.request.args",
        "kwargs": "take sender.request.kwargs",
        "request": "take sender.request",
    },
    "consumer": {
        "task": "take request.task",
        "name": "take request.name",
        "task_name": "take request.name",
        "task_id": "take request.id",
        "id": "take request.id",
        "args": "take request.args",
        "kwargs": "take request.kwargs",
    },
    "hostname": {"hostname": "sender is the host name", "worker": "take instance"},
    "worker": {"worker": "sender is the worker", "instance": "sender is the worker"},
    "app": {"app": "sender is the app"},
}
"""Where to find a value that a signal does not send under this name, by the kind of its sender."""

SYNONYMS = {
    "result": "retval",
    "retval": "result",
    "exc": "exception",
    "exception": "exc",
    "reason": "exception",
    "tb": "traceback",
    "id": "task_id",
    "name": "task",
    "task_name": "task",
    "exit_code": "exitcode",
}

LOOK = {
    "task_received": "request.name",
    "task_rejected": "message",
    "task_unknown": "name",
    "worker_ready": "sender.hostname",
    "worker_init": "sender.hostname",
    "worker_shutdown": "sender.hostname",
    "import_modules": "sender.main",
    "user_preload_options": "sender.__name__",
}
"""The argument to check if a signal cannot be filtered by its sender."""


class SignalWarning(UserWarning):
    """A receiver was connected that can never be called, or will fail or misbehave when it is."""


def warn_of_problems(signal: Any, receiver: Any, senders: Iterable[Any]) -> None:
    """Warn of the problems of a new connection, at the line that connects.

    Arguments:
        signal: The signal.
        receiver: The receiver.
        senders: Its senders, as `fastsig.senders.list_senders` returns them.
    """
    for kind, text in find_problems(signal, receiver, senders):
        if kind == "never" or DEVELOPING:
            level, _ = find_caller()
            if level:
                warnings.warn(text, SignalWarning, stacklevel=level)


def warn_of_no_sender(signal: Any, receiver: Any) -> None:
    """Warn that `senders` was empty, at the line that connects."""
    level, _ = find_caller()
    name = getattr(signal, "name", None) or "the signal"
    text = f"{describe(receiver)}: senders is empty, so {name} never calls it"
    warnings.warn(text, SignalWarning, stacklevel=level)


def find_caller() -> tuple[int, FrameType | None]:
    """Return the `stacklevel` and the frame of the code outside fastsig that called the caller.

    Return ``(0, None)`` if a proxy has just been evaluated and now makes a connection that was
    requested, and checked, earlier.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and is_inside(str(frame.f_globals.get("__name__"))):
        if frame.f_code.co_name == "_connect_proxy":
            return 0, None
        frame = frame.f_back
        level += 1
    return level, frame


def is_inside(module: str) -> bool:
    """Return whether a module is fastsig's, or one of Celery's through which it connects."""
    return module.partition(".")[0] == "fastsig" or module in PASSED


PASSED = "celery.local", "celery.utils.dispatch.signal"


def find_problems(
    signal: Any, receiver: Any, senders: Iterable[Any] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the problems of a connection to a signal of Celery's, as ``(kind, text)``.

    The kind is "never" if the receiver can never be called or always fails; otherwise "hint".
    """
    entry = find_entry(signal)
    if entry is None:
        return
    name = describe(receiver)
    if is_async(receiver):
        yield (
            "never",
            f"{name} is a coroutine function, but {signal.name} does not await its receivers:"
            " write `def`, and run the coroutine in it, for example with asyncio.run()",
        )
    for parameter in list_positional(receiver):
        yield "never", f"{name}: {parameter!r} is positional only, and what is sent has names"
    for kind, parameter, text in find_unsent(entry, receiver):
        more = "" if kind == "never" else f": {parameter!r} always has its default"
        yield kind, f"{name}: {signal.name} sends no {parameter!r}{more}{text}"
    for sender in senders:
        text = find_mismatch(signal, entry, sender)
        if text:
            yield "never", f"{name}: {text}"


def describe(receiver: Any) -> str:
    """Return the name of a receiver; for a function, with its parameters."""
    receiver = resolve_proxy(receiver)
    kind, function = function_of(unwrap(receiver))
    if is_task(receiver):
        return f"task {receiver.name!r}"
    if getattr(type(receiver), "_fastsig_kept", False):  # what `queued` returns
        return repr(receiver)
    if function is None:
        return f"{getattr(receiver, '__qualname__', type(receiver).__qualname__)}"
    code = function.__code__
    named = code.co_argcount + code.co_kwonlyargcount
    parameters = [*code.co_varnames[kind != FUNCTION : named]]
    if code.co_flags & VARARGS:
        parameters.append(f"*{code.co_varnames[named]}")
    if code.co_flags & VARKEYWORDS:
        parameters.append(f"**{code.co_varnames[named + bool(code.co_flags & VARARGS)]}")
    name = function.__qualname__.rpartition("<locals>.")[2]
    return f"{name}({', '.join(parameters)})"


def unwrap(receiver: Any) -> Any:
    """Return the receiver inside of a wrapper that fastsig made, as for ``retry``."""
    while type(receiver) is FunctionType:
        if getattr(receiver, "_retries", None) is receiver.__code__:
            receiver = receiver.__wrapped__  # type: ignore[attr-defined]
        elif "_fastsig_original" in vars(receiver):  # of `fastsig.django.connect`
            return vars(receiver)["_fastsig_original"]() or receiver
        else:
            break
    return receiver


def is_async(receiver: Any) -> bool:
    """Return whether calling the receiver only makes a coroutine or an async generator."""
    _, function = function_of(unwrap(receiver))
    return function is not None and bool(function.__code__.co_flags & (COROUTINE | ASYNC_GENERATOR))


def read_parameters(receiver: Any) -> tuple[list[str], list[str]]:
    """Return the names of the required parameters of a receiver, and of those with a default."""
    receiver = resolve_proxy(receiver)
    receiver = unwrap(receiver.run if is_task(receiver) else receiver)
    kind, function = function_of(receiver)
    if function is not None:
        code = function.__code__
        names, count = code.co_varnames, code.co_argcount
        first = int(kind != FUNCTION)
        split = max(first, count - len(function.__defaults__ or ()))
        with_default = function.__kwdefaults__ or {}
        only = names[count : count + code.co_kwonlyargcount]
        required = [*names[first:split], *(name for name in only if name not in with_default)]
        return required, [*names[split:count], *(name for name in only if name in with_default)]
    from inspect import Parameter, signature  # slow to import, rarely needed

    try:
        parameters = list(signature(receiver).parameters.values())
    except Exception:
        return [], []
    several = Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD
    parameters = [each for each in parameters if each.kind not in several]
    return (
        [each.name for each in parameters if each.default is Parameter.empty],
        [each.name for each in parameters if each.default is not Parameter.empty],
    )


def list_positional(receiver: Any) -> list[str]:
    """Return the parameters that a receiver requires and does not take by keyword."""
    kind, function = function_of(unwrap(resolve_proxy(receiver)))
    if function is None:
        return []
    code = function.__code__
    end = min(code.co_posonlyargcount, code.co_argcount - len(function.__defaults__ or ()))
    return [*code.co_varnames[int(kind != FUNCTION) : end]]


def find_unsent(entry: Entry, receiver: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the parameters that a signal never sends, as ``(kind, name, advice)``."""
    sent = {"signal", "sender", *entry.list_sent()}
    required, optional = read_parameters(receiver)
    for kind, names in (("never", required), ("hint", optional)):
        for name in names:
            if name not in sent:
                since = entry.since.get(name)
                if since:
                    text = f" before Celery {since[0]}.{since[1]}"
                else:
                    text = suggest(entry, name, sent)
                yield kind, name, text


def suggest(entry: Entry, name: str, sent: set[str]) -> str:
    """Return the end of a message: what to write instead of a parameter that is not sent."""
    from difflib import get_close_matches

    others = sorted(sent - {"signal"})
    if name in ("self", "cls"):
        return "; connect the method of an object, as in connect(it.method)"
    if SYNONYMS.get(name) in sent:
        return f"; did you mean {SYNONYMS[name]!r}?"
    instead = INSTEAD.get(entry.sender, {}).get(name)
    if instead:
        return f"; {instead}"
    close = get_close_matches(name, others, 1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; it sends {', '.join(others)}"


def find_mismatch(  # noqa: PLR0911
    signal: Any, entry: Entry, sender: Any
) -> str:
    """Return why a sender can never match; "" if it may."""
    if sender is None:
        return ""
    kind = entry.get_sender()
    told = f"sender={show(sender)} never matches: the sender of {signal.name} is {SENDERS[kind]}"
    look = LOOK.get(signal.name)
    instead = f"; check {look} instead" if look else ""
    if issubclass(type(sender), (list, tuple, set, frozenset)):
        return f"{told}; for several, write senders="
    if type(sender) is Subclasses:
        return f"{told}{instead}" if kind in ("name", "hostname", "none") else ""
    task = hasattr(type(sender), "__then__") or is_task(resolve_proxy(sender))
    text = issubclass(type(sender), str)  # isinstance would evaluate a proxy
    a_class = issubclass(type(sender), type)
    function = type(sender) is FunctionType
    if kind in ("task", "name"):
        if a_class and kind == "task":
            return f"{told}; to match the tasks of a class, add subclasses=True"
        if function:
            return f"{told}; this is a plain function"
        if hasattr(type(sender), "gen_task_name"):  # an app
            more = "; for its tasks, write sender=app.Task, subclasses=True"
            return f"{told}{more}" if kind == "task" else told
        return (
            told
            if a_class or issubclass(type(sender), (bytes, int, float, dict, ModuleType))
            else ""
        )
    if kind == "hostname":
        if text and "@" in sender:
            return ""
        return told if text or task or a_class or function else ""
    if kind == "none":
        if entry.sender_since > (0, 0):
            return f"{told} before Celery {entry.sender_since[0]}.{entry.sender_since[1]}"
        return f"{told}; leave it out"
    if task or text or function:
        return f"{told}{instead}"
    return ""


def show(sender: Any) -> str:
    """Return the text for a sender in a message."""
    if type(sender) is Subclasses:
        return f"{sender.base.__qualname__}, subclasses=True"
    if hasattr(type(sender), "__then__") and not sender.__evaluated__():
        return "a task"
    try:
        if is_task(target := resolve_proxy(sender)):
            return f"<task {target.name!r}>"
        return repr(sender)
    except Exception:
        return object.__repr__(sender)
