"""``manage.py fastsig list`` and ``check``: what is connected, and what is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model
from django.db.models.signals import ModelSignal, class_prepared
from django.dispatch import Signal

from fastsig.advice import describe, find_unsent, is_async
from fastsig.commands import find_name, print_mistakes, print_signals
from fastsig.django.catalog import find_entry
from fastsig.django.extras import later_key
from fastsig.django.face import find_engine, installed
from fastsig.engine import list_engines, resolve
from fastsig.engine.plans import keywords_of
from fastsig.seen import UnknownSender, list_connections

if TYPE_CHECKING:
    from collections.abc import Iterator


class Command(BaseCommand):  # type: ignore[misc]
    """Lists the signals that have receivers, or checks these."""

    help = "Lists every signal with receivers, or checks them for what can never be called or fails"
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        """Add the arguments.

        Arguments:
            parser: The parser.
        """
        parser.add_argument("what", choices=("list", "check"))
        parser.add_argument("--json", action="store_true", help="for another program to read")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command.

        Arguments:
            *args: Without effect.
            **options: What the parser has read.
        """
        if not installed():
            raise CommandError("Django does not run on fastsig: see manage.py check")
        adopt_all()
        if options["what"] == "list":
            status = print_signals(options["json"])
        else:
            status = print_mistakes(find_mistakes(), options["json"])
        if status:
            sys.exit(status)


def adopt_all() -> None:
    """Adopt the signals in all modules, which may not have been used yet."""
    for module in list(sys.modules.values()):
        for value in list(getattr(module, "__dict__", {}).values()):
            if issubclass(type(value), Signal):
                find_engine(value)


def find_mistakes() -> Iterator[tuple[str, str, str]]:
    """Yield ``(kind, where, text)`` for what is wrong with the connections of any signal."""
    for engine in list_engines():
        signal = engine.get_owner()
        if not issubclass(type(signal), Signal):
            continue
        name, entry = find_name(signal), find_entry(signal)
        # The others have a function in their place, which takes everything.
        itself = {id(resolve(entry[1])) for entry in list(engine.receivers)}
        for each in list_connections(engine):
            receiver = describe(each.receiver)
            accepted = keywords_of(each.receiver)
            if accepted is not None and id(each.receiver) in itself:
                yield (
                    "never",
                    each.where,
                    f"{receiver} is connected to {name}, and takes no **kwargs: it fails when"
                    " something is sent that it does not name; add **kwargs, or connect it with"
                    " fastsig.django.receiver",
                )
            for kind, parameter, text in find_unsent(entry, each.receiver) if entry else ():
                if kind == "never":  # a default is for other signals that have this receiver
                    yield kind, each.where, f"{receiver}: {name} sends no {parameter!r}{text}"
            yield from check_sender(signal, name, receiver, each)
            if is_async(each.receiver):
                yield (
                    "hint",
                    each.where,
                    f"{receiver} is a coroutine function: each synchronous send of {name} to it"
                    " runs an event loop, and is Django's own code",
                )


def check_sender(
    signal: Any, name: str, receiver: str, connection: Any
) -> Iterator[tuple[str, str, str]]:
    """Yield why the sender of a connection can match nothing."""
    sender, where = connection.sender, connection.where
    if not issubclass(type(signal), ModelSignal) or sender is None:
        return
    if type(sender) is UnknownSender:
        return
    if not (issubclass(type(sender), type) and issubclass(sender, Model)):
        text = f"{receiver} is connected to {name} for {sender!r}, which is no model"
        yield "hint", where, text
    elif sender._meta.abstract and not has_later(signal, sender):
        yield (
            "never",
            where,
            f"{receiver} is connected to {name} for {sender.__qualname__}, which is abstract: only"
            " its subclasses are senders; connect it with fastsig.django.receiver(...,"
            " subclasses=True)",
        )


def has_later(signal: Any, sender: Any) -> bool:
    """Return whether something is connected for a model with its subclasses."""
    for (key, _), *_ in list(class_prepared.receivers):
        if type(key) is tuple and key == later_key(signal, key[2:3] and key[2], sender):
            return True
    return False
