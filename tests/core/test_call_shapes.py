"""Call plans: through `send`, a receiver sees exactly what it sees when it is called by keyword."""

import contextlib
import functools
import inspect
import keyword
import sys
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def by_keyword(receiver, named):
    """Call a receiver by keyword, with what it takes of `named`; return ``(kind, outcome)``."""
    parameters = inspect.signature(receiver).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        takes = {
            parameter.name
            for parameter in parameters
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        }
        named = {name: value for name, value in named.items() if name in takes}
    try:
        return "returned", receiver(**named)
    except TypeError as error:
        return "raised", str(error)


def by_send(signal, sender, named):
    ((_, response),) = signal.send(sender, **named)
    if isinstance(response, TypeError):
        return "raised", str(response)
    return "returned", response


NAMES = ["sender", "signal", "task_id", "args", "kwargs", "self", "x", "naïve"]


@st.composite
def signatures(draw):
    """Draw the source of a parameter list, of parameters of every kind."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    cuts = sorted(draw(st.tuples(*[st.integers(0, len(names))] * 2)))
    parts, defaults_from = [], draw(st.integers(0, len(names)))
    for i, name in enumerate(names):
        if i == cuts[0] and i:
            parts.append("/")
        if i == cuts[1]:
            parts.append(draw(st.sampled_from(["*", "*rest"])))
        only = i >= cuts[1]
        default = draw(st.booleans()) if only else i >= defaults_from
        parts.append(f"{name}='default {name}'" if default else name)
    if cuts[0] == len(names) and names:
        parts.append("/")
    if draw(st.booleans()):
        parts.append("**extra")
    return ", ".join(parts)


@pytest.mark.parametrize("weak", [True, False], ids=["weak", "strong"])
@pytest.mark.parametrize("shape", ["function", "method", "object"])
def test_any_signature(Signal, shape, weak):
    type_of_test = settings(max_examples=200, deadline=None, derandomize=True)

    @type_of_test
    @given(signatures(), st.lists(st.sampled_from(NAMES), unique=True), st.booleans())
    def check(parameters, names, again):
        scope = {}
        bound = "" if shape == "function" else "this, /" if "/" not in parameters else "this"
        head = ", ".join(filter(None, [bound, parameters]))
        if "/" in parameters and shape != "function":
            head = f"this, {parameters}"
        exec(f"def function({head}): return locals()", scope)
        function = receiver = scope["function"]
        if shape != "function":
            name = "method" if shape == "method" else "__call__"
            owner = type("Owner", (), {name: function})()
            receiver = owner.method if shape == "method" else owner
        signal = Signal()
        signal.connect(receiver, weak=weak)
        named = {name: object() for name in names if name not in ("sender", "signal")}
        everything = {"signal": signal, "sender": "s", **named}
        for _ in range(1 + again):
            assert by_send(signal, "s", named) == by_keyword(receiver, everything)

    check()


class TestTrimming:
    """A receiver without ``**kwargs``, which Celery refuses, gets what it has names for."""

    def test_a_whole_handler(self, signal):
        @signal.connect
        def on_prerun(task_id, task):
            return task_id, task

        assert signal.send("s", task_id=1, task=2, args=(), kwargs={}) == [(on_prerun, (1, 2))]
        assert signal.send(task=2, args=(), task_id=1, sender="s") == [(on_prerun, (1, 2))]

    def test_nothing(self, signal):
        receiver = signal.connect(lambda: 1)
        assert signal.send("s", value=1) == [(receiver, 1)]

    def test_missing_argument_is_the_usual_error(self, signal, caplog):
        @signal.connect
        def receiver(task_id, missing):
            pass

        ((_, error),) = signal.send("s", task_id=1)
        assert type(error) is TypeError
        assert "missing 1 required positional argument: 'missing'" in str(error)
        assert len(caplog.records) == 1

    def test_keyword_only(self, signal):
        receiver = signal.connect(lambda *, sender, value=5, other=6: (sender, value, other))
        assert signal.send("s", value=1, more=2) == [(receiver, ("s", 1, 6))]

    def test_positional_only_cannot_be_sent(self, signal):
        @signal.connect
        def receiver(value, /, sender):
            pass

        ((_, error),) = signal.send("s", value=1)
        assert "missing 1 required positional argument: 'value'" in str(error)

    def test_decorated(self, signal):
        def decorate(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return "wrapped", function(*args, **kwargs)

            return wrapper

        @signal.connect
        @decorate
        def everything(**kwargs):
            return sorted(kwargs)

        assert [response for _, response in signal.send("s", value=1, more=2)] == [
            ("wrapped", ["more", "sender", "signal", "value"]),
        ]

    def test_decorated_with_other_parameters(self, signal):
        """As in Celery, what counts is the function that is called, not what it wraps."""

        def decorate(function):
            @signal.connect
            @functools.wraps(function)
            def taking_all(*args, **kwargs):
                return function(args, sorted(kwargs))

            @signal.connect
            @functools.wraps(function)
            def trimmed(more):
                return function(more)

            return taking_all, trimmed

        def wrapped(*args):
            return args

        connected = decorate(wrapped)
        assert [response for _, response in signal.send("s", value=1, more=2)] == [
            ((), ["more", "sender", "signal", "value"]),
            (2,),
        ]
        assert all(signal.disconnect(each) for each in connected)

    def test_retried(self, signal):
        """It gets the arguments that the receiver itself would."""

        @signal.connect(retry=True)
        def by_position(value, more=0, *, sender):
            return value, more, sender

        @signal.connect(retry=True)
        def everything(value, **kwargs):
            return value, sorted(kwargs)

        for more in ({}, {"more": 2}):
            assert [response for _, response in signal.send("s", value=1, other=3, **more)] == [
                (1, more.get("more", 0), "s"),
                (1, sorted(["other", "sender", "signal", *more])),
            ]

        @functools.wraps(by_position)
        def wrapper(**kwargs):
            return sorted(kwargs)

        signal.receivers.clear()
        signal.connect(wrapper)
        assert signal.send("s", value=1) == [(wrapper, ["sender", "signal", "value"])]

    def test_other_callables(self, signal):
        class Slotted:
            def __init__(self, value):
                self.value = value

        class Listener:
            def __call__(self, value):
                return "object", value

        def function(value, other, more=0):
            return value, other, more

        receivers = [
            functools.partial(function, other=5),
            Listener(),
            Slotted,
            mock.create_autospec(function, return_value="mock"),
            functools.partialmethod(function).func,
        ]
        for receiver in receivers:
            signal.connect(receiver, weak=False)
        partial, listener, slotted, mocked, plain = signal.send("s", value=1, other=2, extra=3)
        assert partial[1] == (1, 2, 0)
        assert listener[1] == ("object", 1)
        assert type(slotted[1]) is Slotted
        assert slotted[1].value == 1
        assert mocked[1] == "mock"
        receivers[3].assert_called_once_with(value=1, other=2)
        assert plain[1] == (1, 2, 0)


class TestOtherReceivers:
    def test_mock(self, signal):
        receiver = mock.Mock(return_value=3)
        signal.connect(receiver)
        assert signal.send("s", value=1) == [(receiver, 3)]
        receiver.assert_called_once_with(signal=signal, sender="s", value=1)

    def test_class(self, signal):
        signal.connect(dict)
        assert signal.send("s", value=1) == [(dict, {"signal": signal, "sender": "s", "value": 1})]

    def test_generator_and_coroutine_functions(self, signal):
        @signal.connect
        def generate(value, **kwargs):
            yield value

        @signal.connect
        async def wait(value, **kwargs):
            return value

        (_, generator), (_, coroutine) = signal.send("s", value=1)
        assert list(generator) == [1]
        with pytest.raises(StopIteration, match="1"):
            coroutine.send(None)

    def test_builtin(self, signal):
        signal.connect(max, weak=False)
        ((receiver, response),) = signal.send("s", value=1)
        assert receiver is max
        assert isinstance(response, TypeError)

    def test_another_signals_send(self, Signal):
        first, second = Signal(), Signal()
        seen = []
        second.connect(seen.append, weak=False)
        first.connect(second.send, weak=False)
        ((_, response),) = first.send("s", value=1)
        assert isinstance(response, (TypeError, list))

    def test_metaclass_call(self, signal):
        class Meta(type):
            def __call__(cls, **kwargs):
                return cls, sorted(kwargs)

        class Receiver(metaclass=Meta):
            pass

        signal.connect(Receiver)
        assert signal.send("s") == [(Receiver, (Receiver, ["sender", "signal"]))]

    @pytest.mark.parametrize("kind", [staticmethod, classmethod])
    def test_call_that_is_no_method(self, signal, kind):
        class Receiver:
            @kind
            def __call__(*args, **kwargs):
                return args, kwargs

        receiver = Receiver()
        signal.connect(receiver)
        assert signal.send("s", value=1) == [
            (receiver, receiver(signal=signal, sender="s", value=1))
        ]

    def test_signature_that_raises(self, signal):
        class Receiver(functools.partial):
            @property
            def __signature__(self):
                raise RuntimeError

        receiver = Receiver(lambda **kwargs: sorted(kwargs))
        signal.connect(receiver)
        assert signal.send("s") == [(receiver, ["sender", "signal"])]


class TestChanges:
    """A plan holds for one code object, and what it was made for may change at any time."""

    def test_code_is_replaced(self, signal):
        def receiver(sender, value, **kwargs):
            return "old", value

        def swapped(value, sender):
            return "new", value, sender

        signal.connect(receiver)
        assert signal.send("s", value=1, more=2) == [(receiver, ("old", 1))]
        receiver.__code__ = swapped.__code__
        for _ in range(3):
            assert signal.send("s", value=1, more=2) == [(receiver, ("new", 1, "s"))]

    def test_code_is_replaced_in_the_middle_of_a_send(self, signal):
        def other(value):
            return "new", value

        def first(**kwargs):
            second.__code__ = other.__code__

        def second(sender, value, **kwargs):
            return "old", value

        signal.connect(first)
        signal.connect(second)
        for _ in range(2):
            assert signal.send("s", value=1)[1] == (second, ("new", 1))

    def test_defaults_are_changed(self, signal):
        def receiver(value, other=1, *, more=2):
            return value, other, more

        signal.connect(receiver)
        assert signal.send("s", value=0) == [(receiver, (0, 1, 2))]
        receiver.__defaults__ = (8,)
        receiver.__kwdefaults__ = {"more": 9}
        assert signal.send("s", value=0) == [(receiver, (0, 8, 9))]
        receiver.__defaults__ = (7, 8)
        assert signal.send("s") == [(receiver, (7, 8, 9))]

    def test_method_is_replaced(self, signal):
        class Listener:
            def __call__(self, sender, value, **kwargs):
                return "old", value

        listener = Listener()
        signal.connect(listener)
        assert signal.send("s", value=1) == [(listener, ("old", 1))]
        Listener.__call__ = lambda self, value: ("new", value)
        assert signal.send("s", value=1) == [(listener, ("new", 1))]
        Listener.__call__ = functools.partialmethod(lambda self, **kwargs: sorted(kwargs))
        assert signal.send("s", value=1) == [(listener, ["sender", "signal", "value"])]
        del Listener.__call__
        ((_, response),) = signal.send("s", value=1)
        assert isinstance(response, TypeError)

    def test_class_of_an_object_is_changed(self, signal):
        class First:
            def __call__(self, sender, value, **kwargs):
                return "first", sender, value

        class Second:
            def __call__(self, value):
                return "second", value

        receiver = First()
        signal.connect(receiver)
        assert signal.send("s", value=1) == [(receiver, ("first", "s", 1))]
        receiver.__class__ = Second
        for _ in range(2):
            assert signal.send("s", value=1) == [(receiver, ("second", 1))]

    def test_error_of_a_replaced_receiver_is_caught(self, signal):
        def receiver(**kwargs):
            return 1

        def bad(value):
            raise KeyError(value)

        signal.connect(receiver)
        signal.send("s", value=1)
        receiver.__code__ = bad.__code__
        ((_, error),) = signal.send("s", value=1)
        assert type(error) is KeyError


class TestShapes:
    @pytest.mark.parametrize("count", [0, 1, 13, 14, 15, 30, 300])
    def test_so_many_arguments(self, signal, count):
        named = {f"name{i}": object() for i in range(count)}
        parameters = ", ".join([*reversed(named), "sender", "signal"])
        scope = {}
        exec(
            f"def first(**kwargs): return kwargs\ndef second({parameters}): return locals()", scope
        )
        signal.connect(scope["first"])
        signal.connect(scope["second"])
        expected = {"signal": signal, "sender": "s", **named}
        for responses in (signal.send("s", **named), signal.send(sender="s", **named)):
            assert [response for _, response in responses] == [expected, expected]

    def test_names_that_are_not_interned(self, signal):
        receiver = signal.connect(lambda value, **kwargs: (value, kwargs["größe"]))
        for i in range(20):
            named = {"".join(["val", "ue"]): i, "".join(["grö", "ße"]): -i}
            assert signal.send("s", **named) == [(receiver, (i, -i))]
            assert signal.send(**named, **{"".join(["sen", "der"]): "s"}) == [(receiver, (i, -i))]

    def test_names_that_are_no_identifiers(self, signal):
        receiver = signal.connect(lambda **kwargs: sorted(kwargs))
        names = [
            *keyword.kwlist,
            "",
            "a b",
            "1",
            "__debug__",
            "a{}",
            "a'\"\n\\",
            "\ud800",
            "a=1, b",
        ]
        expected = sorted([*names, "sender", "signal"])
        assert signal.send("s", **dict.fromkeys(names)) == [(receiver, expected)]

    def test_names_that_a_compiler_would_change(self, signal):
        receiver = signal.connect(lambda fi=0, __class__=1, **kwargs: (fi, kwargs))
        kwargs = {"signal": signal, "sender": "s", "\N{LATIN SMALL LIGATURE FI}": 2, "__name": 3}
        named = {name: kwargs[name] for name in list(kwargs)[2:]}
        assert signal.send("s", **named) == [(receiver, (0, kwargs))]

    def test_names_that_are_a_kind_of_str(self, signal):
        class Name(str):
            """One that knows better."""

            def isidentifier(self):
                raise AssertionError

            __format__ = __repr__ = isidentifier

        receiver = signal.connect(lambda value, **kwargs: (value, kwargs["more"]))
        named = {Name("value"): 1, Name("more"): 2}
        assert signal.send("s", **named) == [(receiver, (1, 2))]

    def test_many_call_sites(self, signal):
        receiver = signal.connect(lambda sender, a=0, b=0, **kwargs: (sender, a, b, kwargs))

        def check():
            assert signal.send(1, a=1) == [(receiver, (1, 1, 0, {"signal": signal}))]
            assert signal.send(1, b=1) == [(receiver, (1, 0, 1, {"signal": signal}))]
            assert signal.send(sender=1, b=1) == [(receiver, (1, 0, 1, {"signal": signal}))]
            assert signal.send(b=2, a=1, sender=1) == [(receiver, (1, 1, 2, {"signal": signal}))]
            assert signal.send(a=1, sender=1, b=2) == [(receiver, (1, 1, 2, {"signal": signal}))]
            assert signal.send(1) == [(receiver, (1, 0, 0, {"signal": signal}))]
            for i in range(12):
                ((_, (*_, extra)),) = signal.send(1, **{f"n{i}": i})
                assert extra == {"signal": signal, f"n{i}": i}

        for _ in range(3):
            check()

    @pytest.mark.parametrize("weak", [True, False], ids=["weak", "strong"])
    def test_ever_new_names(self, signal, weak):
        class Listener:
            def method(self, value, **kwargs):
                return value, kwargs

            __call__ = method

        listener = Listener()
        receivers = [lambda value, **kwargs: (value, kwargs), listener.method, listener]
        for receiver in receivers:
            signal.connect(receiver, weak=weak)
        for i in range(30):
            expected = i, {"signal": signal, "sender": "s", f"name{i}": 1}
            responses = signal.send("s", **{f"name{i}": 1, "value": i})
            assert responses == [(receiver, expected) for receiver in receivers]

    def test_the_same_names_with_and_without_a_positional_sender(self, signal):
        """One code object, so both calls pass the same tuple of names."""
        receiver = signal.connect(lambda sender, value: (sender, value))

        def send(*sender):
            return signal.send(*sender, value=1)

        assert send("s") == [(receiver, ("s", 1))]
        with pytest.raises(TypeError, match="sender"):
            send()
        with pytest.raises(TypeError, match="argument"):
            send("s", "t")
        assert send("s") == [(receiver, ("s", 1))]

    def test_other_names_while_a_send_is_under_way(self, signal):
        @signal.connect
        def receiver(signal, sender, depth=0, **kwargs):
            if depth < 20:
                signal.send(sender, depth=depth + 1, **{f"name{depth}": 1})
            return depth, sorted(kwargs)

        assert signal.send("s", first=1) == [(receiver, (0, ["first"]))]

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
    def test_receivers_come_and_go_in_the_middle(self, signal):
        class Listener:
            def method(self, value):
                return value

        listeners = [Listener() for _ in range(5)]

        @signal.connect
        def first(sender):
            if sender != "s":
                return
            new = Listener()
            listeners.append(new)
            signal.connect(new.method)
            del listeners[2]
            signal.send("other", more=1, value=0)

        for listener in listeners:
            signal.connect(listener.method)
        responses = [response for _, response in signal.send("s", value=1)]
        assert responses == [None, 1, 1, 1, 1]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.lists(st.text(max_size=3), unique=True, max_size=20))
def test_any_names(Signal, names):
    signal = Signal()
    receiver = signal.connect(lambda **kwargs: kwargs)
    names = [name for name in names if name not in ("signal", "sender")]
    named = {name: object() for name in names}
    assert signal.send("s", **named) == [(receiver, {"signal": signal, "sender": "s", **named})]


def test_planned_at_the_recursion_limit(Signal):
    """That a signature could not be told for lack of stack is not kept."""

    def receiver(value):
        return value

    def deep(signal, more):
        return deep(signal, more - 1) if more else signal.send(None, value=1, other=2)

    for room in range(20, 120):
        signal, partial = Signal(), functools.partial(receiver)
        signal.connect(partial)
        with contextlib.suppress(RecursionError):
            deep(signal, sys.getrecursionlimit() - len(inspect.stack(0)) - room)
        assert signal.send(None, value=1, other=2) == [(partial, 1)]
