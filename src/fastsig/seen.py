"""List the connections of a signal, and explain why a receiver is called or not.

`list_connections` and `explain` implement ``signal.connections()`` and ``signal.explain()`` for all
faces.  They read the table and the routes as a send does, and change nothing.
"""

from __future__ import annotations

import os
import sys
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ReferenceType

from fastsig.advice import describe, find_mismatch, find_problems, show, unwrap
from fastsig.catalog import PROCESSES, find_entry
from fastsig.engine import (
    Subclasses,
    find_engine,
    is_class_key,
    make_label,
    make_receiver_key,
    resolve,
    resolve_proxy,
)
from fastsig.engine.plans import function_of
from fastsig.senders import is_task, read_sender
from fastsig.signal import ANYONE

if TYPE_CHECKING:
    from collections.abc import Hashable

    from fastsig.catalog import Entry

__all__ = ["Connection", "UnknownSender", "explain", "list_connections"]


class Connection(NamedTuple):
    """A connection of a signal.

    Arguments:
        receiver: The receiver.
        sender: The sender that it is connected for; None for any.
        weak: Whether the signal holds it by a weak reference.
        dispatch_uid: Its `dispatch_uid`, or None.
        where: Where it is defined, as ``file:line``; "" if it is not written in Python.
        subclasses: Whether the subclasses of the sender match, too.
    """

    receiver: Any
    sender: Any
    weak: bool
    dispatch_uid: Hashable
    where: str
    subclasses: bool = False


class UnknownSender(NamedTuple):
    """Stands for a sender whose key alone is known, because other code made the table entry."""

    key: Any


def list_connections(engine: Any) -> list[Connection]:
    """Return the connections of an engine, in order."""
    found = []
    for entry in list(engine.receivers):
        (receiver_key, sender_key), reference = entry[0], entry[1]
        receiver = resolve(reference)
        if receiver is None:
            continue
        receiver = unwrap(receiver)
        sender, subclasses = find_sender(engine, sender_key)
        if type(sender) is UnknownSender:
            known = engine.get_policy().find_sender(entry)
            sender = sender if known is None else known
        found.append(
            Connection(
                receiver,
                sender,
                isinstance(reference, ReferenceType),
                None if is_own_key(receiver_key, receiver) else receiver_key,
                locate(receiver),
                subclasses,
            )
        )
    return found


def is_own_key(receiver_key: Any, receiver: Any) -> bool:
    """Return whether a key is the receiver's own, and not a `dispatch_uid`."""
    own = make_receiver_key(receiver)
    return type(receiver_key) is type(own) and bool(receiver_key == own)


def find_sender(engine: Any, sender_key: Any) -> tuple[Any, bool]:
    """Return the sender with this key, and whether its subclasses match."""
    if type(sender_key) is int and sender_key == id(None):
        return None, False
    if isinstance(sender_key, (str, bytes)):
        return sender_key, False
    holder = engine.find_holder(sender_key)
    sender = holder[0] if type(holder) is tuple else resolve(holder)
    return UnknownSender(sender_key) if sender is None else sender, is_class_key(sender_key)


def locate(receiver: Any) -> str:
    """Return where a receiver is defined, as ``file:line``; "" if that is not known."""
    receiver = resolve_proxy(receiver)
    if is_task(receiver):
        receiver = receiver.run
    for _ in range(20):
        inner = getattr(receiver, "__wrapped__", None) or getattr(receiver, "func", None)
        if not callable(inner):
            break
        receiver = inner
    _, function = function_of(receiver)
    return "" if function is None else locate_code(function.__code__)


def locate_code(code: CodeType) -> str:
    """Return where code is defined, as ``file:line``; see `locate_line`."""
    return locate_line(code.co_filename, code.co_firstlineno)


def locate_line(path: str, line: int) -> str:
    """Return ``file:line``, relative to the current folder if the file is below it."""
    here = os.path.join(os.getcwd(), "")
    return f"{path.removeprefix(here)}:{line}"


# Explaining


def explain(  # noqa: PLR0911
    signal: Any, engine: Any, receiver: Any, sender: Any = ANYONE
) -> str:
    """Explain whether a send would call a receiver, and why.

    Arguments:
        signal: The signal.
        engine: Its engine.
        receiver: The receiver, or its name.
        sender: The sender; if it is left out, any sender.

    Returns:
        Text of several lines.  The first begins with "called" or "not called: ".
    """
    name = receiver if isinstance(receiver, str) else describe(receiver)
    there = [each for each in list_connections(engine) if is_meant(receiver, each.receiver)]
    if not there:
        return f"not called: {explain_absence(engine, receiver, name)}"
    notes = [describe_connection(each) for each in there]
    entry = find_entry(signal)
    found = there[0].receiver
    only = [each for each in there if each.sender is not None]
    if entry is not None and entry.sender in ("task", "name"):
        notes += note_unknown_tasks(only)
    if sender is not ANYONE and not reaches(engine, sender, found):
        senders = ", ".join(show_sender(each) for each in only)
        notes += find_mismatches(signal, entry, only)
        return "\n".join(
            [
                f"not called: it is connected for other senders, not for {show(sender)}: {senders}",
                *notes,
            ]
        )
    if is_muted(engine, None if sender is ANYONE else sender, found):
        return "\n".join(["not called: it is muted here", *notes])
    if entry is not None:
        unmatched = find_mismatches(signal, entry, only)
        if unmatched and len(only) == len(there) == len(unmatched):
            return "\n".join([f"not called: {unmatched[0]}", *notes])
        elsewhere = find_elsewhere(signal, entry)
        if elsewhere:
            return "\n".join([f"not called: {elsewhere}", *notes])
        notes.append(f"{signal.name} is sent {PROCESSES[entry.process]}")
        if getattr(sys.modules.get("celery.signals"), signal.name, signal) is not signal:
            why = f"Celery is not adopted: it sends its own {signal.name}, which is another signal"
            return "\n".join([f"not called: {why}", *notes])
    first = "called"
    if sender is ANYONE and len(only) == len(there):
        first = f"called for {', '.join(show_sender(each) for each in only)} only"
    problems = [text for kind, text in find_problems(signal, found) if kind == "never"]
    if problems:
        first += f", but it fails: {problems[0]}"
    return "\n".join([first, *notes, *problems[1:]])


def note_unknown_tasks(connections: list[Connection]) -> list[str]:
    """Return which connections are for names of tasks that no app has, if all apps are finalized.

    What makes an app find its tasks is left to others.
    """
    state = sys.modules.get("celery._state")
    apps = [] if state is None else list(state._get_active_apps())
    if not apps or not all(app.finalized for app in apps):
        return []
    names = {name for app in apps for name in app.tasks}
    return [
        f"{show_sender(each)}: {suggest_task(each.sender, names)}"
        for each in connections
        if isinstance(each.sender, str) and each.sender not in names
    ]


def suggest_task(name: str, names: set[str]) -> str:
    """Return what to say of the name of a task that no app has."""
    from difflib import get_close_matches

    ending = sorted(each for each in names if each.endswith(f".{name}"))
    close = ending or get_close_matches(name, names, 1)
    instead = f"; did you mean {close[0]!r}?" if close else ""
    return f"no app here has a task of that name{instead}"


def is_meant(receiver: Any, connected: Any) -> bool:
    """Return whether a connected receiver is the requested one, which may be given by name."""
    if isinstance(receiver, str):
        names = {getattr(connected, each, None) for each in ("__name__", "__qualname__")}
        names.add(describe(connected).partition("(")[0])
        return receiver in names or describe(connected) == receiver
    return bool(make_receiver_key(unwrap(receiver)) == make_receiver_key(connected))


def reaches(engine: Any, sender: Any, receiver: Any) -> bool:
    """Return whether a send by this sender calls a receiver."""
    for reference in engine.find_route(read_sender(sender)).references:
        other = resolve(reference)
        if other is not None and is_meant(receiver, unwrap(other)):
            return True
    return False


def explain_absence(engine: Any, receiver: Any, name: str) -> str:
    """Return why a receiver is not connected."""
    label = None if isinstance(receiver, str) else make_label(unwrap(resolve_proxy(receiver)))
    for past, note in reversed(engine.get_past()):
        if past is label or past == label or (label is None and receiver in names_of(past)):
            if note is not None:
                return str(note)
            where = f" at {locate_code(past)}" if type(past) is CodeType else ""
            return (
                f"{name}{where} was dropped, because nothing referred to it: keep a reference,"
                " or connect it with weak=False"
            )
    alike = [
        each
        for each in list_connections(engine)
        if label is not None and make_label(each.receiver) == label
    ]
    if alike and type(label) is CodeType:
        return (
            f"{name} is not connected, but another object with the same code is: was its module"
            " imported twice, or the function defined again?"
        )
    return f"{name} is not connected"


def name_of(label: Any) -> str:
    """Return the name in a label of `make_label`: from Python 3.11 on, with that of its class."""
    if type(label) is not CodeType:
        return str(label)
    name: str = getattr(label, "co_qualname", label.co_name)
    return name.rpartition("<locals>.")[2]


def names_of(label: Any) -> tuple[str, ...]:
    """Return the names by which somebody may ask for what is in a label."""
    if type(label) is not CodeType:
        return (str(label),)
    return label.co_name, name_of(label), getattr(label, "co_qualname", label.co_name)


def describe_connection(connection: Connection) -> str:
    """Return a line that describes a connection."""
    where = f" ({connection.where})" if connection.where else ""
    uid = "" if connection.dispatch_uid is None else f", dispatch_uid={connection.dispatch_uid!r}"
    weak = "" if connection.weak else ", weak=False"
    return (
        f"connected: {describe(connection.receiver)}{where}, {show_sender(connection)}{weak}{uid}"
    )


def show_sender(connection: Connection) -> str:
    """Return the sender of a connection as source code."""
    if connection.sender is None:
        return "any sender"
    if type(connection.sender) is UnknownSender:
        return f"an unknown sender with the key {connection.sender.key!r}"
    if connection.subclasses:
        return f"sender={connection.sender.__qualname__}, subclasses=True"
    return f"sender={show(connection.sender)}"


def find_mismatches(signal: Any, entry: Entry | None, connections: list[Connection]) -> list[str]:
    """Return messages about the senders of connections that can never match."""
    found: list[str] = []
    if entry is None:
        return found
    for each in connections:
        sender = Subclasses(each.sender) if each.subclasses else each.sender
        text = "" if type(sender) is UnknownSender else find_mismatch(signal, entry, sender)
        if text:
            found.append(text)
    return found


def is_muted(engine: Any, sender: Any, receiver: Any) -> bool:
    """Return whether a receiver is muted in this context."""
    watching = sys.modules.get("fastsig.watching")
    if watching is None:
        return False
    return any(block.mutes(receiver) for block in watching.find_mutes(engine, sender))


def find_elsewhere(signal: Any, entry: Entry) -> str:
    """Return why a signal is not sent in this process; "" if it may be."""
    if entry.process not in ("main", "pool"):
        return ""
    process = find_process()
    if process == entry.process or (process, entry.process) == ("main", "pool"):
        return ""
    this = "is a process of its pool" if process == "pool" else "is not a worker"
    return f"{signal.name} is sent {PROCESSES[entry.process]}, and this process {this}"


def find_process() -> str:
    """Return which process of a worker this is: "main", "pool", or "" if it is not a worker."""
    process = sys.modules.get("billiard.process")
    if process is not None and "PoolWorker" in process.current_process().name:
        return "pool"
    trace = sys.modules.get("celery.app.trace")
    return "main" if trace is not None and trace._localized else ""


# Signals that do not run on fastsig's engine


def explain_any(signal: Any, receiver: Any, sender: Any = ANYONE) -> str:
    """Explain whether a send of any signal would call a receiver now, and why.

    This is ``signal.explain(receiver, sender)``.  It also works for signals that do not have this
    method: those of Celery with ``FASTSIG_CELERY=0``.
    """
    if hasattr(signal, "explain"):
        text: str = signal.explain(receiver, sender)
        return text
    engine = find_engine(signal)
    if engine is not None:
        return explain(signal, engine, receiver, sender)
    if not hasattr(signal, "_live_receivers"):
        raise TypeError(f"explain() takes a signal, got {type(signal).__name__!r}")
    return explain_stock(signal, receiver, sender)


def explain_stock(signal: Any, receiver: Any, sender: Any = ANYONE) -> str:
    """Explain whether a host's own code would call a receiver, if that code runs."""
    name = receiver if isinstance(receiver, str) else describe(receiver)
    if hasattr(signal, "asend"):
        return explain_django(signal, receiver, name, sender)
    why = "Celery is not adopted (FASTSIG_CELERY=0, or fastsig.celery.uninstall())"
    connected = [resolve(entry[1]) for entry in signal.receivers]
    if not any(each is not None and is_meant(receiver, each) for each in connected):
        return f"not called: {name} is not connected\n{why}"
    live = signal._live_receivers(None if sender is ANYONE else sender)
    if sender is ANYONE or any(is_meant(receiver, each) for each in live):
        return f"called by Celery's own code: {why}"
    return (
        f"not called: {why}, and it is connected for other senders; there, a task and its name"
        " do not match"
    )


def explain_django(signal: Any, receiver: Any, name: str, sender: Any) -> str:
    """Tell whether Django's own code would call a receiver."""
    found = [entry for entry in list(signal.receivers) if resolve(entry[1]) == receiver]
    if not found:
        return f"not called: {name} is not connected"
    keys = {entry[0][1] for entry in found}
    if sender is ANYONE or keys & {id(None), id(sender)}:
        return "called by Django's own code"
    return "not called: it is connected for other senders"
