"""Connecting and disconnecting: the forms, the keys, and what is refused."""

import enum
import functools
import sys
from collections import namedtuple
from fractions import Fraction

import pytest


def handler(**kwargs):
    return "handler"


def other(**kwargs):
    return "other"


class Listener:
    def method(self, **kwargs):
        return self

    @classmethod
    def of_class(cls, **kwargs):
        return cls

    @staticmethod
    def static(**kwargs):
        return "static"

    def __call__(self, **kwargs):
        return "called"


class Name(str):
    """A sender that is compared by its value."""

    __slots__ = ()


def responses(signal, sender=None, **named):
    return [response for _, response in signal.send(sender, **named)]


class TestForms:
    def test_call(self, signal):
        assert signal.connect(handler) is handler
        assert signal.send(None) == [(handler, "handler")]

    def test_receiver_by_keyword(self, signal):
        assert signal.connect(receiver=handler, sender="s") is handler
        assert responses(signal, "s") == ["handler"]
        assert responses(signal, "t") == []

    def test_decorator(self, signal):
        @signal.connect
        def receiver(**kwargs):
            return 1

        assert responses(signal) == [1]
        assert callable(receiver)

    def test_decorator_with_options(self, signal):
        @signal.connect(sender="s", weak=False, dispatch_uid="uid")
        def receiver(**kwargs):
            return 1

        del receiver
        assert responses(signal, "s") == [1]
        assert signal.disconnect(dispatch_uid="uid", sender="s")

    @pytest.mark.parametrize("name", ["task.name", b"task", "", Name("task.name")], ids=repr)
    def test_decorator_for_a_sender(self, signal, name):
        """As in Celery, where ``@task_prerun.connect("proj.add")`` is written."""

        @signal.connect(name)
        def receiver(**kwargs):
            return 1

        assert responses(signal, name) == [1]
        assert responses(signal, "other") == responses(signal) == []
        assert signal.disconnect(receiver, sender=name)

        @signal.connect(name, weak=False, dispatch_uid="uid")
        def another(**kwargs):
            return 2

        del another
        assert responses(signal, name) == [2]
        assert signal.disconnect(sender=name, dispatch_uid="uid")

    def test_callable_str(self, signal):
        """What can be called is a receiver, whatever else it is."""

        class Callable(str):
            __slots__ = ("__weakref__",)

            def __call__(self, **kwargs):
                return 1

        receiver = Callable("name")
        assert signal.connect(receiver) is receiver
        assert responses(signal) == [1]

    def test_decorator_without_arguments(self, signal):
        assert signal.connect()(handler) is handler
        assert responses(signal) == ["handler"]

    def test_positional_options(self, signal):
        signal.connect(handler, "s", False, "uid", False)
        assert signal.receivers[0][0] == ("uid", "s")
        assert signal.receivers[0][1] is handler

    def test_order_is_that_of_connection(self, signal):
        functions = [lambda i=i, **kwargs: i for i in range(50)]
        for function in functions:
            signal.connect(function)
        assert responses(signal) == list(range(50))

    def test_receiver_decorator(self, fastsig, Signal):
        first, second = Signal(), Signal()

        @fastsig.receiver([first, second], sender="s")
        @fastsig.receiver(first, dispatch_uid="all")
        def receiver(sender, **kwargs):
            return sender

        assert responses(first, "s") == ["s", "s"]
        assert responses(first, "t") == ["t"]
        assert responses(second, "s") == ["s"]
        assert responses(second, "t") == []


class TestKeys:
    def test_second_connect_is_ignored(self, signal):
        signal.connect(handler)
        signal.connect(handler)
        assert len(signal.receivers) == 1

    def test_one_receiver_for_several_senders(self, signal):
        for sender in ("a", "b", None):
            signal.connect(handler, sender=sender)
        assert responses(signal, "a") == ["handler"] * 2
        assert responses(signal, "c") == ["handler"]

    def test_methods_of_two_objects(self, signal):
        first, second = Listener(), Listener()
        signal.connect(first.method)
        signal.connect(first.method)
        signal.connect(second.method)
        assert responses(signal) == [first, second]
        assert signal.disconnect(first.method)
        assert responses(signal) == [second]

    def test_class_and_static_methods(self, signal):
        signal.connect(Listener.of_class)
        signal.connect(Listener.of_class)
        signal.connect(Listener.static)
        assert responses(signal) == [Listener, "static"]

    def test_dispatch_uid(self, signal):
        signal.connect(handler, dispatch_uid="uid")
        signal.connect(other, dispatch_uid="uid")
        assert responses(signal) == ["handler"]
        assert not signal.disconnect(handler)
        assert signal.disconnect(dispatch_uid="uid")
        assert signal.receivers == []

    def test_dispatch_uid_wins_over_that_of_the_receiver(self, signal):
        def receiver(**kwargs):
            return 1

        receiver._dispatch_uid = "own"
        signal.connect(receiver)
        signal.connect(receiver, dispatch_uid="given")
        assert [keys[0] for keys, _ in signal.receivers] == ["own", "given"]
        assert signal.disconnect(receiver)
        assert signal.disconnect(receiver, dispatch_uid="given")

    def test_false_dispatch_uid_is_none(self, signal):
        signal.connect(handler, dispatch_uid="")
        signal.connect(handler)
        assert len(signal.receivers) == 1

    def test_dispatch_uid_by_value(self, signal):
        signal.connect(handler, dispatch_uid=("app", 1))
        signal.connect(other, dispatch_uid=("app", 1))
        assert len(signal.receivers) == 1
        assert signal.disconnect(dispatch_uid=("app", 1))

    def test_dispatch_uids_that_are_equal(self, signal):
        """They are one key, of whatever type they are."""

        class Kind(str, enum.Enum):
            SAVED = "saved"

        uids = [["saved", Kind.SAVED, Name("saved")], [1, True, 1.0, Fraction(1)], [(1, "a")]]
        uids[2].append(namedtuple("Uid", "number name")(True, Kind("saved").value[1]))
        for equal in uids:
            for uid in equal:
                for again in equal:
                    signal.connect(handler, dispatch_uid=uid)
                    signal.connect(other, dispatch_uid=again)
                    assert responses(signal) == ["handler"]
                    assert signal.disconnect(dispatch_uid=again)
                    assert signal.receivers == []

    def test_dispatch_uids_with_equal_hashes(self, signal):
        """They are as many keys, whatever their hash."""
        uids = [Uid(n, n % 3 // 2) for n in range(9)]
        receivers = [lambda n=n, **kwargs: n for n in range(9)]
        for uid, receiver in zip(uids, receivers, strict=True):
            signal.connect(receiver, dispatch_uid=uid)
            signal.connect(handler, dispatch_uid=uid)
            signal.connect(receiver, sender="s", dispatch_uid=uid)
        assert responses(signal) == list(range(9))
        assert len(responses(signal, "s")) == 18
        left = list(range(9))
        for n in (4, 0, 8, 3):
            assert signal.disconnect(dispatch_uid=Uid(n, n % 3 // 2))
            assert not signal.disconnect(dispatch_uid=Uid(n, n % 3 // 2))
            left.remove(n)
            assert responses(signal) == left
            assert not signal.disconnect(dispatch_uid=Uid(n, n % 3 // 2), sender="t")
        signal.connect(receivers[4], dispatch_uid=Uid(4, 0))
        assert responses(signal) == [*left, 4]
        for n in range(9):
            assert signal.disconnect(dispatch_uid=uids[n], sender="s")
            assert signal.disconnect(dispatch_uid=uids[n]) is (n in [*left, 4])
        assert signal.receivers == []

    def test_dispatch_uid_ints_with_equal_hashes(self, signal):
        assert hash(-1) == hash(-2)
        signal.connect(handler, dispatch_uid=-1)
        signal.connect(other, dispatch_uid=-2)
        assert responses(signal) == ["handler", "other"]
        assert signal.disconnect(dispatch_uid=-2)
        assert responses(signal) == ["handler"]
        assert not signal.disconnect(dispatch_uid=-2)

    def test_dispatch_uid_that_is_not_equal_to_itself(self, signal):
        """As in Celery, where keys are compared as items of a tuple: by identity, first."""
        nan = float("nan")
        signal.connect(handler, dispatch_uid=nan)
        signal.connect(handler, dispatch_uid=nan)
        assert len(signal.receivers) == 1
        assert signal.disconnect(dispatch_uid=nan)


class Uid:
    """A `dispatch_uid` whose hash is that of others."""

    def __init__(self, number, hashed):
        self.number, self.hashed = number, hashed

    def __hash__(self):
        return self.hashed

    def __eq__(self, other):
        return self.number == other.number


class TestProxies:
    """A proxy that cannot be weakly referenced, such as Celery's of a shared task."""

    @pytest.fixture
    def proxy(self):
        class Proxy:
            __slots__ = ("target",)

            def __init__(self, target):
                self.target = target

            def _get_current_object(self):
                return self.target

            def __call__(self, **kwargs):
                return self.target(**kwargs)

        return Proxy

    def test_proxy_survives_garbage_collection(self, signal, proxy, collect):
        signal.connect(proxy(handler))
        collect()
        assert responses(signal) == ["handler"]
        ((_, reference),) = signal.receivers
        assert type(reference) is proxy

    def test_proxy_has_the_key_of_its_target(self, signal, proxy):
        signal.connect(proxy(handler))
        signal.connect(proxy(handler))
        signal.connect(handler)
        assert len(signal.receivers) == 1
        assert signal.disconnect(handler)
        signal.connect(handler)
        assert signal.disconnect(proxy(handler))
        assert signal.receivers == []

    def test_proxy_of_celery(self, signal, collect):
        local = pytest.importorskip("celery.local")
        signal.connect(local.Proxy(lambda: handler))
        collect()
        assert responses(signal) == ["handler"]
        assert signal.disconnect(handler)


class TestDisconnecting:
    def test_tells_whether_it_did(self, signal):
        assert signal.disconnect(handler) is False
        signal.connect(handler)
        assert signal.disconnect(handler) is True
        assert signal.disconnect(handler) is False
        assert signal.send(None) == []

    def test_sender_matters(self, signal):
        signal.connect(handler, sender="s")
        assert not signal.disconnect(handler)
        assert not signal.disconnect(handler, sender="t")
        assert signal.disconnect(handler, sender="s")

    def test_weak_is_deprecated(self, signal):
        signal.connect(handler)
        with pytest.warns(DeprecationWarning, match="weak"):
            assert signal.disconnect(handler, weak=True)

    def test_order_of_the_others_stays(self, signal):
        functions = [lambda i=i, **kwargs: i for i in range(5)]
        for function in functions:
            signal.connect(function)
        signal.disconnect(functions[1])
        signal.connect(functions[1])
        assert responses(signal) == [0, 2, 3, 4, 1]


class TestRefused:
    """Bad input is an error at once, says what is wrong, and changes nothing."""

    @pytest.fixture(autouse=True)
    def _nothing_changes(self, signal):
        signal.connect(handler)
        yield
        assert signal.send(None) == [(handler, "handler")]
        assert len(signal.receivers) == 1

    @pytest.mark.parametrize("thing", [3, object(), [handler], 0, False])
    def test_not_callable(self, signal, thing):
        message = (
            f"^receiver must be callable, got '{type(thing).__name__}';"
            r" to filter by sender, write connect\(sender=...\)$"
        )
        with pytest.raises(TypeError, match=message):
            signal.connect(thing)
        with pytest.raises(TypeError, match=message):
            signal.connect(receiver=thing)
        with pytest.raises(TypeError, match=message):
            signal.connect(sender="s")(thing)
        with pytest.raises(TypeError, match=message):
            signal.connect(thing, weak=False)

    @pytest.mark.parametrize("thing", [3, "task.name", b"task", None])
    def test_not_callable_by_a_decorator_for_a_sender(self, signal, thing):
        with pytest.raises(TypeError, match=r"^receiver must be callable, got "):
            signal.connect("s")(thing)

    @pytest.mark.parametrize("name", ["task.name", b"task"])
    def test_two_senders(self, signal, name):
        with pytest.raises(TypeError, match="multiple values for argument 'sender'"):
            signal.connect(name, sender="s")
        with pytest.raises(TypeError, match="multiple values for argument 'sender'"):
            signal.connect(name, "s")

    @pytest.mark.parametrize("weak", [True, None])
    def test_weakref_to_a_method_made_anew_at_each_access(self, signal, weak):
        """A weak reference to it would be dead before anybody could send."""

        class Wrapper:
            def __init__(self, function, owner):
                self.__func__, self.__self__ = function, owner

            def __call__(self, **kwargs):
                return self.__func__(self.__self__, **kwargs)

        wrapper = Wrapper(Listener.method, Listener())
        options = {} if weak is None else {"weak": weak}
        message = (
            "^'Wrapper' is a method that is created anew at each access, so a weak reference to it"
            " dies at once: connect it with weak=False$"
        )
        with pytest.raises(TypeError, match=message):
            signal.connect(wrapper, sender="s", **options)
        with pytest.raises(TypeError, match=message):
            signal.connect(sender="s", **options)(wrapper)
        signal.connect(wrapper, sender="s", weak=False)
        assert signal.disconnect(wrapper, sender="s")

    def test_weakref_to_a_method_wrapped_by_wrapt(self, signal):
        wrapt = pytest.importorskip("wrapt")

        @wrapt.decorator
        def decorate(wrapped, instance, args, kwargs):
            return "wrapped", wrapped(*args, **kwargs)

        class Decorated(Listener):
            method = decorate(Listener.method)

        listener = Decorated()
        with pytest.raises(
            TypeError, match=r"method that is created anew at each access.* weak=False"
        ):
            signal.connect(listener.method, sender="s")
        method = signal.connect(listener.method, sender="s", weak=False)
        assert responses(signal, "s")[1] == ("wrapped", listener)
        assert signal.disconnect(method, sender="s")

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="all is weakly referenceable there")
    def test_weakref_is_not_possible(self, signal):
        class Slots:
            __slots__ = ()

            def __call__(self, **kwargs):
                pass

            def method(self, **kwargs):
                pass

        for receiver in (Slots(), Slots().method):
            with pytest.raises(TypeError, match=r"cannot be weakly referenced.* weak=False"):
                signal.connect(receiver, sender="s")
            signal.connect(receiver, sender="s", weak=False)
            assert signal.disconnect(receiver, sender="s")

    def test_unhashable_dispatch_uid(self, signal):
        for uid in ([], ["uid"], {"uid": 1}):
            message = f"^dispatch_uid must be hashable, got '{type(uid).__name__}'$"
            with pytest.raises(TypeError, match=message):
                signal.connect(other, dispatch_uid=uid)
            with pytest.raises(TypeError, match=message):
                signal.disconnect(other, dispatch_uid=uid)

    def test_unhashable_own_dispatch_uid(self, signal):
        def receiver(**kwargs):
            pass

        receiver._dispatch_uid = []
        with pytest.raises(TypeError, match="unhashable"):
            signal.connect(receiver)

    def test_unknown_option(self, signal):
        with pytest.raises(TypeError, match="wek"):
            signal.connect(other, wek=False)

    def test_sender_that_cannot_be_keyed(self, signal):
        class Unbound:
            def _get_current_object(self):
                raise RuntimeError("not bound")

        with pytest.raises(RuntimeError, match="not bound"):
            signal.connect(other, sender=Unbound())


class TestRetry:
    @pytest.fixture
    def naps(self, monkeypatch):
        naps = []
        monkeypatch.setattr("time.sleep", naps.append)
        return naps

    def test_until_it_succeeds(self, signal, naps, caplog):
        tries = []

        def receiver(value):
            tries.append(value)
            if len(tries) < 20:
                raise ConnectionError
            return "done"

        wrapper = signal.connect(receiver, retry=True)
        assert signal.send(None, value=7) == [(wrapper, "done")]
        assert tries == [7] * 20
        assert naps == [*range(2, 31, 2), 30, 30, 30, 30]
        assert "Retrying in 2.00 seconds..." in caplog.messages[0]

    def test_survives_garbage_collection_and_is_disconnected_as_itself(self, signal, naps, collect):
        def connect():
            @signal.connect(retry=True)
            def receiver(**kwargs):
                return 1

        connect()
        collect()
        assert responses(signal) == [1]

        signal.connect(handler, retry=True)
        assert signal.disconnect(handler)
        assert not signal.disconnect(handler)
        wrapper = signal.connect(handler, retry=True)
        assert signal.disconnect(wrapper)

    def test_with_dispatch_uid(self, signal, naps):
        signal.connect(handler, retry=True, dispatch_uid="uid")
        assert not signal.disconnect(handler)
        assert signal.disconnect(dispatch_uid="uid")

    def test_base_exception_is_not_retried(self, signal, naps):
        @signal.connect(retry=True)
        def receiver(**kwargs):
            raise SystemExit

        with pytest.raises(SystemExit):
            signal.send(None)
        assert naps == []


def test_attributes_and_repr(Signal):
    signal = Signal(["value"], True, "saved")
    assert (signal.name, signal.providing_args, signal.use_caching) == ("saved", {"value"}, True)
    assert repr(signal) == str(signal) == "<Signal: saved providing_args={'value'}>"
    bare = Signal()
    assert (bare.name, bare.providing_args, bare.use_caching) == (None, set(), False)
    assert bare.receivers == []


def test_a_subclass_may_override(Signal):
    class Counting(Signal):
        sent = 0

        def send(self, sender, **named):
            self.sent += 1
            return super().send(sender, **named)

        def connect(self, *args, **kwargs):
            return super().connect(*args, **kwargs)

    signal = Counting()
    signal.connect(handler)
    assert signal.send(None) == [(handler, "handler")]
    assert signal.sent == 1


def test_partial_and_lambda(signal):
    partial = functools.partial(handler, value=1)
    function = lambda **kwargs: 2  # noqa: E731
    signal.connect(partial)
    signal.connect(function)
    assert responses(signal) == ["handler", 2]


def test_reference_counts_are_left_as_they_were(signal):
    class Thing:
        pass

    sender, listener = Thing(), Listener()
    signal.connect(handler, sender=sender)
    signal.disconnect(handler, sender=sender)

    def counts():
        return [sys.getrefcount(thing) for thing in (signal, sender, listener, handler)]

    if not hasattr(sys, "getrefcount"):
        pytest.skip("this interpreter does not count references")
    before = counts()
    for _ in range(1000):
        signal.connect(handler, sender=sender)
        signal.connect(listener.method)
        signal.send(sender, value=1)
        signal.disconnect(handler, sender=sender)
        signal.disconnect(listener.method)
    assert counts() == before
