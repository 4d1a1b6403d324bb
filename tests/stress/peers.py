"""What is known to go wrong with Celery's, Django's, blinker's or psygnal's signals.

Each case says with which of them it does, and from which version on it no longer does.  A case is
given a class that is used like fastsig's `Signal`; ``python peers.py PEER CASE`` is one of them.
"""

import functools
import gc
import itertools
import os
import sys
import threading
import weakref
from importlib import metadata


def celery():
    from celery.utils.dispatch.signal import Signal

    return Signal


def django():
    from django.dispatch import Signal

    class Robust(Signal):
        send = Signal.send_robust

    return Robust


def blinker():
    from blinker import ANY, Signal

    class WithAny(Signal):
        def connect(self, receiver, sender=None, weak=True):
            return super().connect(receiver, ANY if sender is None else sender, weak)

        def disconnect(self, receiver, sender=None):
            super().disconnect(receiver, ANY if sender is None else sender)

        has_listeners = Signal.has_receivers_for

    return WithAny


class Psygnal:
    """Signals of psygnal, which have neither senders nor responses."""

    def __init__(self, emit="emit", **options):
        from psygnal import SignalInstance

        self.peer = SignalInstance((object,), **options)
        self.connect, self.disconnect = self.peer.connect, self.peer.disconnect
        self.send = getattr(self.peer, emit)


def psygnal():
    return Psygnal


def psygnal_fast():
    return functools.partial(Psygnal, "emit_fast")


def fastsig():
    from fastsig import Signal

    return Signal


PEERS = {peer.__name__: peer for peer in (celery, django, blinker, psygnal, psygnal_fast)}
ALWAYS = (10**6,)
CASES = {}


def wrong(hangs=False, counted=False, **peers):
    """Make a function a case, which goes wrong with these peers, before these versions."""

    def made(case):
        case.hangs, case.counted, case.peers = hangs, counted, peers
        CASES[case.__name__] = case
        return case

    return made


def version(peer):
    text = metadata.version(peer.removesuffix("_fast"))
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def handler(sender=None, **named):
    return 1


class Plain:
    pass


class Listener:
    def method(self, sender=None, **named):
        return 1

    def __call__(self, sender=None, **named):
        return 1


def responses(pairs):
    return [response for _, response in pairs]


def left_behind(work):
    """Return how many blocks of memory it leaves to do this a thousand times."""
    for _ in range(100):
        work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        work()
    gc.collect()
    return sys.getallocatedblocks() - before


# Senders.


def misfires(Signal, sender):
    signal = Signal()
    for _ in range(100):
        one = sender()
        signal.connect(handler, sender=one)
        del one
        fresh = [sender() for _ in range(100)]
        if any(map(signal.send, fresh)):
            return True
    return False


@wrong(celery=ALWAYS, django=(6, 0), counted=True)
def fresh_senders_after_a_dead_one(Signal):
    assert not misfires(Signal, Plain)


@wrong(celery=ALWAYS, django=ALWAYS, blinker=ALWAYS, counted=True)
def fresh_senders_after_a_dead_one_that_is_not_weakly_referenceable(Signal):
    assert not misfires(Signal, object)


@wrong(celery=ALWAYS, django=ALWAYS)
def unhashable_sender(Signal):
    signal = Signal()
    signal.connect(handler)
    assert len(signal.send([])) == 1


@wrong(celery=ALWAYS, django=ALWAYS)
def no_sender_with_caching(Signal):
    signal = Signal(use_caching=True)
    signal.connect(handler)
    assert len(signal.send(None)) == len(signal.send("s")) == 1


@wrong(django=ALWAYS)
def str_sender_by_value(Signal):
    signal = Signal()
    name, same = ("".join(["task", ".name"]) for _ in range(2))
    signal.connect(handler, sender=name)
    assert len(signal.send(same)) == 1


@wrong(blinker=ALWAYS)
def false_sender(Signal):
    """It is taken for all senders."""
    for sender in (0, False):
        signal = Signal()
        signal.connect(handler, sender=sender)
        assert len(signal.send(sender)) == 1
        assert signal.send("other") == []


@wrong(blinker=ALWAYS)
def equal_senders(Signal):
    signal = Signal()
    signal.connect(handler, sender=True)
    assert signal.send(1) == []


# Receivers.


@wrong(celery=ALWAYS, django=ALWAYS, blinker=ALWAYS)
def receiver_without_keywords(Signal):
    signal = Signal()
    receiver = lambda sender, a: a  # noqa: E731
    signal.connect(receiver)
    assert signal.send(None, a=1, b=2) == [(receiver, 1)]


@wrong(celery=ALWAYS)
def receiver_by_keyword(Signal):
    signal = Signal()
    signal.connect(receiver=handler)
    assert signal.send(None) == [(handler, 1)]


@wrong(celery=ALWAYS, django=ALWAYS, blinker=ALWAYS)
def receiver_that_is_not_callable(Signal):
    """Refused at once, and not when the signal is sent."""
    try:
        Signal().connect(Plain(), weak=False)
    except TypeError:
        return
    raise AssertionError("it was accepted")


@wrong(celery=(5, 7))
def methods_of_two_objects(Signal):
    signal, listeners = Signal(), [Listener(), Listener()]
    for listener in listeners:
        signal.connect(listener.method)
    assert len(signal.send(None)) == 2


@wrong(blinker=ALWAYS)
def order_of_connection(Signal):
    signal, listeners = Signal(), [Listener() for _ in range(50)]
    for listener in listeners:
        signal.connect(listener)
    assert [receiver for receiver, _ in signal.send(None)] == listeners


@wrong(django=ALWAYS, blinker=ALWAYS)
def order_of_connection_with_coroutines(Signal):
    async def coroutine(sender=None, **named):
        pass

    signal = Signal()
    signal.connect(coroutine)
    signal.connect(handler)
    sent = signal.send(None)
    if hasattr(sent[0][1], "close"):
        sent[0][1].close()
    assert [receiver for receiver, _ in sent] == [coroutine, handler]


@wrong(psygnal_fast=ALWAYS)
def receiver_that_disconnects_itself(Signal):
    """The next one is skipped."""
    signal, called = Signal(), []

    def once(sender=None, **named):
        signal.disconnect(once)

    def after(sender=None, **named):
        called.append(sender)

    signal.connect(once)
    signal.connect(after)
    signal.send("s")
    assert called == ["s"]


@wrong(psygnal=(0, 16, 1), counted=True)
def receiver_that_dies_meanwhile(Signal):
    signal, listeners = Signal(), [Listener()]

    def first(sender=None, **named):
        listeners.clear()

    signal.connect(first)
    signal.connect(listeners[0].method)
    signal.send("s")


# Failures.


@wrong(blinker=ALWAYS, psygnal=ALWAYS, psygnal_fast=ALWAYS)
def failure_stops_nobody(Signal):
    signal, called = Signal(), []

    def before(sender=None, **named):
        called.append("before")

    def bad(sender=None, **named):
        raise ValueError

    def after(sender=None, **named):
        called.append("after")

    for receiver in (before, bad, after):
        signal.connect(receiver)
    try:
        signal.send("s")
    except Exception as error:
        raise AssertionError("it stopped the send") from error
    assert called == ["before", "after"]


@wrong(django=ALWAYS)
def failure_of_what_has_no_name(Signal):
    signal, bad = Signal(), functools.partial(int, "no number")
    signal.connect(bad)
    assert [*map(type, responses(signal.send(None)))] in ([ValueError], [TypeError])


@wrong(celery=ALWAYS, django=ALWAYS, counted=True)
def failures_are_in_no_cycle(Signal):
    """Else the receiver lives on, and all that its frames refer to."""
    signal, receiver = Signal(), Plain()
    dead = weakref.ref(receiver)

    def bad(mine=receiver, **named):
        raise ValueError

    signal.connect(bad)
    del receiver
    signal.send(None)
    signal.disconnect(bad)
    del bad
    assert dead() is None


@wrong(psygnal=ALWAYS, psygnal_fast=ALWAYS)
def deep_recursion(Signal):
    """As deep as Python lets it."""
    signal, depths = Signal(), itertools.count()

    def deeper(sender=None, **named):
        if next(depths) < 400:
            signal.send(sender)

    signal.connect(deeper)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    try:
        signal.send("s")
    finally:
        sys.setrecursionlimit(limit)
    assert next(depths) == 401


# What is left behind.


@wrong(celery=ALWAYS, django=(6, 1), counted=True)
def connections_leave_nothing(Signal):
    """A finalizer is left each time."""
    signal = Signal()
    assert left_behind(lambda: (signal.connect(handler), signal.disconnect(handler))) < 500


@wrong(celery=ALWAYS, django=(6, 1), counted=True)
def receivers_keep_no_signal(Signal):
    """The finalizers do."""
    signal = Signal()
    signal.connect(handler)
    dead = weakref.ref(signal)
    del signal
    gc.collect()
    assert dead() is None


@wrong(blinker=ALWAYS, counted=True)
def names_of_senders_leave_nothing(Signal):
    signal, numbers = Signal(), itertools.count()

    def work():
        name = f"sender {next(numbers)}"
        signal.connect(handler, sender=name)
        signal.disconnect(handler, sender=name)

    assert left_behind(work) < 500


@wrong(blinker=ALWAYS, counted=True)
def disconnected_receiver_is_let_go(Signal):
    signal, listener = Signal(), Listener()
    signal.connect(listener, sender="s", weak=False)
    signal.disconnect(listener, sender="s")
    dead = weakref.ref(listener)
    del listener
    assert dead() is None
    assert not signal.has_listeners("s")


@wrong(psygnal=(0, 10, 2), counted=True)
def arguments_are_let_go(Signal):
    """The last ones that were sent are kept."""
    signal, argument = Signal(), Plain()
    signal.connect(handler)
    signal.send(argument)
    dead = weakref.ref(argument)
    del argument
    assert dead() is None


@wrong(psygnal=ALWAYS)
def weakly_referenceable_signal(Signal):
    signal = Signal()
    assert weakref.ref(getattr(signal, "peer", signal))() is not None


# The table.


@wrong(django=ALWAYS, counted=True)
def table_that_was_taken_earlier(Signal):
    """It stays the table when a receiver has died."""
    signal, listener = Signal(), Listener()
    table = signal.receivers
    signal.connect(listener)
    del listener
    signal.send(None)
    signal.connect(handler)
    assert signal.receivers is table


@wrong(celery=ALWAYS, django=ALWAYS)
def table_that_is_changed(Signal):
    """What was cached for the sender is called all the same."""
    signal, sender = Signal(use_caching=True), Plain()
    signal.connect(handler)
    signal.connect(handler, sender=sender)
    assert len(signal.send(sender)) == 2
    del signal.receivers[1]
    assert len(signal.send(sender)) == 1


# Locks.


@wrong(celery=ALWAYS, django=ALWAYS, hangs=True)
def finalizer_that_disconnects(Signal):
    signal = Signal()

    class Noisy:
        def __init__(self):
            self.me = self

        def __del__(self):
            signal.disconnect(handler)

    class Uid:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            Noisy()
            gc.collect()  # as any allocation might
            return True

    for _ in range(2):
        signal.connect(handler, dispatch_uid=Uid())


def forked(check):
    """Fork, and let a child that is given 2 seconds do this."""
    pid = os.fork()
    if not pid:
        import signal as os_signals

        os_signals.alarm(2)
        check()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


@wrong(celery=ALWAYS, django=ALWAYS, hangs=True)
def fork_while_another_thread_connects(Signal):
    signal = Signal()
    inside, go_on = threading.Event(), threading.Event()

    class Uid:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            inside.set()
            go_on.wait()
            return True

    def connect(uid):
        signal.connect(handler, dispatch_uid=uid)

    def check():
        signal.connect(handler, sender="s")
        signal.send("s")

    connect(Uid())
    threading.Thread(target=connect, args=(Uid(),)).start()
    inside.wait()
    try:
        forked(check)
    finally:
        go_on.set()


@wrong(psygnal=ALWAYS, hangs=True)
def fork_while_another_thread_sends(Signal):
    signal = Signal()
    inside, go_on = threading.Event(), threading.Event()

    def receiver(sender=None, **named):
        inside.set()
        go_on.wait()

    signal.connect(receiver)
    threading.Thread(target=signal.send, args=("s",)).start()
    inside.wait()

    def check():
        go_on.is_set = go_on.wait = lambda: True
        signal.send("s")

    try:
        forked(check)
    finally:
        go_on.set()


@wrong(psygnal=ALWAYS, hangs=True)
def signals_that_send_each_other(Signal):
    """From two threads, each in the middle of one when it comes to the other."""
    one, other, both = Signal(), Signal(), threading.Barrier(2)
    inner = threading.local()

    def receiver(next_one):
        def send(sender=None, **named):
            if not hasattr(inner, "sending"):
                inner.sending = True
                both.wait()
                next_one.send("s")

        return send

    receivers = [receiver(other), receiver(one)]
    one.connect(receivers[0])
    other.connect(receivers[1])
    threads = [threading.Thread(target=signal.send, args=("s",)) for signal in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    peer, name = sys.argv[1:]
    CASES[name]({**PEERS, "fastsig": fastsig}[peer]())
