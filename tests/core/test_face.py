"""The engine, and an example of a face that uses only its public names."""

import functools
import gc
import importlib
import inspect
import logging
import re
import sys
import textwrap
import weakref

import pytest


def make_face(engine):
    """Return a class of signals as another host might have them, over an engine each."""

    class Pass(engine.Policy):
        names = ()  # receivers are called as ``receiver(sender, **named)``
        trim = False
        by_value = False

    policy = Pass()

    class Event:
        """An event: receivers connect to it, and `send` calls them.

        Senders are known by their identity.  What a receiver raises reaches who sends; with
        `send_robust` it is the response.
        """

        def __init__(self, name):
            self.name = name
            self.engine = engine.Engine()
            self.engine.configure(policy, self)
            self.send = self.engine.send
            self.send_robust = self.engine.send_robust

        def connect(self, receiver, sender=None, weak=True, dispatch_uid=None):
            """Connect a receiver, unless it is connected; return it."""
            key = self.key(receiver, dispatch_uid)
            reference = self.engine.make_reference(receiver) if weak else receiver
            self.engine.add_connection(key, reference, sender)
            return receiver

        def disconnect(self, receiver=None, sender=None, dispatch_uid=None):
            """Disconnect a receiver; return whether it was connected."""
            return self.engine.remove_connection(self.key(receiver, dispatch_uid), sender)

        def key(self, receiver, dispatch_uid):
            return engine.make_key(receiver) if dispatch_uid is None else dispatch_uid

        def has_listeners(self, sender=None):
            """Return whether somebody would hear this sender."""
            return self.engine.has_listeners(sender)

        @property
        def receivers(self):
            return self.engine.receivers

        @receivers.setter
        def receivers(self, entries):
            self.engine.receivers = entries

    return Event


@pytest.fixture
def Event(engine):
    return make_face(engine)


@pytest.fixture
def event(Event):
    return Event("saved")


class Sender:
    pass


class Listener:
    def method(self, sender, **named):
        return self, sender, named

    def __call__(self, sender, **named):
        return self, sender, named


def echo(*args, **kwargs):
    return args, kwargs


class TestFace:
    def test_uses_nothing_private(self):
        text = textwrap.dedent(inspect.getsource(make_face))
        assert len(text.splitlines()) <= 60
        assert not re.findall(r"\b_(?!_)\w+|\b__(?!init__)\w+", text)

    def test_sender_by_position(self, event):
        event.connect(echo)
        assert event.send("s") == [(echo, (("s",), {}))]
        assert event.send("s", value=1) == [(echo, (("s",), {"value": 1}))]
        assert event.send(value=1, sender="s") == [(echo, (("s",), {"value": 1}))]
        assert event.send_robust(None, a=1, b=2) == [(echo, ((None,), {"a": 1, "b": 2}))]

    def test_signal_is_a_name_like_any_other(self, event):
        event.connect(echo)
        for names in (["signal"], ["signal", "value"], ["value", "signal"], ["self", "signal"]):
            named = dict.fromkeys(names, 1)
            for _ in range(2):
                assert event.send("s", **named) == [(echo, (("s",), named))]

    def test_refused_calls(self, event):
        for _ in range(2):
            for args, named in (((), {}), (("s", "t"), {}), (("s",), {"sender": "t"})):
                with pytest.raises(TypeError, match=r"sender|positional"):
                    event.send(*args, **named)
            event.connect(echo)

    @pytest.mark.parametrize("shape", ["function", "method", "object", "partial", "class"])
    def test_of_every_shape(self, event, collect, shape):
        listener = Listener()
        receiver = {
            "function": lambda sender, **named: (sender, named),
            "method": listener.method,
            "object": listener,
            "partial": functools.partial(echo, "first"),
            "class": type("Kind", (), {"__init__": lambda self, sender, **named: None}),
        }[shape]
        event.connect(receiver, sender=listener)
        ((called, response),) = event.send(listener, value=1)
        assert called == receiver
        if shape in ("method", "object"):
            assert response == (listener, listener, {"value": 1})
        assert event.has_listeners(listener)
        dead = weakref.ref(listener)
        receiver = called = response = listener = None
        collect()
        assert dead() is None
        assert event.send(None) == []
        assert event.receivers == []

    def test_names_of_a_receiver_do_not_matter(self, event):
        """The sender is the first argument, whatever that is called."""
        receiver = event.connect(lambda instance, sender=None, **named: (instance, sender, named))
        assert event.send("s", value=1) == [(receiver, ("s", None, {"value": 1}))]

    def test_nothing_is_trimmed(self, event):
        def one(sender, value):
            return value

        def other(sender):
            return "other"

        event.connect(one)
        event.connect(other)
        assert event.send_robust("s", value=1)[0] == (one, 1)
        with pytest.raises(TypeError, match="unexpected keyword argument 'value'"):
            event.send("s", value=1)
        (_, response), (_, error) = event.send_robust("s", value=1)
        assert response == 1
        assert type(error) is TypeError
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'value'"):
            event.send("s")

    def test_senders_by_identity(self, event):
        class Proxy:
            def __init__(self, target):
                self._get_current_object = lambda: target

        sender, name = Sender(), "".join(["na", "me"])
        proxy = Proxy(sender)
        senders = [sender, name, proxy, b"name", ("a", 1), 10**10, sender.__init__, []]
        for each in senders:
            event.connect(echo, sender=each, weak=False, dispatch_uid="uid")
        assert len(event.receivers) == len(senders)
        for each in senders:
            assert len(event.send(each)) == 1
            assert event.has_listeners(each)
        for other in (
            Sender(),
            "".join(["na", "me"]),
            Proxy(sender),
            bytes(bytearray(b"name")),
            [],
        ):
            assert event.send(other) == []
            assert not event.has_listeners(other)
            assert not event.disconnect(sender=other, dispatch_uid="uid")
        for each in senders:
            assert event.disconnect(sender=each, dispatch_uid="uid")
        assert event.receivers == []

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
    def test_a_name_never_stands_for_a_dead_one(self, event):
        """The identity of a sender that cannot be weakly referenced is not used again."""
        for n in range(100):
            name = f"name {n}"
            event.connect(echo, sender=name)
            assert event.send(f"name {n}") == []
        assert len(event.receivers) == 100

    def test_garbage_collected_senders_are_purged(self, event, collect):
        senders = [Sender() for _ in range(10)]
        for sender in senders:
            event.connect(echo, sender=sender)
        assert all(len(event.send(sender)) == 1 for sender in senders)
        del senders, sender
        collect()
        assert not event.has_listeners()
        assert event.receivers == []

    def test_send_stops_at_the_first_exception(self, event, caplog):
        called = []

        def good(sender, **named):
            called.append("good")

        def bad(sender, **named):
            called.append("bad")
            raise LookupError(sender)

        def later(sender, **named):
            called.append("later")

        for receiver in (good, bad, later):
            event.connect(receiver)
        for _ in range(2):
            with pytest.raises(LookupError, match="s") as error:
                event.send("s", value=1)
            assert called == ["good", "bad"]
            assert error.traceback[-1].frame.code.raw is bad.__code__
            called.clear()
        responses = event.send_robust("s", value=1)
        assert called == ["good", "bad", "later"]
        assert [receiver for receiver, _ in responses] == [good, bad, later]
        assert type(responses[1][1]) is LookupError
        assert not caplog.records

    def test_order_and_keys(self, event):
        listeners = [Listener() for _ in range(20)]
        for listener in listeners:
            event.connect(listener.method)
            event.connect(listener.method)
        assert [response[0] for _, response in event.send(None)] == listeners
        assert event.disconnect(listeners[3].method)
        assert not event.disconnect(listeners[3].method)
        event.connect(listeners[3].method)
        listeners.append(listeners.pop(3))
        assert [response[0] for _, response in event.send(None)] == listeners

    def test_receivers(self, event):
        event.connect(echo)
        saved, event.receivers = event.receivers, []
        assert event.send("s") == []
        event.receivers = saved
        assert event.receivers is saved
        assert len(event.send("s")) == 1

    def test_code_is_replaced(self, event):
        def receiver(sender, value):
            return "old", value

        event.connect(receiver)
        assert event.send("s", value=1) == [(receiver, ("old", 1))]
        receiver.__code__ = (lambda sender, **named: ("new", named)).__code__
        for _ in range(2):
            assert event.send("s", value=1) == [(receiver, ("new", {"value": 1}))]

    def test_connects_and_disconnects_while_it_sends(self, event):
        def late(sender, **named):
            return "late"

        @event.connect
        def receiver(sender, **named):
            event.connect(late, sender="s")
            return event.disconnect(receiver)

        assert event.send("s") == [(receiver, True)]
        assert event.send("s") == [(late, "late")]

    def test_owner(self, event):
        assert event.engine.get_owner() is event

    def test_signal_is_garbage_collected(self, Event, collect):
        event = Event("saved")
        event.connect(echo)
        event.send("s")
        dead = weakref.ref(event)
        del event
        collect()
        assert dead() is None


class TestEngine:
    """An engine as it is, without a policy of its own and without an owner."""

    @pytest.fixture(params=["Engine", "RobustEngine"])
    def bare(self, request, engine):
        return getattr(engine, request.param)()

    def test_receivers_get_the_engine_as_the_signal(self, bare):
        bare.add_connection("uid", echo)
        expected = [(echo, ((), {"signal": bare, "sender": "s", "value": 1}))]
        assert bare.send("s", value=1) == bare.send_robust("s", value=1) == expected
        assert bare.get_owner() is bare

    def test_trims(self, bare):
        def receiver(value):
            return value

        bare.add_connection("uid", receiver)
        assert bare.send("s", value=1, more=2) == [(receiver, 1)]

    def test_senders_by_value(self, bare):
        bare.add_connection("uid", echo, "name")
        assert len(bare.send("".join(["na", "me"]))) == 1
        assert bare.send("other") == []
        assert not bare.remove_connection("uid")
        assert bare.remove_connection("uid", "".join(["na", "me"]))

    def test_what_a_receiver_raises(self, engine, bare, caplog):
        called = []

        def bad(**kwargs):
            called.append("bad")
            raise ValueError("bad")

        def later(**kwargs):
            called.append("later")

        bare.add_connection("bad", bad)
        bare.add_connection("later", later)
        robust = isinstance(bare, engine.RobustEngine)
        if robust:
            (_, error), (_, response) = bare.send("s")
            assert type(error) is ValueError
            assert response is None
        else:
            with pytest.raises(ValueError, match="bad"):
                bare.send("s")
        assert called == ["bad", "later"][: 1 + robust]
        (_, error), _ = bare.send_robust("s")
        assert type(error) is ValueError
        assert not caplog.records

    @pytest.mark.parametrize("name", ["send", "send_robust"])
    def test_base_exception(self, bare, name):
        def bad(**kwargs):
            raise SystemExit

        bare.add_connection("bad", bad)
        with pytest.raises(SystemExit):
            getattr(bare, name)("s")

    def test_weakref(self, bare, collect):
        listener = Listener()
        reference = bare.make_reference(listener.method)
        assert isinstance(reference, weakref.WeakMethod)
        assert reference() == listener.method
        bare.add_connection("method", reference)
        bare.add_connection("object", bare.make_reference(listener))
        assert len(bare.send("s")) == 2
        del listener
        collect()
        assert not bare.has_listeners()
        assert bare.receivers == []

    def test_reference_that_cannot_be_weak(self, bare):
        for thing in (1, "name", [], object()):
            with pytest.raises(TypeError, match="weak reference"):
                bare.make_reference(thing)

    def test_entry_that_holds_more(self, bare):
        bare.add_connection("uid", echo, "s", ("more",))
        assert bare.receivers == [(("uid", "s"), echo, "more")]
        assert len(bare.send("s")) == 1
        assert bare.remove_connection("uid", "s")

    @pytest.mark.parametrize("key", [[], {}, ([],)])
    def test_key_that_is_not_hashable(self, bare, key):
        bare.add_connection("uid", echo)
        for operation in (
            lambda: bare.add_connection(key, echo),
            lambda: bare.remove_connection(key),
        ):
            with pytest.raises(TypeError, match="unhashable"):
                operation()
        assert len(bare.send("s")) == len(bare.receivers) == 1


class TestPolicies:
    def make(self, engine, owner=None, kind="RobustEngine", **attributes):
        made = getattr(engine, kind)()
        made.configure(type("Mine", (engine.Policy,), attributes)(), owner)
        return made

    @pytest.mark.parametrize("kind", ["Engine", "RobustEngine"])
    @pytest.mark.parametrize("owner", [None, Sender()], ids=["inherited", "owned"])
    def test_fail_gets_the_owner(self, engine, kind, owner):
        seen = []

        def fail(*args):
            seen.append(args)
            return "failed"

        policy = type("Mine", (engine.Policy,), {"fail": fail})()
        made = getattr(engine, kind)()
        made.configure(policy, owner)
        error = ValueError("bad")

        def bad(signal, **kwargs):
            assert signal is (owner or made)
            raise error

        made.add_connection("bad", bad)
        assert made.send_robust("s") == [(bad, "failed")]
        assert seen == [(policy, owner or made, bad, error)]
        if kind == "Engine":
            with pytest.raises(ValueError, match="bad"):
                made.send("s")
        else:
            assert made.send("s") == [(bad, "failed")]
        assert len(seen) == 1 + (kind == "RobustEngine")

    @pytest.mark.parametrize("kind", [LookupError, SystemExit])
    @pytest.mark.parametrize("planned", [True, False])
    def test_fail_that_raises(self, engine, kind, planned):
        def fail(policy, signal, receiver, exception):
            raise kind from exception

        def bad(**named):
            raise ValueError

        def receiver(**kwargs):
            pass

        def later(**kwargs):
            called.append(1)

        called = []
        made = self.make(engine, fail=fail)
        made.add_connection("bad", receiver)
        made.add_connection("later", later)
        if not planned:
            assert made.send("s") == [(receiver, None), (later, None)]
            called.clear()
        receiver.__code__ = bad.__code__
        for name in ("send", "send_robust"):
            with pytest.raises(kind) as error:
                getattr(made, name)("s")
            assert type(error.value.__cause__) is ValueError
        assert not called
        assert made.remove_connection("bad")
        assert made.send("s") == [(later, None)]

    @pytest.mark.parametrize("kind", ["function", "method", "object", "partial"])
    def test_fail_on_every_shape(self, engine, kind):
        class Listener:
            def method(self, **kwargs):
                raise ValueError

            __call__ = method

        listener = Listener()
        receiver = {
            "function": lambda **kwargs: 1 / 0,
            "method": listener.method,
            "object": listener,
            "partial": functools.partial(int, "a"),
        }[kind]
        made = self.make(engine, fail=lambda self, signal, receiver, exception: receiver)
        made.add_connection("uid", made.make_reference(receiver))
        assert made.send("s", value=1) == [(receiver, receiver)]

    def test_other_names(self, engine):
        made = self.make(engine, names=("event", "origin"))

        def trimmed(origin, event):
            return origin, event

        made.add_connection("echo", echo)
        made.add_connection("trimmed", trimmed)
        assert made.send("s", signal=1) == [
            (echo, ((), {"event": made, "origin": "s", "signal": 1})),
            (trimmed, ("s", made)),
        ]
        assert made.send(sender="s") == made.send("s")
        for _, response in made.send("s", event=1):
            assert type(response) is TypeError
            assert "multiple values for argument 'event'" in str(response)

    def test_no_trimming_by_name(self, engine):
        made = self.make(engine, trim=False)

        class Listener:
            def method(self, signal, sender, value):
                return value

            __call__ = method

        def function(signal, sender, value):
            return value

        listener, slotted = Listener(), type("Kind", (), {"__init__": lambda self, value: None})
        receivers = [function, listener.method, listener, functools.partial(function, sender=1)]
        for receiver in (*receivers, slotted):
            made.add_connection(receiver, receiver)
        assert [response for _, response in made.send("s", value=1)][:4] == [1, 1, 1, 1]
        assert type(made.send("s", value=1)[4][1]) is TypeError
        for _, response in made.send("s", value=1, more=2):
            assert type(response) is TypeError
            assert "unexpected keyword argument" in str(response)
        made = self.make(engine, kind="Engine", trim=False)
        made.add_connection("uid", lambda value: value)
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            made.send("s", value=1)

    def test_plan_is_asked_once_for_each_call_shape(self, engine):
        asked = []

        def plan(policy, receiver, names):
            asked.append((receiver, names))
            return engine.Policy.plan(policy, receiver, names)

        made = self.make(engine, plan=plan)
        made.add_connection("uid", echo)
        for _ in range(3):
            made.send("s")
            made.send("s", value=1)
        assert asked == [(echo, ("signal", "sender")), (echo, ("signal", "sender", "value"))]

    def test_plan_that_raises(self, engine):
        def plan(policy, receiver, names):
            raise LookupError

        made = self.make(engine, plan=plan)
        made.add_connection("uid", echo)
        for _ in range(2):
            with pytest.raises(LookupError):
                made.send("s")
        made.configure(engine.Policy())
        assert len(made.send("s")) == 1


class TestOverrides:
    """What somebody puts in the place of a host's `send` is what sends."""

    @pytest.fixture
    def Host(self, engine):
        class Overriding(engine.Policy):
            asked = 0

            def overrides(self, made, owner):
                assert made.get_owner() is owner
                self.asked += 1
                return type(owner).instead

            def fail(self, signal, receiver, exception):
                return "failed"

        class Host:
            instead = None
            send = engine.class_send
            send_robust = engine.class_send_robust

            def __init__(self):
                adopt(self)

        def adopt(signal):
            made = vars(signal).get("_fastsig")
            if made is None or made.get_owner() is not signal:
                made = signal._fastsig = engine.RobustEngine()
                signal.policy = Overriding()
                made.configure(signal.policy, signal)
                signal.receivers = made.receivers
            return made

        engine.register_host(Host, adopt)
        return Host

    def test_nothing_overrides(self, Host):
        host = Host()
        host._fastsig.add_connection("uid", echo)
        expected = [(echo, ((), {"signal": host, "sender": "s", "value": 1}))]
        assert host.send("s", value=1) == host.send_robust("s", value=1) == expected
        assert host._fastsig.send("s", value=1) == expected

    @pytest.mark.parametrize("name", ["send", "send_robust"])
    def test_of_the_class(self, Host, name):
        host = Host()
        host._fastsig.add_connection("uid", echo)
        send = getattr(host, name)
        assert len(send("s")) == 1
        Host.instead = (None, lambda *args, **named: ["class", args, named])
        assert send("s", value=1) == ["class", ("s",), {"value": 1}]
        assert send(sender="s") in (["class", (), {"sender": "s"}], ["class", ("s",), {}])
        Host.instead = (echo, None)
        assert send("s") == [(echo, ((), {"signal": host, "sender": "s"}))]
        Host.instead = None
        assert len(send("s")) == 1

    def test_of_the_signal(self, engine, Host):
        if not engine.compiled:
            pytest.skip("there, the send of an engine does not ask for overrides")
        host = Host()
        made = host._fastsig
        made.add_connection("uid", echo)
        for send in (made.send, made.send_robust):
            assert len(send("s")) == 1
            Host.instead = (lambda *args, **named: ["signal", args, named], None)
            assert send("s", value=1) == ["signal", ("s",), {"value": 1}]
            assert send(sender="s") == ["signal", (), {"sender": "s"}]
            Host.instead = (None, echo)
            assert send("s") == [(echo, ((), {"signal": host, "sender": "s"}))]
            Host.instead = None
            assert len(send("s")) == 1

    def test_that_raises(self, Host):
        host = Host()
        host._fastsig.add_connection("uid", echo)
        Host.instead = (None, lambda *args, **named: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                host.send("s")
        Host.instead = None
        assert len(host.send("s")) == 1

    def test_asked_for_when_the_class_or_the_table_was_changed(self, engine, Host):
        if not engine.compiled:
            pytest.skip("nobody tells a Python program that a class was changed")
        host = Host()
        host._fastsig.add_connection("uid", echo)
        host.send("s")
        asked = host.policy.asked
        for _ in range(10):
            host.send("s")
        assert host.policy.asked == asked
        Host.another = 1
        host.send("s")
        assert host.policy.asked == asked + 1
        host._fastsig.look_for_overrides_again()
        host.send("s")
        assert host.policy.asked == asked + 2
        host._fastsig.add_connection("another", echo)
        host.send("s")
        assert host.policy.asked == asked + 2
        host._fastsig.receivers.append((("uid", id(None)), echo))
        for _ in range(2):
            host.send("s")
        assert host.policy.asked == asked + 3

    def test_asked_for_while_a_send_asks(self, engine, Host):
        """As another thread does that patches the signal when the policy has already looked."""
        if not engine.compiled:
            pytest.skip("there, the send of an engine does not ask for overrides")
        host = Host()
        ask = host.policy.overrides

        def overrides(made, owner):
            found = ask(made, owner)
            made.look_for_overrides_again()
            return found

        host.policy.overrides = overrides
        host._fastsig.send("s")
        host.policy.overrides = ask
        asked = host.policy.asked
        for _ in range(3):
            host._fastsig.send("s")
        assert host.policy.asked == asked + 1

    def test_a_signal_of_before(self, engine, Host):
        """One that has no engine yet is adopted when it is sent."""
        host = Host.__new__(Host)
        host.receivers = [(("uid", id(None)), echo)]
        assert host.send("s") == []
        host._fastsig.add_connection("uid", echo)
        assert host.send("s") == [(echo, ((), {"signal": host, "sender": "s"}))]

    def test_a_copy(self, engine, Host):
        """It does not send through the engine of what it is a copy of."""
        host = Host()
        host._fastsig.add_connection("uid", echo)
        copied = Host.__new__(Host)
        vars(copied).update(vars(host))
        assert copied.send("s") == []
        assert copied._fastsig is not host._fastsig
        assert len(host.send("s")) == 1

    def test_no_engine(self, engine):
        """What adopts may return what sends instead of an engine."""

        class Left:
            send = engine.class_send
            receivers = (1,)

        engine.register_host(Left, lambda signal: functools.partial(echo, signal))
        left = Left()
        assert left.send("s", value=1) == ((left, "s"), {"value": 1})


def test_policy_of_fastsig_logs(fastsig, engine, caplog):
    """`fastsig.Signal` is a `RobustEngine` with a policy that logs."""
    signal = fastsig.Signal()
    assert isinstance(signal, engine.RobustEngine)
    assert isinstance(importlib.import_module("fastsig.signal").LOGGING, engine.Policy)

    @signal.connect
    def bad(**kwargs):
        raise ValueError

    with caplog.at_level(logging.ERROR):
        signal.send("s")
        signal.send_robust("s")
    assert len(caplog.records) == 2


class TestPurging:
    """A host that itself takes out of the table what died."""

    @pytest.fixture
    def host(self, engine):
        class Keeps(engine.Policy):
            by_value = False
            purges = False

        host = engine.Engine()
        host.configure(Keeps(), object())
        return host

    def test_the_dead_stay(self, host, engine, collect):
        def receiver(**kwargs):
            return 1

        def other(**kwargs):
            return 2

        class Sender:
            pass

        sender = Sender()
        host.add_connection("one", host.make_reference(receiver), None, (None, False))
        host.add_connection("two", other, sender, (None, False))
        assert [response for _, response in host.send(sender)] == [1, 2]
        entries = list(host.receivers)
        assert [entry[2:] for entry in entries] == [(None, False)] * 2
        del receiver, sender
        collect()
        for _ in range(3):
            assert host.send(None) == []
        assert not host.has_listeners()
        assert host.receivers == entries

    def test_a_dead_entry_is_in_the_way_until_it_is_removed(self, host, collect):
        def receiver(**kwargs):
            return 1

        def other(**kwargs):
            return 2

        host.add_connection("key", host.make_reference(receiver))
        del receiver
        collect()
        host.add_connection("key", other)
        assert host.send(None) == []
        assert host.remove_connection("key")
        host.add_connection("key", other)
        assert host.send(None) == [(other, 2)]


class TestRobustness:
    """What nobody does on purpose corrupts nothing."""

    @pytest.fixture
    def bare(self, engine):
        return engine.Engine()

    def test_a_weak_reference_that_returns_a_function_for_a_method(self, bare):
        class Target:
            def method(self, **kwargs):
                return type(self)

        target = Target()

        class Changing(weakref.ref):
            bound = True

            def __call__(self):
                return target.method if Changing.bound else Target.method

        bare.receivers = [(("key", id(None)), Changing(target))]
        assert bare.send("s") == [(target.method, Target)]
        Changing.bound = False
        with pytest.raises(TypeError, match="self"):
            bare.send("s")

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs CPython's collector")
    def test_send_while_the_collector_clears_the_engine(self, bare):
        """A finalizer that comes late may find an engine whose list of facts is empty."""
        cell = next(each for each in gc.get_referents(bare) if type(each) is list)
        cell.clear()
        with pytest.raises(IndexError):
            bare.send("s")

    def test_another_owner_during_a_send(self, engine, bare):
        class Owner:
            pass

        def first(signal, **kwargs):
            del signal
            bare.configure(engine.Policy(), None)

        bare.configure(engine.Policy(), Owner())
        second = functools.partial(lambda signal, **kwargs: type(signal))
        for receiver in (first, second):
            bare.add_connection(id(receiver), receiver)
        assert bare.send("s") == [(first, None), (second, Owner)]

    def test_dead_senders_of_a_host_that_purges(self, engine, bare):
        """An engine that does not purge knows no senders, and never waits for one to go."""

        class Keeping(engine.Policy):
            purges = False

        class Sender:
            pass

        bare.configure(Keeping())
        sender = Sender()
        bare.know_sender(sender)
        bare.add_connection(id(echo), echo, sender)
        assert len(bare.send(sender)) == 1
        dead = id(sender)
        del sender
        made = (Sender() for _ in range(1000))
        again = next((each for each in made if id(each) == dead), None)
        assert len(bare.send(again)) == (id(again) == dead)

    def test_unplanned_receivers_are_planned_once(self, engine, bare):
        class Unplanned(engine.Policy):
            unplanned = True

        bare.configure(Unplanned())
        bare.add_connection(id(echo), echo)
        for _ in range(3):
            assert len(bare.send("s")) == 1
            assert len(bare.find_route("s").shapes) == 1

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs reference counts")
    def test_attributes_of_a_signal_that_cannot_be_compared(self, engine):
        class Bad:
            def __hash__(self):
                return hash("_fastsig")

            def __eq__(self, other):
                raise ValueError("cannot be compared")

        class Host:
            send = engine.class_send
            receivers = (1,)

        host = Host()
        vars(host)[Bad()] = 1
        attributes = vars(host)
        before = sys.getrefcount(attributes)
        for _ in range(10):
            with pytest.raises(ValueError, match="cannot be compared"):
                host.send("s")
        assert sys.getrefcount(attributes) == before

    def test_a_watcher_that_comes_while_an_engine_is_made(self, engine, core, monkeypatch):
        """Whoever watches all signals finds each engine, or the engine has the watcher."""
        if core == "compiled":
            pytest.skip("nothing can be put between the lines of compiled code")
        table = sys.modules[engine.Engine.__mro__[1].__module__]
        watcher = object()
        seen = []

        class Gone(table.Gone):
            def __init__(self, number):
                super().__init__(number)
                engine.watch_new(watcher)
                seen.extend(engine.list_engines())

        monkeypatch.setattr(table, "Gone", Gone)
        try:
            made = engine.Engine()
        finally:
            engine.watch_new(None)
        assert made not in seen
        assert made._cell[3] is watcher
