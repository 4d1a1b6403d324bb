"""Code that type checkers must accept; `make lint` runs mypy and pyright on this file."""

from collections.abc import Hashable
from typing import Any, Protocol

from typing_extensions import assert_type

import fastsig
from fastsig import Retry, Signal, muted, observe, receiver, recorded
from fastsig.celery import queued
from fastsig.protocol import SignalProtocol
from fastsig.signals import task_prerun
from fastsig.watching import Call, Observation, Recorded, Sent

saved = Signal(providing_args=["pk"], use_caching=True, name="saved")
assert_type(saved, Signal)
assert_type(task_prerun, SignalProtocol)
assert_type(saved.name, str | None)
assert_type(saved.providing_args, set[str])
assert_type(saved.use_caching, bool)
assert_type(fastsig.compiled, bool)
assert_type(fastsig.__version__, str)


class Handler(Protocol):
    """The type of the handlers below."""

    def __call__(self, sender: object, pk: int) -> str: ...


@saved.connect
def plain(sender: object, pk: int) -> str:
    """Connect without options."""
    return str(pk)


@saved.connect()
def called(sender: object, pk: int) -> str:
    """Connect with a call, but without options."""
    return str(pk)


@saved.connect(sender="article", weak=False, dispatch_uid=("a", 1))
def optioned(sender: object, pk: int) -> str:
    """Connect with options."""
    return str(pk)


@saved.connect(sender="article", retry=False)
def untried(sender: object, pk: int) -> str:
    """Connect with the option that changes the type, switched off."""
    return str(pk)


@receiver([saved, task_prerun], sender="article", retry=True)
def several(sender: object, pk: int) -> str:
    """Connect to several signals: `receiver` returns the function even with `retry`."""
    return str(pk)


@saved.connect(retry=True)
def retried(sender: object, pk: int) -> str:
    """Connect what stands in for the function: a function that is called as that one is."""
    return str(pk)


handlers: list[Handler] = [plain, called, optioned, untried, several, retried]
assert_type(plain(None, pk=1), str)
assert_type(called(None, pk=1), str)
assert_type(optioned(None, pk=1), str)
assert_type(untried(None, pk=1), str)
assert_type(several(None, pk=1), str)
assert_type(retried(None, pk=1), str)
assert_type(saved.connect(plain, retry=True)(None, pk=1), str)
assert_type(saved.connect(plain, "article", True, None, True)(None, pk=1), str)


class Listener:
    """A class with a method that receives, and with instances that do."""

    def method(self, pk: int) -> int:
        """Receive."""
        return pk

    def __call__(self, pk: int) -> int:
        """Receive, too."""
        return pk


listener = Listener()
assert_type(saved.connect(listener), Listener)
assert_type(saved.connect(receiver=listener.method)(7), int)
assert_type(saved.connect(Listener), type[Listener])

uid: Hashable = "uid"
assert_type(saved.disconnect(plain, sender="article", dispatch_uid=uid), bool)
assert_type(saved.disconnect(dispatch_uid="uid"), bool)
assert_type(saved.has_listeners(), bool)
assert_type(saved.has_listeners("article"), bool)
assert_type(saved.send("article", pk=7), list[tuple[Any, Any]])
fields = {"pk": 7}
assert_type(saved.send(sender=None, **fields), list[tuple[Any, Any]])
assert_type(saved.send_robust(sender="article", pk=7), list[tuple[Any, Any]])
saved.receivers[:] = []


class Mine(Signal):
    """A signal of one's own."""


assert_type(Mine(name="mine"), Mine)


@saved.connect(sender="article", on_error="raise", once=True)
def guarded(sender: object, pk: int) -> str:
    """Connect with the options that leave the type alone."""
    return str(pk)


@saved.connect(retry=Retry(attempts=5, delay=0.5, backoff=2, max_delay=30), on_error="raise")
def tried(sender: object, pk: int) -> str:
    """Connect what tries again."""
    return str(pk)


assert_type(guarded(None, pk=1), str)
assert_type(tried(None, pk=1), str)
Signal(on_error="collect")

with saved.muted(), task_prerun.muted(sender="proj.add", receiver=plain):
    pass
with saved.recorded() as sent, recorded(saved, task_prerun, sender="proj.add") as others:
    assert_type(sent, Recorded)
    assert_type(others.one, Sent)
    assert_type(others[0].responses, list[tuple[Any, Any]])
    assert_type(len(sent), int)
    pk: int = sent.one.pk
with saved.connected(plain, sender="article", once=True), task_prerun.connected(plain):
    pass


@muted(saved, task_prerun, sender="proj.add")
def quiet(number: int) -> str:
    """Be muted."""
    return str(number)


@saved.muted()
async def quiet_too(number: int) -> str:
    """Be muted, as a coroutine."""
    return str((await saved.asend("article", pk=number))[0][1])


assert_type(quiet(1), str)


def watch(call: Call) -> None:
    """Watch a receiver."""
    assert_type(call.seconds, float)
    assert_type(call.error, BaseException | None)


with observe(watch) as observation, observe(watch, signals=[saved, task_prerun]):
    assert_type(observation, Observation)
observation.stop()
saved.connect(queued(object(), countdown=5))


@task_prerun.connect
def on_prerun(task_id: str) -> str:
    """Connect to a signal of Celery's: the same types."""
    return task_id


@task_prerun.connect(retry=True, sender="proj.add")
def on_add(task_id: str) -> str:
    """Connect what stands in for the function, to a signal of Celery's."""
    return task_id


assert_type(on_prerun(task_id="1"), str)
assert_type(on_add(task_id="1"), str)
