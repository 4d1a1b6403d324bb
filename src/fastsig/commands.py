"""``python -m fastsig list`` and ``check``: the connections of an app, and their problems."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from contextlib import redirect_stdout
from sysconfig import get_paths
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from fastsig.advice import SignalWarning, describe, find_problems
from fastsig.catalog import CATALOG, OF_AN_APP, PROCESSES, find_entry
from fastsig.engine import Subclasses, list_engines
from fastsig.seen import (
    Connection,
    UnknownSender,
    list_connections,
    locate_code,
    locate_line,
    name_of,
    show_sender,
    suggest_task,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["check", "list_signals"]


def load(name: str) -> str:  # noqa: PLR0911
    """Import an app with its modules and tasks, as ``celery -A`` does.

    Returns:
        The error in one line; "" if there was none.
    """
    warnings.simplefilter("ignore", SignalWarning)  # `check` lists the same problems
    import fastsig.signals  # noqa: F401 - before the app, to see all of its connections

    try:
        from celery import Celery
        from celery.app.utils import find_app
    except ModuleNotFoundError as error:
        if error.name != "celery":
            raise
        return "Celery is not installed"
    from fastsig.celery import installed

    if not installed():
        return "Celery is left alone (FASTSIG_CELERY=0), so nothing is known of its signals"
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    if not name:
        return "-A needs the name of an app, such as proj or proj.celery:app"
    module, _, attribute = name.partition(":")
    try:
        with redirect_stdout(sys.stderr):  # what the modules print is not ours to print
            app = find_app(name)
            if not isinstance(app, Celery):
                return f"{name!r} is no app, but of type {type(app).__name__!r}"
            app.set_default()
            app.loader.import_default_modules()
            app.finalize()
    except (Exception, SystemExit) as error:
        if getattr(error, "name", None) == name and attribute:  # it was looked for as a module, too
            return f"{module!r} has no {attribute!r}"
        if isinstance(error, AttributeError) and is_raised_in(error, find_app):
            return f"{name!r} has no app: write its name, as in {name}:app"
        return f"cannot import {name!r}: {' '.join(read_error(error).split())}"
    return ""


def is_raised_in(error: BaseException, function: Any) -> bool:
    """Return whether an error was raised by a function itself, and not by what it calls."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code is function.__code__


def read_error(error: BaseException) -> str:
    """Return the text of an error, and where it was raised."""
    if str(error).startswith("Couldn't import") and isinstance(error.__context__, ValueError):
        error = error.__context__  # Celery has put its own in the place of this one
    if isinstance(error, SyntaxError):
        where = locate_line(error.filename or "?", error.lineno or 0)
        return f"{type(error).__name__}: {error.msg} ({where})"
    installed = tuple(get_paths()[each] + os.sep for each in ("stdlib", "purelib", "platlib"))
    places = [
        locate_line(frame.filename, frame.lineno or 0)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", *installed))
    ]
    here = [place for place in places if not os.path.isabs(place)]
    where = f" ({here[-1]})" if here else ""
    return f"{type(error).__name__}: {error}{where}"


def find_signals() -> list[tuple[str, Any, Any]]:
    """Return ``(name, signal, engine)`` of all signals; Celery's come first."""
    found = []
    for engine in list_engines():
        signal = engine.get_owner()
        found.append((find_name(signal), signal, engine))
    order = {name: place for place, name in enumerate((*CATALOG, *OF_AN_APP))}
    return sorted(found, key=lambda each: (order.get(each[0], len(order)), each[0]))


def find_name(signal: Any) -> str:
    """Return the name of a signal; for one that is not Celery's, with the module that has it."""
    name = getattr(signal, "name", None)
    if find_entry(signal) is not None:
        return str(name)
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and module.__name__.partition(".")[0] != "fastsig":
            for attribute, value in list(vars(module).items()):
                if value is signal:
                    return f"{module.__name__}.{attribute}"
    return str(name or type(signal).__qualname__)


def list_signals(name: str, as_json: bool = False) -> int:
    """Print each signal of an app that has receivers; return the exit status."""
    error = load(name)
    if error:
        print(error, file=sys.stderr)
        return 2
    return print_signals(as_json)


def print_signals(as_json: bool = False) -> int:
    """Print each signal that has receivers; return the exit status."""
    rows = []
    for signal_name, signal, engine in find_signals():
        connections = list_connections(engine)
        if connections:
            entry = find_entry(signal)
            process = "" if entry is None else PROCESSES[entry.process]
            rows.append((signal_name, process, connections))
    if as_json:
        print(json.dumps([as_dict(*row) for row in rows], indent=2))
        return 0
    for signal_name, process, connections in rows:
        print(f"{signal_name}, sent {process}" if process else signal_name)
        for each in connections:
            weak = "weak" if each.weak else "strong"
            print(
                f"    {describe(each.receiver)}  {each.where or '-'}  {show_sender(each)}  {weak}"
            )
    if not rows:
        print("no signal has receivers")
    return 0


def as_dict(name: str, process: str, connections: list[Connection]) -> dict[str, Any]:
    """Return what ``list --json`` prints for a signal."""
    return {
        "signal": name,
        "process": process,
        "receivers": [
            {
                "receiver": describe(each.receiver),
                "where": each.where,
                "sender": None if each.sender is None else show_sender(each),
                "weak": each.weak,
                "dispatch_uid": None if each.dispatch_uid is None else repr(each.dispatch_uid),
            }
            for each in connections
        ],
    }


def check(name: str, as_json: bool = False) -> int:
    """Print problems and hints; return the exit status."""
    error = load(name)
    if error:
        print(error, file=sys.stderr)
        return 2
    return print_mistakes(find_mistakes(), as_json)


def print_mistakes(mistakes_found: Iterable[tuple[str, str, str]], as_json: bool = False) -> int:
    """Print mistakes and hints, ``(kind, where, text)``, each once; return the exit status."""
    found = list(dict.fromkeys(mistakes_found))
    found.sort(key=by_place)
    mistakes = sum(kind == "never" for kind, _, _ in found)
    if as_json:
        rows = [{"kind": kind, "where": where, "text": text} for kind, where, text in found]
        print(json.dumps(rows, indent=2))
        return int(mistakes > 0)
    for kind, where, text in found:
        print(f"{where or '-'}: {'hint: ' if kind == 'hint' else ''}{text}")
    hints = len(found) - mistakes
    problems = f"{mistakes} {'problem' if mistakes == 1 else 'problems'}"
    print(f"{problems}, {hints} {'hint' if hints == 1 else 'hints'}")
    return int(mistakes > 0)


def by_place(mistake: tuple[str, str, str]) -> tuple[bool, str, int]:
    """Return the key to sort by: hints come last."""
    kind, where, _ = mistake
    path, _, line = where.rpartition(":")
    return kind == "hint", path, int(line or 0)


def find_mistakes() -> Iterator[tuple[str, str, str]]:
    """Yield ``(kind, where, text)`` for the problems of all signals."""
    names = find_task_names()
    for signal_name, signal, engine in find_signals():
        entry = find_entry(signal)
        for each in list_connections(engine):
            sender = Subclasses(each.sender) if each.subclasses else each.sender
            senders = [] if type(sender) is UnknownSender else [sender]
            for kind, text in find_problems(signal, each.receiver, senders):
                yield kind, each.where, text
            if (
                entry is not None
                and entry.sender in ("task", "name")
                and isinstance(sender, str)
                and sender not in names
            ):
                text = (
                    f"{describe(each.receiver)}: {signal_name} for sender={sender!r}:"
                    f" {suggest_task(sender, names)}"
                )
                # A client that publishes by name does not need the task.
                yield ("never" if entry.sender == "task" else "hint"), each.where, text
        for label, note in engine.get_past():
            where = locate_code(label) if type(label) is CodeType else ""
            if note is not None:
                yield "never", where, f"{name_of(label)} is not connected to {signal_name}: {note}"
            else:
                text = (
                    f"{name_of(label)} was dropped by {signal_name}: nothing refers to it; keep a"
                    " reference, or connect it with weak=False"
                )
                yield "never", where, text


def find_task_names() -> set[str]:
    """Return the names of the tasks of all apps."""
    state = sys.modules["celery._state"]
    return {name for app in state._get_active_apps() for name in app.tasks}
