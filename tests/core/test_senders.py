"""Senders: their keys, and that no sender is mistaken for another."""

import functools
import sys
import weakref

import pytest


def handler(**kwargs):
    return "handler"


class Plain:
    pass


class Unweak:
    __slots__ = ()


class Unhashable:
    __hash__ = None


class Proxy:
    """As Celery's and werkzeug's proxies: an object of another class, with a way to its target."""

    def __init__(self, target):
        self.target = target

    def _get_current_object(self):
        return self.target


def called(signal, sender):
    return len(signal.send(sender))


class TestKeys:
    @pytest.mark.parametrize(
        ("connected", "same", "other"),
        [
            ("task.name", "".join(["task", ".name"]), "task.other"),
            (b"task", bytes(bytearray(b"task")), b"other"),
            ("", "".join([]), " "),
        ],
    )
    def test_str_and_bytes_by_value(self, signal, connected, same, other):
        signal.connect(handler, sender=connected)
        assert called(signal, same) == 1
        assert called(signal, other) == called(signal, None) == 0
        assert signal.disconnect(handler, sender=same)

    def test_str_subclass_by_value(self, signal):
        class Name(str):
            __slots__ = ()

            def __eq__(self, other):
                raise RuntimeError

            __hash__ = None

        signal.connect(handler, sender=Name("task"))
        assert called(signal, "task") == called(signal, Name("task")) == 1
        assert called(signal, Name("other")) == 0

    def test_equal_objects_are_not_the_same(self, signal):
        class Equal:
            def __eq__(self, other):
                return True

            def __hash__(self):
                return 1

        first, second = Equal(), Equal()
        signal.connect(handler, sender=first)
        assert called(signal, first) == 1
        assert called(signal, second) == 0

    @pytest.mark.parametrize("sender", [[], {}, Unhashable(), set()])
    def test_unhashable(self, signal, sender):
        assert called(signal, sender) == 0
        signal.connect(handler)
        assert called(signal, sender) == 1
        signal.connect(handler, sender=sender)
        assert called(signal, sender) == 2
        assert called(signal, type(sender)()) == 1
        assert signal.disconnect(handler, sender=sender)

    def test_none_reaches_those_who_take_any(self, signal):
        signal.connect(handler)
        signal.connect(handler, sender="s")
        assert called(signal, None) == 1

    def test_bound_methods(self, signal):
        class Owner:
            def method(self):
                pass

        first, second = Owner(), Owner()
        signal.connect(handler, sender=first.method)
        assert called(signal, first.method) == 1
        assert called(signal, second.method) == 0
        assert signal.disconnect(handler, sender=first.method)

    def test_senders_that_lie(self, signal):
        class Liar:
            __class__ = str

        class Worse:
            @property
            def __class__(self):
                raise RuntimeError

            def __getattribute__(self, name):
                raise RuntimeError(name)

            def __eq__(self, other):
                raise RuntimeError

            def __hash__(self):
                raise RuntimeError

        for sender in (Liar(), Worse()):
            signal.connect(handler, sender=sender)
            assert called(signal, sender) == 1
            assert called(signal, type(sender)()) == 0
            assert signal.disconnect(handler, sender=sender)

    def test_use_caching_changes_nothing(self, Signal):
        signal = Signal(use_caching=True)
        signal.connect(handler, sender="s")
        assert called(signal, "s") == 1
        assert called(signal, None) == called(signal, []) == 0


class TestProxies:
    def test_a_proxy_stands_for_its_target(self, signal):
        target = Plain()
        signal.connect(handler, sender=Proxy(target))
        assert called(signal, target) == called(signal, Proxy(target)) == 1
        assert called(signal, Proxy(Plain())) == 0
        assert signal.disconnect(handler, sender=target)

    def test_proxy_target_may_change(self, signal):
        first, second = Plain(), Plain()
        proxy = Proxy(first)
        signal.connect(handler, sender=first)
        assert called(signal, proxy) == 1
        proxy.target = second
        assert called(signal, proxy) == 0

    def test_the_receiver_gets_the_proxy(self, signal):
        proxy = Proxy("name")
        seen = []
        receiver = signal.connect(lambda sender: seen.append(sender), sender="name", weak=False)
        assert receiver
        signal.send(proxy)
        assert seen == [proxy]

    def test_unbound(self, signal):
        class Unbound:
            def _get_current_object(self):
                raise RuntimeError("not bound")

        assert called(signal, Unbound()) == 0
        signal.connect(handler, sender="s")
        with pytest.raises(RuntimeError, match="not bound"):
            signal.send(Unbound())

    def test_proxy_of_celery_and_werkzeug(self, signal):
        local = pytest.importorskip("celery.local")
        target = Plain()
        signal.connect(handler, sender=target)
        assert called(signal, local.Proxy(lambda: target)) == 1

    def test_promise_proxy_connects_when_it_is_evaluated(self, signal):
        local = pytest.importorskip("celery.local")
        target = Plain()
        promise = local.PromiseProxy(lambda: target)
        assert signal.connect(handler, sender=promise) is handler
        assert signal.receivers == []
        assert called(signal, target) == 0
        promise.__evaluate__()
        assert called(signal, target) == called(signal, promise) == 1
        signal.connect(handler, sender=promise)
        assert called(signal, target) == 1
        assert signal.disconnect(handler, sender=promise)

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="all is weakly referenceable there")
    def test_bad_input_for_a_promise_proxy_is_refused_at_once(self, signal):
        local = pytest.importorskip("celery.local")
        promise = local.PromiseProxy(Plain)
        with pytest.raises(TypeError, match="cannot be weakly referenced"):
            signal.connect(Unweak.__init__, sender=promise)


class TestIdReuse:
    """No sender receives what was connected for a dead one that had the same `id`."""

    @pytest.mark.id_reuse
    @pytest.mark.parametrize("form", ["object", "method"])
    def test_new_senders_after_a_garbage_collected_one(self, signal, collect, form):
        class Sender:
            def method(self):
                pass

        def sender(instance):
            return instance.method if form == "method" else instance

        reused = 0
        for _ in range(20):
            one = Sender()
            address = id(one)
            signal.connect(handler, sender=sender(one))
            del one
            others = []  # kept, and without their methods, so that one of them takes the address
            for _ in range(2000):
                others.append(Sender())
                if id(others[-1]) == address:
                    reused += 1
                    break
            another = sender(others[-1])
            assert called(signal, another) == 0
            assert not signal.has_listeners(another)
        collect()
        assert called(signal, None) == 0
        assert signal.receivers == []
        assert reused or not hasattr(sys, "getrefcount")

    @pytest.mark.id_reuse
    @pytest.mark.parametrize("others", [0, 1])
    @pytest.mark.parametrize("connects", ["again", "first", "disconnected"])
    def test_new_senders_after_a_garbage_collected_one_that_connected_last(
        self, signal, collect, others, connects
    ):
        """From CPython 3.14 on, nobody is told that it has died then."""

        class Sender:
            def __init__(self):
                self.myself = self

            def __del__(self):
                signal.connect(handler, sender=self)
                sent.append(called(signal, self))
                if connects == "disconnected":
                    signal.disconnect(handler, sender=self)

        sent = []
        for n in range(others):
            signal.connect(test_many_senders, sender=f"another {n}")
        senders = [Sender() for _ in range(200)]
        if connects == "again":
            for sender in senders:
                signal.connect(handler, sender=sender)
        addresses = {id(sender) for sender in senders}
        sender = senders.clear()
        collect()
        assert set(sent) == {1}
        again = [each for each in [Plain() for _ in range(20_000)] if id(each) in addresses]
        assert sum(called(signal, sender) for sender in again[::2]) == 0
        assert not any(signal.disconnect(handler, sender=sender) for sender in again[::3])
        for sender in again:
            signal.connect(handler, sender=sender)
        assert [called(signal, sender) for sender in again] == [1] * len(again)
        for sender in again:
            assert signal.disconnect(handler, sender=sender)
        assert called(signal, None) == 0
        assert len(signal.receivers) == others
        assert again or not hasattr(sys, "getrefcount")

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="PyPy tells of all deaths")
    @pytest.mark.parametrize("then", ["send", "connect", "disconnect", "has_listeners"])
    @pytest.mark.parametrize("asked", [False, True])
    def test_weakref_of_a_garbage_cycle_does_not_call_back(self, Signal, collect, then, asked):
        """Weak references are cleared with the cycle that they are part of, and not called."""

        class Owner:
            def __init__(self):
                self.signal, self.sender, self.myself = Signal(), Plain(), self

            def __del__(self):
                kept.append(self)

        kept = []
        owner = Owner()
        owner.signal.connect(handler, sender=owner.sender, weak=False)
        owner.signal.connect(handler, sender="another", weak=False)
        if asked:
            assert called(owner.signal, owner.sender) == 1
        del owner
        collect()
        [owner] = kept
        signal, sender = owner.signal, owner.sender
        if then == "send":
            assert called(signal, sender) == 0
        elif then == "disconnect":
            assert not signal.disconnect(handler, sender=sender)
        elif then == "has_listeners":
            assert not signal.has_listeners(sender)
        for _ in range(2):
            signal.connect(handler, sender=sender)
            assert called(signal, sender) == 1
        assert signal.disconnect(handler, sender=sender)
        assert called(signal, sender) == 0
        assert called(signal, "another") == 1

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
    def test_the_new_sender_can_be_connected(self, signal):
        for _ in range(1000):
            sender = Plain()
            signal.connect(handler, sender=sender)
            assert called(signal, sender) == 1
            assert len(signal.receivers) == 1
            del sender

    def test_sender_without_weakref_survives_garbage_collection(self, signal, collect):
        sender = Unweak()
        signal.connect(handler, sender=sender)
        address = id(sender)
        del sender
        collect()
        others = [Unweak() for _ in range(100)]
        assert address not in map(id, others)
        assert sum(called(signal, other) for other in others) == 0

    def test_sender_without_weakref_survives_until_it_is_disconnected(self, signal):
        class Part:
            pass

        class Sender:
            __slots__ = ("part",)

        import weakref

        sender = Sender()
        sender.part = Part()
        alive = weakref.ref(sender.part)
        signal.connect(handler, sender=sender)
        signal.connect(test_many_senders, sender=sender)
        signal.disconnect(handler, sender=sender)
        again = sender
        del sender
        assert alive() is not None
        assert signal.disconnect(test_many_senders, sender=again)
        del again
        __import__("gc").collect()
        assert alive() is None

    def test_it_does_not_matter_how_often_it_was_connected(self, signal):
        sender = Plain()
        receivers = [functools.partial(handler, n=n) for n in range(3)]
        for receiver in receivers:
            signal.connect(receiver, sender=sender)
        signal.disconnect(receivers[1], sender=sender)
        assert called(signal, sender) == 2
        del sender
        assert sum(called(signal, Plain()) for _ in range(100)) == 0


def test_many_senders(signal):
    senders = [f"task.{i}" for i in range(300)] + [Plain() for _ in range(300)]
    seen = []
    receivers = [lambda sender, i=i: seen.append((i, sender)) for i in range(len(senders))]
    everything = signal.connect(lambda sender: seen.append(("any", sender)), weak=False)
    for receiver, sender in zip(receivers, senders, strict=True):
        signal.connect(receiver, sender=sender)
    last = signal.connect(lambda sender: seen.append(("last", sender)), weak=False)
    assert everything
    assert last
    for _ in range(2):
        for i, sender in enumerate(senders):
            signal.send(sender)
            assert seen == [("any", sender), (i, sender), ("last", sender)]
            seen.clear()


@pytest.mark.parametrize("count", [1, 3, 300])
@pytest.mark.parametrize("make", [lambda i: Plain(), lambda i: f"task.{i}"], ids=["object", "str"])
def test_senders_that_are_not_connected(signal, count, make):
    connected = [make(i) for i in range(count)]
    others = [make(i) for i in range(count, 2 * count)]
    receivers = [lambda sender, i=i: i for i in range(count)]
    for receiver, sender in zip(receivers, connected, strict=True):
        signal.connect(receiver, sender=sender)
    for _ in range(3):
        for i, sender in enumerate(connected):
            assert signal.send(sender) == [(receivers[i], i)]
        for sender in others:
            assert signal.send(sender) == []


def test_sender_keys_that_no_object_has(signal):
    """A table that somebody else fills may have any int."""
    sender = Plain()
    signal.connect(handler, sender=sender)
    [(keys, reference)] = signal.receivers
    for number in (0, -5, 2**63, 2**64, 2**200, True, id(sender) + 1):
        signal.receivers.append(((keys[0], number), reference))
    for _ in range(3):
        assert len(signal.send(sender)) == 1
        assert signal.send(Plain()) == []


def test_weakref_as_a_sender(signal, collect):
    """It is a sender like any other: what it refers to may die."""

    class Target:
        pass

    target = Target()
    sender = weakref.ref(target)
    signal.connect(handler, sender=sender)
    del target
    collect()
    signal.connect(handler, sender="other")
    assert len(signal.send(sender)) == 1
    assert signal.disconnect(handler, sender=sender)


def test_a_receiver_that_raises_for_several_keys_of_a_sender(Signal):
    class Base:
        pass

    class Task(Base):
        __trace__ = None
        name = "proj.add"

        def apply_async(self):
            pass

    def fails(**kwargs):
        raise KeyError

    task = Task()
    keys = [{"sender": "proj.add"}, {"sender": task}, {"sender": Base, "subclasses": True}]
    for first in keys:
        for second in keys:
            signal = Signal(name="several")
            signal.connect(handler, **first)
            signal.connect(fails, on_error="raise", **second)
            with pytest.raises(KeyError):
                signal.send(task)
            assert signal.disconnect(fails, **second)
            assert signal.send(task) == [(handler, "handler")]
