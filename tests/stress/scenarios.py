"""Signals in processes with many threads, with forks, and in processes that are about to exit.

Each scenario runs in a separate process, as ``scenarios.py NAME SECONDS``, so that a crash or
a hang is a result.  It prints what it counted; a failed assertion in any thread ends it.
"""

import asyncio
import contextlib
import faulthandler
import functools
import gc
import itertools
import os
import random
import signal as os_signals
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import fastsig
from fastsig import Signal

counted = Counter()


class Listener:
    def method(self, **kwargs):
        return "listener"

    def __call__(self, **kwargs):
        return "listener"


class Sender:
    pass


class Task:
    """As much of a task of Celery's as fastsig knows one by."""

    __trace__ = None

    def __init__(self, name):
        self.name = name

    def apply_async(self):
        pass


PACKAGE = str(Path("fastsig", "_"))[:-1]
STABLE = [functools.partial(lambda n, **kwargs: n, n) for n in range(5)]


def stable(signal, sender=None, named=None):
    """Send, and check that what is stably connected was called, once and in order."""
    counted["sends"] += 1
    responses = [response for _, response in signal.send(sender, **(named or {}))]
    assert [response for response in responses if type(response) is int] == [*range(5)], responses
    return responses


def hand_over(frame, event, argument):
    """Trace the package: at some of its lines, let another thread go on."""
    if PACKAGE not in frame.f_code.co_filename:
        return None
    if event == "line" and not random.randrange(8):
        time.sleep(0)
    return hand_over


def together(seconds, *works):
    """Let each of `works` go on in a thread of its own; with none of them, hand over at once.

    Half of the time they also do so between lines where CPython itself seldom would.
    """
    end = time.monotonic() + seconds
    sys.setswitchinterval(1e-6)

    def go_on(work):
        try:
            while time.monotonic() < end - seconds / 2:
                work()
            sys.settrace(hand_over)
            while time.monotonic() < end:
                work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    threads = [threading.Thread(target=go_on, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted["threads"] += len(threads)


def connected():
    signal = Signal()
    for receiver in STABLE:
        signal.connect(receiver)
    return signal


def settled(signal):
    """Check that nothing is left but what is stably connected."""
    gc.collect()
    stable(signal)
    assert len(signal.receivers) == len(STABLE), signal.receivers


def threads_change(seconds):
    """Connections come and go, all the time, for any and for their own sender."""
    signal = connected()

    def change(n):
        listener = Listener()
        signal.connect(listener.method)
        signal.connect(listener, sender=n)
        assert stable(signal, n).count("listener") >= 2
        assert signal.disconnect(listener.method)
        assert signal.disconnect(listener, sender=n)
        counted["connections"] += 2

    names = itertools.cycle([{name: 1} for name in "abcdefghijkl"])
    together(
        seconds,
        *(functools.partial(change, n) for n in ("a", "b")),
        *[lambda: stable(signal, "a", next(names))] * 2,
        gc.collect,
    )
    settled(signal)


def threads_share(seconds):
    """All connect and disconnect the same: it is never there twice."""
    signal = connected()
    shared = Listener()

    def change():
        signal.connect(shared)
        counted["connections"] += 1
        assert stable(signal).count("listener") <= 1
        signal.disconnect(shared)

    together(seconds, change, change, change, lambda: stable(signal))
    signal.disconnect(shared)
    settled(signal)


def threads_die(seconds):
    """Senders and receivers die in other threads than where they were connected."""
    signal = connected()
    things = []

    def live():
        sender, listener = Sender(), Listener()
        signal.connect(listener.method, sender=sender)
        counted["connections"] += 1
        assert stable(signal, sender).count("listener") == 1
        things.append((sender, listener))
        if len(things) > 20:
            lived = things[:]
            things.clear()
            for sender, _ in lived:
                assert stable(signal, sender).count("listener") == 1

    def die():
        with contextlib.suppress(IndexError):
            lived = things.pop()
            assert stable(signal, lived[0]).count("listener") == 1

    def misfire():
        """A sender that nobody connected to, with the `id` of one that died."""
        assert "listener" not in stable(signal, Sender())

    together(seconds, live, live, die, misfire)
    things.clear()
    settled(signal)


def threads_mean(seconds):
    """Senders are reached by their names and classes, and die in other threads."""
    signal = connected()
    numbers, things = itertools.count(), []

    def live():
        name, listener = f"task {next(numbers)}", Listener()
        task = Task(name)
        signal.connect(listener.method, sender=name)
        counted["connections"] += 1
        for sender in (task, name, task, Task(name)):
            assert stable(signal, sender).count("listener") == 1, sender
        assert signal.disconnect(listener.method, sender=name)
        assert stable(signal, task).count("listener") == 0
        things.append(task)

    def live_by_task():
        name, listener = f"task {next(numbers)}", Listener()
        task = Task(name)
        signal.connect(listener.method, senders=[task, name])
        for sender in (name, task, name):
            assert stable(signal, sender).count("listener") == 1, sender
        assert signal.disconnect(listener.method, senders=[name, task])
        things.append(task)

    def live_by_class():
        kind, listener = type("Kind", (Sender,), {}), Listener()
        signal.connect(listener, sender=kind, subclasses=True)
        sender = type("Later", (kind,), {})()
        for _ in range(3):
            assert stable(signal, sender).count("listener") == 1
        assert "listener" not in stable(signal, Sender())
        del things[:-20]
        if next(numbers) % 2:  # or else it is disconnected by the death of the class
            assert signal.disconnect(listener, sender=kind, subclasses=True)

    def misfire():
        """Senders that nobody means, with ids of those that died."""
        for sender in (Sender(), Task("nobody"), "nobody", object(), 7.5, Task(None)):
            assert "listener" not in stable(signal, sender)

    together(seconds, live, live_by_task, live_by_class, misfire)
    things.clear()
    settled(signal)


def threads_edit(seconds):
    """The table is changed from outside, and the signal by its own receivers."""
    signal = connected()

    def outside(**kwargs):
        return "outside"

    def edit(n):
        entry = ((n, id(None)), outside)
        signal.receivers.append(entry)
        assert "outside" in stable(signal)
        signal.receivers.remove(entry)

    def receiver(**kwargs):
        signal.connect(outside, dispatch_uid="inner")
        signal.disconnect(dispatch_uid="inner")
        raise ValueError

    def inner(n):
        signal.connect(receiver, sender=n, dispatch_uid=n)
        assert len(stable(signal, n)) >= 6
        assert signal.disconnect(sender=n, dispatch_uid=n)

    together(seconds, *(functools.partial(f, n) for f in (edit, inner) for n in ("a", "b")))
    signal.disconnect(dispatch_uid="inner")
    settled(signal)


def threads_assign(seconds):
    """The table is replaced and read, and whatever list it is, changed."""
    signal, listener = connected(), Listener()
    table = list(signal.receivers)

    def assign():
        signal.receivers = list(table)

    def edit():
        entry = (("outside", id(None)), listener)
        now = signal.receivers
        now.append(entry)
        now.remove(entry)

    def change():
        signal.connect(listener)
        signal.disconnect(listener)
        counted["connections"] += 1

    together(seconds, assign, edit, change, lambda: stable(signal), lambda: stable(signal, "a"))
    signal.receivers = table
    settled(signal)


def threads_cross(seconds):
    """Two signals send each other, from two threads: no lock is held that the other one needs."""
    one, other = connected(), connected()

    @one.connect
    def to_other(depth=0, **kwargs):
        if depth < 3:
            stable(other, None, {"depth": depth + 1})

    @other.connect
    def to_one(depth=0, **kwargs):
        if depth < 3:
            stable(one, None, {"depth": depth + 1})

    together(seconds, lambda: stable(one), lambda: stable(other), gc.collect)


def nothing_is_watched():
    from fastsig import watching

    assert not watching.watched, watching.watched
    assert not watching.everywhere


def loud(signal, sender=None):
    """Send where nothing is muted, whatever others mute."""
    counted["loud"] += 1
    return stable(signal, sender)


def quiet(signal, sender=None):
    """Send where all is muted."""
    counted["quiet"] += 1
    responses = signal.send(sender)
    assert responses == [], responses


def threads_mute(seconds):
    """Threads mute in all ways, record and observe; nobody is muted by another."""
    signal, other = connected(), connected()
    shared = fastsig.muted(signal, other)

    def mute_all():
        with signal.muted():
            quiet(signal)
            loud(other)
            with fastsig.muted(other, sender="a"):
                quiet(signal, "a")
                quiet(other, "a")
                loud(other, "b")
            quiet(signal, "b")
        loud(signal)

    def mute_a_sender(n):
        task = Task(n)
        with signal.muted(sender=n):
            quiet(signal, n)
            quiet(signal, task)
            loud(signal, "another")
            loud(signal)
        loud(signal, n)

    def mute_a_receiver():
        listener = Listener()
        signal.connect(listener.method, sender="mine")
        with signal.muted(receiver=listener.method):
            assert "listener" not in loud(signal, "mine")
        assert loud(signal, "mine").count("listener") >= 1
        assert signal.disconnect(listener.method, sender="mine")

    def mute_with_one_object():
        with shared:
            quiet(signal)
            with shared:
                quiet(other)
            quiet(signal)
        loud(other)

    def fail():
        with contextlib.suppress(KeyError), shared:
            quiet(signal)
            raise KeyError
        loud(signal)

    @shared
    def decorated(depth=3):
        quiet(signal)
        if depth:
            decorated(depth - 1)
        quiet(other)

    def watch():
        calls = []
        with signal.recorded(sender="seen") as sent, fastsig.observe(calls.append, [other]):
            signal.send("seen", value=1)
            loud(other, "seen")
        assert len(sent) >= 1
        assert {each.sender for each in sent} == {"seen"}
        assert len(calls) >= len(STABLE)
        loud(other)

    works = (mute_all, mute_a_receiver, mute_with_one_object, fail, decorated, watch)
    senders = (functools.partial(mute_a_sender, n) for n in ("a", "mine"))
    together(seconds, *works, *senders, lambda: loud(signal), gc.collect)
    nothing_is_watched()
    settled(signal)
    settled(other)


def threads_once(seconds):
    """Receivers that are connected for one call get it, however many send at the same time."""
    signal, numbers = connected(), itertools.count()

    def wait_for(calls, number):
        end = time.monotonic() + 20
        while len(calls) < number:  # another thread took it, and is about to call it
            assert time.monotonic() < end, calls
            time.sleep(0)

    def make():
        calls = []

        def once(**named):
            calls.append(named)
            return "once"

        counted["once"] += 1
        return once, calls

    def connect():
        once, calls = make()
        signal.connect(once, once=True)
        stable(signal)
        wait_for(calls, 1)
        stable(signal)
        assert len(calls) == 1
        assert not signal.disconnect(once)

    def connect_for_several():
        once, calls = make()
        names = [f"name {next(numbers)}", Task(f"name {next(numbers)}")]
        signal.connect(once, senders=names, once=True)
        for sender in names * 2:
            stable(signal, sender)
        wait_for(calls, 2)
        assert len(calls) == 2

    def disconnect():
        once, calls = make()
        signal.connect(once, once=True)
        if signal.disconnect(once):
            stable(signal)
        else:
            wait_for(calls, 1)
        assert len(calls) <= 1

    def fail():
        calls = []

        def once(**named):
            calls.append(1)
            raise LookupError

        signal.connect(once, sender="fail", once=True, on_error="raise")
        try:
            stable(signal, "fail")
        except LookupError:
            counted["raised"] += 1
        wait_for(calls, 1)
        stable(signal)
        assert calls == [1]

    together(
        seconds,
        connect,
        connect,
        connect_for_several,
        disconnect,
        fail,
        *[lambda: stable(signal)] * 2,
    )
    settled(signal)


def in_loops(seconds, main):
    """Run a coroutine function again and again, in two threads with a loop each."""
    together(seconds, *[lambda: asyncio.run(asyncio.wait_for(main(), 30))] * 2)


async def astable(signal, sender=None):
    counted["awaited sends"] += 1
    responses = [response for _, response in await signal.asend(sender)]
    assert [response for response in responses if type(response) is int] == [*range(5)], responses
    return responses


def tasks_mute(seconds):
    """Tasks mute while others send; what is begun inside a block is muted until that ends."""
    signal = connected()

    async def slow(**named):
        await asyncio.sleep(0)
        return "slow"

    signal.connect(slow)

    async def mute():
        for _ in range(3):
            with signal.muted():
                assert await signal.asend(None) == []
                await asyncio.sleep(0)
                quiet(signal)
                assert await asyncio.to_thread(signal.send, None) == []
            assert "slow" in await astable(signal)

    @signal.muted(sender="a")
    async def decorated():
        await asyncio.sleep(0)
        assert await signal.asend("a") == []
        await astable(signal, "b")

    async def begin_inside():
        ended = asyncio.Event()

        async def child():
            quiet(signal)
            await ended.wait()
            await astable(signal)

        with signal.muted():
            children = [asyncio.ensure_future(child()) for _ in range(3)]
            await asyncio.sleep(0)
        ended.set()
        await asyncio.gather(*children)

    async def cancelled():
        async def child():
            with signal.muted():
                quiet(signal)
                await asyncio.sleep(60)

        task = asyncio.ensure_future(child())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await astable(signal)

    async def main():
        works = (mute(), decorated(), begin_inside(), cancelled())
        await asyncio.gather(*works, *[astable(signal) for _ in range(5)])

    in_loops(seconds, main)
    nothing_is_watched()
    signal.disconnect(slow)
    settled(signal)


def tasks_once(seconds):
    """Of all tasks that send at the same time, in two loops, one gets the receiver."""
    signal = connected()

    async def main():
        calls = []

        async def once(**named):
            await asyncio.sleep(0)
            calls.append(1)
            return "once"

        counted["once"] += 1
        signal.connect(once, once=True)
        name = f"name {id(once)}"
        signal.connect(once, sender=name, once=True, dispatch_uid=name)
        await asyncio.gather(*[astable(signal, sender) for sender in (None, name) * 3])
        while len(calls) < 2:  # the other loop has it
            await asyncio.sleep(0)
        await astable(signal, name)
        assert calls == [1, 1]

    in_loops(seconds, main)
    settled(signal)


def os_signal_handlers(seconds):
    """A handler of an OS signal uses the signal, wherever the main thread is, or raises."""
    # Up to 3.11 CPython cannot import in a handler what it is importing: a KeyError.
    import inspect  # noqa: F401

    class Interrupt(BaseException):
        pass

    signal, listener, turns = connected(), Listener(), itertools.count()

    def handler(number, frame):
        nonlocal armed
        counted["interruptions"] += 1
        signal.connect(listener, sender="handler")
        assert "listener" in stable(signal, "handler")
        assert signal.disconnect(listener, sender="handler")
        if armed and next(turns) % 2:
            armed = False
            raise Interrupt

    armed = False
    os_signals.signal(os_signals.SIGALRM, handler)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        mine = Listener()
        os_signals.setitimer(os_signals.ITIMER_REAL, random.uniform(1e-6, 6e-5))
        try:
            armed = True
            signal.connect(mine.method)
            signal.send("any", value=1)
            signal.disconnect(mine.method)
            armed = False
        except Interrupt:
            armed = False
        stable(signal)
        del mine
    settled(signal)


def in_a_child(check):
    """Fork; in the child, let `check` say whether all is well."""
    counted["forks"] += 1
    pid = os.fork()
    if pid:
        return pid
    try:
        os_signals.alarm(10)
        faulthandler.register(os_signals.SIGALRM, chain=True)
        check()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def waited_for(pid):
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"a child ended with {status}, of which 14 is a hang"


def works(signal):
    """Check that a signal works, whatever was going on when the process was forked."""
    listener, sender = Listener(), Sender()
    signal.connect(listener)
    signal.connect(listener.method, sender=sender)
    assert stable(signal, sender, {"value": 1}).count("listener") >= 2
    assert signal.disconnect(listener)
    assert signal.disconnect(listener.method, sender=sender)
    del listener
    gc.collect()
    stable(signal)


def fork_among_threads(seconds):
    """The other threads connect, send, disconnect and die meanwhile."""
    signal = connected()

    def change(n):
        listener, sender = Listener(), Sender()
        signal.connect(listener.method, sender=sender)
        stable(signal, sender)
        stable(signal, n, {"value": 1})

    together(
        seconds,
        *(functools.partial(change, n) for n in ("a", "b", "c")),
        lambda: waited_for(in_a_child(lambda: works(signal))),
    )


def fork_in_the_middle_among_threads(seconds):
    """A fork at each line of connect, send, disconnect and purge; the others are at the same."""
    from test_interruptions import Interruption

    signal, point = connected(), 0

    def change(n):
        listener, sender = Listener(), Sender()
        signal.connect(listener.method, sender=sender)
        signal.connect(listener, sender=n)
        stable(signal, sender, {n: 1})
        assert signal.disconnect(listener, sender=n)
        del listener
        stable(signal, n)

    def fork():
        counted["forks"] += 1
        pids.append(os.fork())
        if not pids[0]:
            os_signals.alarm(10)
            faulthandler.register(os_signals.SIGALRM, chain=True)

    def fork_at_the_next():
        nonlocal point
        point += random.randrange(1, 20)
        pids.clear()
        with Interruption(point, fork):
            change("forking")
        if pids == [0]:
            works(signal)
            os._exit(0)
        if pids:
            waited_for(pids[0])
        else:
            counted["all points"] += 1
            point = 0

    pids = []
    together(seconds, *(functools.partial(change, n) for n in ("a", "b", "c")), fork_at_the_next)
    settled(signal)


def fork_while_importing(seconds):
    """Another thread is about to import what the package needs the first time."""
    begun = threading.Event()

    class Slow:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "inspect":
                begun.set()
                time.sleep(0.3)

    sys.modules.pop("inspect", None)  # of a newer Python: it has been imported by then
    sys.meta_path.insert(0, Slow)
    signal = connected()
    thread = threading.Thread(target=stable, args=(signal,))
    thread.start()
    begun.wait()
    waited_for(in_a_child(lambda: works(signal)))
    thread.join()


def fork_in_the_middle(seconds):
    """A fork at each line, and at each collection, of connect, send, purge and disconnect."""
    from test_interruptions import OPERATIONS, STATES, Collection, Interruption, seen, world

    def go_on(name, state, point, interruption):
        it, pids = world(Signal, state), []

        def fork():
            pids.append(os.fork())
            if not pids[0]:
                os_signals.alarm(10)

        try:
            with interruption(point, fork):
                OPERATIONS[name](it)
            if pids:
                assert seen(it) == expected[name, state], (name, state, point)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        if pids == [0]:
            os._exit(0)
        return pids

    expected = {}
    for name, state in itertools.product(OPERATIONS, STATES):
        it = world(Signal, state)
        OPERATIONS[name](it)
        expected[name, state] = seen(it)
    gc.collect()
    gc.freeze()
    end = time.monotonic() + seconds
    left = {(*which, kind) for which in expected for kind in (Interruption, Collection)}
    for point in itertools.count(1):
        for name, state, kind in sorted(left, key=str):
            pids = go_on(name, state, point, kind)
            if not pids:
                left.discard((name, state, kind))
            for pid in pids:
                counted["forks"] += 1
                waited_for(pid)
            if time.monotonic() > end:
                return
        if not left:
            counted["all points"] = 1
            return


if __name__ == "__main__":
    name, seconds = sys.argv[1], float(sys.argv[2])
    faulthandler.dump_traceback_later(seconds + 60, exit=True)
    globals()[name](seconds)
    assert sum(counted.values())
    print(*(f"{number} {what}" for what, number in counted.items()), sep=", ")
