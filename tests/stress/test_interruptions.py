"""Each operation is interrupted at each point by another operation or an exception.

The points where it can are those where other code gets to run: each line of the package that is
Python, and each collection of garbage, which some Pythons start in the middle of an allocation.
Each operation is interrupted at each point, once by each other one.
"""

import contextlib
import gc
import itertools
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest


class Sender:
    pass


def make(n):
    return lambda **kwargs: n


def make_method(n):
    class Listener:
        def method(self, **kwargs):
            return n

    return Listener().method


def entry(receiver):
    return ("outside", id(None)), receiver


def outside(**kwargs):
    return "outside"


def responses(pairs):
    return [response for _, response in pairs]


def remove(it):
    try:
        return it.signal.receivers.remove(it.first)
    except ValueError:
        return "not there"


OPERATIONS = {
    "connect": lambda it: it.signal.connect(it.receivers[5]) is it.receivers[5],
    "connect again": lambda it: it.signal.connect(it.receivers[0]) is it.receivers[0],
    "connect for another": lambda it: bool(it.signal.connect(it.receivers[0], sender=it.other)),
    "connect for a str": lambda it: bool(it.signal.connect(it.receivers[5], sender="s")),
    "disconnect": lambda it: it.signal.disconnect(it.receivers[0]),
    "disconnect from a sender": lambda it: it.signal.disconnect(it.receivers[3], sender=it.sender),
    "disconnect by uid": lambda it: it.signal.disconnect(dispatch_uid="uid"),
    "send": lambda it: responses(it.signal.send(None, a=1)),
    "send to a str": lambda it: responses(it.signal.send("s")),
    "send to another": lambda it: responses(it.signal.send(it.other)),
    "connect for a class": lambda it: bool(
        it.signal.connect(it.receivers[5], sender=Sender, subclasses=True)
    ),
    "has_listeners": lambda it: it.signal.has_listeners("s"),
    "receiver dies": lambda it: it.receivers.__setitem__(4, None),
    "sender dies": lambda it: setattr(it, "sender", None),
    "append": lambda it: it.signal.receivers.append(entry(outside)),
    "clear": lambda it: it.signal.receivers.clear(),
    "reverse": lambda it: it.signal.receivers.reverse(),
    "remove": remove,
    "sort": lambda it: it.signal.receivers.sort(key=lambda entry: entry[0][1] == "s"),
    "assign": lambda it: setattr(it.signal, "receivers", [entry(outside)]),
    "take back": lambda it: setattr(it.signal, "receivers", it.former),
}
# What may come in between only: nobody says that they are done at once.
CHANGES = {
    "exchange": lambda it: (
        bool(it.signal.connect(it.receivers[5])),
        it.signal.disconnect(it.receivers[0]),
    ),
    "exchange outside": lambda it: (
        it.signal.receivers.append(entry(outside)),
        it.signal.receivers.pop(0),
    )[:0],
}
STATES = ["fresh", "sent", "dead", "assigned"]


def world(Signal, state):
    """Return a signal with connections of every kind, in a state to be interrupted in."""
    signal = Signal()
    it = SimpleNamespace(signal=signal, sender=Sender(), other=Sender(), former=signal.receivers)
    it.receivers = [make_method(n) if n in (0, 3) else make(n) for n in range(6)]
    if state == "assigned":
        signal.receivers = []
    signal.connect(it.receivers[0])
    signal.connect(it.receivers[1], sender="s")
    signal.connect(make(2), weak=False, dispatch_uid="uid")
    signal.connect(it.receivers[3], sender=it.sender)
    signal.connect(it.receivers[4])
    it.first = signal.receivers[0]
    if state != "fresh":
        for sender in (None, "s", it.sender):
            signal.send(sender, a=1)
    if state == "dead":
        doomed = [make(6), Sender()]
        signal.connect(doomed[0])
        signal.connect(it.receivers[1], sender=doomed[1])
        signal.send(doomed[1])
        doomed.clear()
    return it


def seen(it):
    """Return what can be seen of a world in the end."""
    sends = [
        responses(it.signal.send(sender, a=1)) for sender in (None, "s", it.sender or "", it.other)
    ]
    table = [
        (reference() if hasattr(reference, "__callback__") else reference)()
        for _, reference in it.signal.receivers
    ]
    connections = [
        it.signal.disconnect(it.receivers[0]),
        bool(it.signal.connect(it.receivers[1])),
        responses(it.signal.send(None)),
        it.signal.disconnect(it.receivers[1]),
        responses(it.signal.send("s")),
    ]
    it.sender = it.other = None
    it.signal.has_listeners()
    return sends, table, connections, len(it.signal.receivers)


PACKAGE = str(Path("fastsig", "_"))[:-1]


class Interruption:
    """A context in which `action` happens at the n-th point."""

    def __init__(self, point, action):
        self.point, self.action = point, action
        self.happened = False

    def at_point(self):
        self.point -= 1
        if not self.point:
            self.happened = True
            self.action()

    def trace(self, frame, event, argument):
        if PACKAGE not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.at_point()
        return self.trace

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)


class Collection(Interruption):
    def collected(self, phase, info):
        if phase == "start":
            self.at_point()

    def __enter__(self):
        self.threshold = gc.get_threshold()
        gc.callbacks.append(self.collected)
        gc.set_threshold(1, 0, 0)
        return self

    def __exit__(self, *_):
        gc.set_threshold(*self.threshold)
        gc.callbacks.remove(self.collected)


@pytest.fixture(params=[Interruption, pytest.param(Collection, marks=pytest.mark.not_refnanny)])
def interruption(request):
    if request.param is Collection:
        gc.collect()
        gc.freeze()
        yield request.param
        gc.unfreeze()
    else:
        yield request.param


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
@pytest.mark.parametrize("state", STATES)
def test_another_operation(Signal, interruption, state):
    """Two operations, one in the middle of the other: as if one came after the other."""
    points = 0
    # There are few collections; of the lines, the others are for the soak.
    all_points = interruption is Collection or os.environ.get("FASTSIG_TEST_MINUTES")
    stride = 1 if all_points else 11
    everything = {**OPERATIONS, **CHANGES}
    for first, second in itertools.product(OPERATIONS, everything):
        expected = []
        for order in ((0, 1), (1, 0)):
            it, results = world(Signal, state), [None, None]
            for which in order:
                results[which] = everything[(first, second)[which]](it)
            expected.append((*results, seen(it)))
        for point in itertools.count(1 + points % stride, stride):
            it, results = world(Signal, state), []
            with interruption(point, lambda: results.append(everything[second](it))) as context:
                result = OPERATIONS[first](it)
            if not context.happened:
                break
            points += 1
            assert (result, results[0], seen(it)) in expected, (first, second, point)
    assert points > 100 or interruption is Collection


class Interrupt(BaseException):
    pass


def interrupt():
    raise Interrupt


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
@pytest.mark.parametrize("state", STATES)
def test_an_exception(Signal, state):
    """An exception at any point: the operation is done, or was never begun."""
    for name, operation in OPERATIONS.items():
        if name.endswith("dies"):
            continue  # Python ignores what a callback of a weak reference raises
        undone, done = world(Signal, state), world(Signal, state)
        operation(done)
        expected = [seen(undone), seen(done)]
        for point in itertools.count(1):
            it = world(Signal, state)
            with contextlib.suppress(Interrupt), Interruption(point, interrupt) as context:
                operation(it)
            if not context.happened:
                break
            assert seen(it) in expected, (name, point)
    # Another thread can still edit: no exception has kept the lock.
    thread = threading.Thread(target=Signal().connect, args=(make(0),), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
