"""Unread arguments: they are not passed, and the receiver cannot notice.

`READING` has a receiver for each way in which code can look at its ``**kwargs``, `UNREAD` such as
cannot.  What looks from outside is told apart at the end.
"""

import bdb
import contextlib
import dis
import functools
import importlib
import inspect
import re
import subprocess
import sys
import sysconfig
import textwrap
import threading
import traceback
import types
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

NEW = sys.version_info


@pytest.fixture
def plans(fastsig, monkeypatch):
    """The module that makes the plans of the core, as if this were no development mode."""
    plans = importlib.import_module("fastsig.engine.plans")
    monkeypatch.setattr(plans, "PASS_ALL", False)
    return plans


@pytest.fixture
def keep_tracers():
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    yield
    sys.settrace(tracer)
    threading.settrace(of_threads)


def peek(name="kwargs"):
    """Return a variable of the caller: what no code should do, and no analysis can see."""
    return dict(sys._getframe(1).f_locals[name])


def show(frame):
    """Return what the frame of a receiver has in its ``**kwargs``: anything that is given one."""
    return dict(frame.f_locals["kwargs"]) if frame.f_code.co_name == "receiver" else None


def call_with_frame(function):
    return function(sys._getframe())


def walk(error):
    return list(traceback.walk_tb(error.__traceback__))


def make(source, name="receiver"):
    scope = {module.__name__: module for module in (functools, inspect, sys, types)}
    scope.update((helper.__name__, helper) for helper in (peek, show, call_with_frame, walk))
    exec(textwrap.dedent(source), scope)
    return scope[name]


def call_as_planned(plans, receiver, named, trim=True):
    names = tuple(named)
    _, _, positional, keywords = plans.make_plan(receiver, names, trim)
    values = list(named.values())
    return receiver(*[values[i] for i in positional], **{names[i]: values[i] for i in keywords})


def body(*lines, head="def receiver(sender, **kwargs):"):
    return "\n    ".join([head, *lines])


def method(*lines):
    """Return the source of a receiver that is a bound method, and has a base class."""
    indented = "\n        ".join(lines)
    return f"""\
class Base:
    def receive(self, **kwargs):
        return sorted(kwargs)

class Receiver(Base):
    def receive(self, sender, **kwargs):
        {indented}

receiver = Receiver().receive
"""


READING = {
    "load": body("return kwargs"),
    "item": body("return kwargs['value']"),
    "method of it": body("return kwargs.get('value')"),
    "only under a condition": body("if sender == 'nobody':", "    return kwargs"),
    "never": body("return 1", "return kwargs", "yield"),
    "pass on": body("return dict(**kwargs)"),
    "unpack": body("return {**kwargs}"),
    "unpack names": body("return [*kwargs]"),
    "several variables at once": body("return sender, kwargs"),
    "several variables at once, first": body("return kwargs, sender"),
    "store": body("kwargs = sender", "return kwargs"),
    "store two": body("kwargs, sender = sender, 1", "return sender"),
    "store and load": body("for kwargs in [sender]:", "    x = kwargs", "return x"),
    "delete": body("del kwargs"),
    "augmented": body("kwargs |= {'more': 1}", "return kwargs"),
    "augmented item": body("kwargs['value'] += 1", "return kwargs"),
    "deleted item": body("del kwargs['value']", "return kwargs"),
    "walrus": body("return (kwargs := sender)"),
    "walrus inside": body("return [kwargs := x for x in (1, 2)]"),
    "comprehension": body("return [name for name in kwargs]"),
    "inside of a comprehension": body("return [kwargs[name] for name in ('value',)]"),
    "comprehension in another": body("return [[kwargs for _ in 'a'] for _ in 'b']"),
    "set": body("return {name for name in kwargs} == {'signal', 'value', 'more'}"),
    "dict": body("return {name: kwargs[name] for name in ('value', 'more')}"),
    "generator expression": body("return list(name for name in kwargs)"),
    "inside of a generator expression": body("return list(kwargs for _ in 'a')"),
    "f-string": body("return f'{sorted(kwargs)}'"),
    "f-string with a name": body("return f'{kwargs=}'[:7]"),
    "closure": body("def inner():", "    return kwargs", "return inner()"),
    "closure two deep": body("return (lambda: (lambda: kwargs)())()"),
    "nonlocal": body(
        "def inner():", "    nonlocal kwargs", "    kwargs = 1", "inner()", "return kwargs"
    ),
    "default": body("def inner(x=kwargs):", "    return x", "return inner()"),
    "decorator": body("@kwargs.get", "def inner(): pass", "return inner"),
    "annotation": body("def inner(x: kwargs): pass", "return inner.__annotations__"),
    "class": body("class Inner:", "    x = kwargs", "return Inner.x"),
    "method in a class": body(
        "class Inner:", "    def get(self):", "        return kwargs", "return Inner().get()"
    ),
    "keyword of a class": body(
        "class Base:",
        "    def __init_subclass__(cls, **given): cls.given = given",
        "class Inner(Base, **kwargs): pass",
        "return Inner.given",
    ),
    "lambda": "receiver = lambda sender, **kwargs: kwargs",
    "after *args": body("return kwargs", head="def receiver(*args, **kwargs):"),
    "after keyword-only": body("return kwargs", head="def receiver(*, sender, more=1, **kwargs):"),
    "after everything": body(
        "return kwargs", head="def receiver(a=1, /, b=2, *args, sender, more=1, **kwargs):"
    ),
    "another name": body("return _", head="def receiver(sender, **_):"),
    "match": body("match kwargs:", "    case {'value': x}:", "        return x"),
    "match with a rest": body("match kwargs:", "    case {**rest}:", "        return rest"),
    "match into it": body("match sender:", "    case kwargs:", "        return 1"),
    "match a rest into it": body("match {1: 2}:", "    case {**kwargs}:", "        return kwargs"),
    "for into it": body("for kwargs in 'ab': pass", "return kwargs"),
    "with into it": body(
        "import contextlib", "with contextlib.nullcontext(1) as kwargs: pass", "return kwargs"
    ),
    "except into it": body("try: 1 / 0", "except Exception as kwargs: pass", "return 1"),
    "import into it": body("import sys as kwargs", "return kwargs is sys"),
    "def into it": body("def kwargs(): return 1", "return kwargs()"),
    "finally": body("try:", "    return 1", "finally:", "    kwargs.clear()"),
    "locals": body("return sorted(locals())"),
    "contents of locals": body("return locals()['kwargs']"),
    "locals in a comprehension": body("return [sorted(locals()) for _ in 'a']"),
    "locals by attribute": body("import builtins", "return builtins.locals()['kwargs']"),
    "locals by string": body("import builtins", "return getattr(builtins, 'locals')()['kwargs']"),
    "locals as a parameter": body(
        "return locals()['kwargs']", head="def receiver(sender, locals=locals, **kwargs):"
    ),
    "locals of a closure": """\
        def outer(locals):
            def receiver(sender, **kwargs):
                return locals()["kwargs"]
            return receiver
        receiver = outer(locals)
    """,
    "vars": body("return vars()['kwargs']"),
    "dir": body("return dir()"),
    "eval": body("return eval('kwargs')"),
    "exec": body("into = []", "exec('into.append(kwargs)')", "return into"),
    "format": body("return '{kwargs[value]}'.format(**locals())"),
    "frame": body("return sys._getframe().f_locals['kwargs']"),
    "frame by string": body("return getattr(sys, '_getframe')(0).f_locals['kwargs']"),
    "frame passed on": body("return show(inspect.currentframe())"),
    "frame passed on by another": body("return call_with_frame(lambda frame: show(frame.f_back))"),
    "frame of the caller": body(
        "def inner(): return sys._getframe(1).f_locals['kwargs']", "return inner()"
    ),
    "frame from a lambda": body("return (lambda: sys._getframe(1).f_locals['kwargs'])()"),
    "frame from a class": body(
        "class Inner:", "    x = sys._getframe(1).f_locals['kwargs']", "return Inner.x"
    ),
    "frame of another": body(
        "def inner():",
        "    yield",
        "i = inner()",
        "next(i)",
        "return sorted(i.gi_frame.f_locals)",
    ),
    "all frames": body(
        "import threading", "return show(sys._current_frames()[threading.get_ident()])"
    ),
    "stack": body("return show(inspect.stack(0)[0].frame)"),
    "walk of the stack": body(
        "import traceback",
        "frames = call_with_frame(lambda _: [frame for frame, _ in traceback.walk_stack(None)])",
        "return [each for each in map(show, frames) if each]",
    ),
    "traceback": body(
        "try: 1 / 0", "except Exception as error: return show(error.__traceback__.tb_frame)"
    ),
    "trace": body("try: 1 / 0", "except Exception: return show(inspect.trace()[0].frame)"),
    "inner frames": body(
        "try: 1 / 0",
        "except Exception as error:",
        "    return show(inspect.getinnerframes(error.__traceback__)[0].frame)",
    ),
    "walk of a traceback": body(
        "import traceback",
        "try: 1 / 0",
        "except Exception as error:",
        "    return [show(frame) for frame, _ in traceback.walk_tb(error.__traceback__)]",
    ),
    "traceback with variables": body(
        "import traceback",
        "try: 1 / 0",
        "except Exception as error:",
        "    e = traceback.TracebackException.from_exception(error, capture_locals=True)",
        "    return ''.join(e.format())",
    ),
    "summary with variables": body(
        "import traceback",
        "try: 1 / 0",
        "except Exception as error:",
        "    frames = walk(error)",
        "    return ''.join(traceback.StackSummary.extract(frames, capture_locals=True).format())",
    ),
    "profiler": body(
        "seen = []",
        "sys.setprofile(lambda frame, *_: seen.append(show(frame)))",
        "len(seen)",
        "sys.setprofile(None)",
        "return [each for each in seen if each]",
    ),
    "generator": body("yield kwargs"),
    "generator that does not": body("yield sender"),
    "coroutine": body("return kwargs", head="async def receiver(sender, **kwargs):"),
    "coroutine that does not": body("return 1", head="async def receiver(sender, **kwargs):"),
    "asynchronous generator": body("yield 1", head="async def receiver(sender, **kwargs):"),
    "coroutine of old": "@types.coroutine\n" + body("yield sender"),
    "method": method("return kwargs"),
    "super": method("return super().receive(**kwargs)"),
    "super with arguments": method("return super(Receiver, self).receive(**kwargs)"),
    "object": """\
        class Receiver:
            def __call__(self, sender, **kwargs):
                return kwargs
        receiver = Receiver()
    """,
    "decorated": """\
        def decorate(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return function(*args, **kwargs)
            return wrapper
        @decorate
        def receiver(sender, **kwargs):
            return kwargs
    """,
    "copied": """\
        def original(sender, **kwargs):
            return kwargs
        receiver = types.FunctionType(original.__code__.replace(co_name="copy"), globals())
    """,
}
if NEW >= (3, 11):
    READING["except star"] = body(
        "try:", "    raise ExceptionGroup('', [KeyError()])", "except* KeyError as kwargs: pass"
    )
    READING["inside of except star"] = body(
        "seen = []",
        "try:",
        "    raise ExceptionGroup('', [KeyError()])",
        "except* KeyError: seen.append(kwargs)",
        "return seen",
    )
if NEW >= (3, 12):
    READING["type parameters"] = body("return kwargs", head="def receiver[T](sender, **kwargs: T):")
    READING["type alias"] = body("type X = kwargs", "return X.__value__")
    READING["f-string in another"] = body("return f'{f'{sorted(kwargs)}'}'")
if NEW >= (3, 14):
    READING["t-string"] = body("return t'{kwargs}'.interpolations[0].value")

UNREAD = {
    "nothing": body("pass"),
    "constant": body("return 1"),
    "parameters": body("return sender, value", head="def receiver(sender, value=0, **kwargs):"),
    "*args": body("return args", head="def receiver(*args, **kwargs):"),
    "keyword-only": body("return sender, more", head="def receiver(*, sender, more=1, **kwargs):"),
    "everything": body(
        "return a, b, args, sender, more",
        head="def receiver(a=1, /, b=2, *args, sender, more=1, **kwargs):",
    ),
    "that name inside": body(
        "def inner(**kwargs): return kwargs", "return inner(a=1), (lambda kwargs: kwargs)(2)"
    ),
    "that name global": body(
        "def inner():",
        "    global kwargs",
        "    kwargs = 3",
        "    return kwargs",
        "return inner()",
    ),
    "that name elsewhere": body(
        "class Inner: kwargs = 1", "return Inner.kwargs, dict(kwargs=2), 'kwargs'"
    ),
    "own variables": body("a = b = sender", "a, b = b, a", "del b", "return [a for a in (a, 1)]"),
    "closure": body("def inner(): return sender", "return inner()"),
    "cell of another": """\
        def outer(x):
            def receiver(sender, **kwargs):
                return x, sender, [x for _ in "ab"]
            return receiver
        receiver = outer(1)
    """,
    "try": body("try: 1 / 0", "except ZeroDivisionError as e: return str(e)", "finally: sender"),
    "inner generator": body(
        "def inner():",
        "    yield from (1, 2)",
        "async def wait(): pass",
        "return list(inner())",
    ),
    "match": body("match sender:", "    case str(x) | [x, *_]:", "        return x"),
    "lambda": "receiver = lambda sender, **kwargs: sender",
    "method": method("return sender"),
    "super": method("return super().receive(x=sender), __class__.__name__"),
    "object": """\
        class Receiver:
            def __call__(self, sender, **kwargs):
                return sender
        receiver = Receiver()
    """,
}
SENT = {"signal": 0, "sender": "s", "value": 1, "more": 2}


def finish(response):
    """Return what a response stands for, run to its end."""
    if inspect.isasyncgen(response):
        response = response.__anext__()
        return finish(response)
    if not (inspect.isgenerator(response) or hasattr(response, "send")):
        return response
    frame = getattr(response, "gi_frame", None) or getattr(response, "cr_frame", None)
    seen = [dict(frame.f_locals)] if frame else []
    try:
        while True:
            seen.append(response.send(None))
    except StopIteration as stop:
        return seen, stop.value


def as_text(value):
    """Return a text that is the same for equal values, and for different copies of a function."""
    return re.sub(r"0x[0-9a-fA-F]+", "", repr(value))


class TestReading:
    """Code that can look gets everything."""

    @pytest.mark.parametrize("source", READING.values(), ids=READING)
    def test_sent(self, Signal, plans, source):
        signal = Signal()
        receiver = make(source)
        signal.connect(receiver, weak=False)
        named = {name: value for name, value in SENT.items() if name not in ("signal", "sender")}
        expected = as_text(finish(make(source)(**{**SENT, "signal": signal})))
        for _ in range(3):
            ((_, response),) = signal.send("s", **named)
            assert as_text(finish(response)) == expected

    @pytest.mark.parametrize("source", READING.values(), ids=READING)
    def test_told(self, plans, source):
        _, function = plans.function_of(make(source))
        assert plans.reads_kwargs(function.__code__) is True

    @pytest.mark.parametrize(
        "name",
        [
            *("locals", "_getframe", "pythonapi", "breakpoint", "set_trace", "post_mortem"),
            *("embed", "snoop", "settrace", "settrace_all_threads", "setprofile_all_threads"),
        ],
    )
    def test_names_inside(self, plans, name):
        for source in (
            body(f"return lambda: lambda: {name}"),
            body(f"return sender.{name}"),
            body(f"return '{name}'"),
            body("class Inner:", f"    def f({name}): pass"),
            body(f"import {name}"),
            body(f"from sys import {name}"),
        ):
            assert plans.reads_kwargs(make(source).__code__)


class TestUnread:
    """What code cannot look at is not passed, and it does the same."""

    @pytest.mark.parametrize("source", UNREAD.values(), ids=UNREAD)
    def test_sent(self, signal, plans, source):
        receiver = make(source)
        signal.connect(receiver, weak=False)
        expected = make(source)(**{**SENT, "signal": signal})
        for _ in range(3):
            assert signal.send("s", value=1, more=2) == [(receiver, expected)]

    @pytest.mark.parametrize("source", UNREAD.values(), ids=UNREAD)
    def test_told(self, plans, source):
        receiver = make(source)
        _, function = plans.function_of(receiver)
        assert plans.reads_kwargs(function.__code__) is False
        names = ("signal", "sender", "value", "more")
        _, code, positional, keywords = plans.make_plan(receiver, names)
        taken = {*function.__code__.co_varnames[: function.__code__.co_argcount]}
        taken |= set(plans.keywords_of(lambda sender, more: 0) if "more=" in source else ())
        assert code is function.__code__
        assert {names[i] for i in (*positional, *keywords)} <= taken | {"sender"}

    def test_no_rest(self, plans):
        assert plans.reads_kwargs((lambda sender: locals()).__code__) is False
        assert plans.reads_kwargs((lambda *args: args).__code__) is False

    def test_assertions_are_rewritten(self, signal, plans):
        """Where pytest does that, it looks at variables."""

        @signal.connect
        def receiver(sender, value, **kwargs):
            assert sender == "s"
            return value

        @signal.connect
        def reading(sender, **kwargs):
            assert kwargs["more"] == 2
            return sorted(kwargs)

        assert signal.send("s", value=1, more=2) == [
            (receiver, 1),
            (reading, ["more", "signal", "value"]),
        ]

    @pytest.mark.parametrize("trim", [True, False])
    def test_what_does_not_land_there(self, plans, trim):
        """The name of what is bound is an error, and so it remains."""

        class Listener:
            def method(self, sender, **kwargs):
                return sender

            def by_position(self, /, sender, **kwargs):
                return sender

            def reading(self, sender, **kwargs):
                return kwargs

        for receiver in (Listener().method, Listener().reading):
            with pytest.raises(TypeError, match=r"multiple values for argument 'self'"):
                call_as_planned(plans, receiver, {"sender": 1, "self": 2}, trim)
        assert call_as_planned(plans, Listener().by_position, {"sender": 1, "self": 2}, trim) == 1

    def test_bound_to_the_rest(self, plans):
        class Listener:
            def method(*args, value, **kwargs):
                return value

            def without(*args, value):
                return value

        listener = Listener()
        for receiver in (listener.method, listener.without):
            assert plans.make_plan(receiver, ("sender", "value"))[2:] == ((), (1,))

    def test_positional_only_names_land_there(self, plans):
        def receiver(value=5, /, **kwargs):
            return value

        assert call_as_planned(plans, receiver, {"value": 1, "more": 2}) == 5
        assert plans.make_plan(receiver, ("value", "more"))[2:] == ((), ())

    def test_missing_argument_is_the_usual_error(self, plans):
        def receiver(value, other, **kwargs):
            pass

        with pytest.raises(TypeError, match="missing 1 required positional argument: 'other'"):
            call_as_planned(plans, receiver, {"sender": 1, "value": 2})

    def test_signature(self, plans):
        """A ``__signature__`` goes on to say what is trimmed."""

        def unread(value=0, other=0, **kwargs):
            return value, other

        def reading(value=0, other=0, **kwargs):
            return value, other, kwargs

        named = {"value": 1, "other": 2, "more": 3}
        for function in (unread, reading):
            function.__signature__ = inspect.signature(lambda other, more: 0)
        assert call_as_planned(plans, unread, named) == (0, 2)
        assert call_as_planned(plans, reading, named) == (0, 2, {"more": 3})
        assert call_as_planned(plans, unread, named, trim=False) == (1, 2)
        assert call_as_planned(plans, reading, named, trim=False) == (1, 2, {"more": 3})
        assert plans.make_plan(unread, tuple(named), trim=False)[2:] == ((0, 1), ())


class TestUntrimmed:
    """A host that drops nothing: Python raises its error."""

    NAMED = types.MappingProxyType({"sender": 1, "value": 2, "more": 3})

    def test_functions(self, plans):
        def receiver(value, sender):
            return value, sender

        assert call_as_planned(plans, receiver, dict(self.NAMED)) == (2, 1)
        with pytest.raises(TypeError, match="unexpected keyword argument 'more'"):
            call_as_planned(plans, receiver, dict(self.NAMED), trim=False)
        assert plans.make_plan(receiver, tuple(self.NAMED), False) == (
            *(plans.FUNCTION, receiver.__code__),
            *((1, 0), (2,)),
        )

    def test_positional_only(self, plans):
        def receiver(sender, /, value, more):
            pass

        with pytest.raises(TypeError, match="positional-only"):
            call_as_planned(plans, receiver, dict(self.NAMED), trim=False)

    @pytest.mark.parametrize(
        "receiver", [functools.partial(lambda value: value), dict, len, [].append]
    )
    def test_others(self, plans, receiver):
        assert plans.make_plan(receiver, tuple(self.NAMED), False)[2:] == ((), (0, 1, 2))

    def test_objects(self, plans):
        class Listener:
            def __call__(self, sender):
                return sender

        assert call_as_planned(plans, Listener(), dict(self.NAMED)) == 1
        with pytest.raises(TypeError, match="unexpected keyword"):
            call_as_planned(plans, Listener(), dict(self.NAMED), trim=False)

    def test_retried(self, Signal, plans):
        signal = Signal()
        signal.connect(lambda sender: sender, retry=True, weak=False)
        wrapper = signal.receivers[0][1]
        names = tuple(self.NAMED)
        assert plans.make_plan(wrapper, names)[2:] == ((), (0,))
        assert plans.make_plan(wrapper, names, False)[2:] == ((), (0, 1, 2))


class TestCodeOfAllKinds:
    def test_many_variables(self, plans):
        """An index may take more than a byte."""
        for count in (14, 15, 16, 17, 254, 255, 256, 257, 300, 600):
            parameters = ", ".join(f"a{i}=0" for i in range(count))
            head = f"def receiver({parameters}, **kwargs):"
            reading, unread = (
                make(body("return kwargs", head=head)),
                make(body("return 1", head=head)),
            )
            assert plans.reads_kwargs(reading.__code__)
            assert not plans.reads_kwargs(unread.__code__)
            assert call_as_planned(plans, reading, SENT) == SENT
            assert call_as_planned(plans, unread, SENT) == 1
            for i in (0, 1, count - 1):  # of pairs, either may be it
                one = make(body(f"return kwargs, a{i}", head=head))
                other = make(body(f"return a{i}, kwargs", head=head))
                assert plans.reads_kwargs(one.__code__)
                assert plans.reads_kwargs(other.__code__)

    def test_long_code(self, plans):
        lines = [f"x{i} = sender or {i} + len('{i}') if sender else {i}.5" for i in range(400)]
        unread, reading = make(body(*lines)), make(body(*lines, "return kwargs"))
        assert call_as_planned(plans, unread, SENT) is None
        assert call_as_planned(plans, reading, SENT) == {"signal": 0, "value": 1, "more": 2}

    def test_code_that_has_run(self, plans):
        """The interpreter rewrites what is hot."""
        unread = make(body("a = b = sender", "a, b = b, a", "return [a, b, a, *'xy']"))
        reading = make(body("a = sender", "return sender, kwargs, a, kwargs"))
        for _ in range(3000):
            unread(sender=1, value=2)
            reading(sender=1, value=2)
        assert not plans.reads_kwargs(unread.__code__)
        assert plans.reads_kwargs(reading.__code__)

    @pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="needs sys.monitoring")
    @pytest.mark.parametrize("event", ["LINE", "INSTRUCTION", "PY_START", "BRANCH", "CALL"])
    def test_code_that_is_instrumented(self, plans, event):
        unread, reading = make(UNREAD["own variables"]), make(READING["several variables at once"])
        tool = 4
        sys.monitoring.use_tool_id(tool, "test")
        try:
            sys.monitoring.set_events(tool, getattr(sys.monitoring.events, event))
            for function in (unread, reading):
                function("s", x=1)
            assert not plans.reads_kwargs(unread.__code__)
            assert plans.reads_kwargs(reading.__code__)
        finally:
            sys.monitoring.set_events(tool, 0)
            sys.monitoring.free_tool_id(tool)

    def test_code_that_is_replaced(self, signal, plans):
        for source in READING.values():
            reading = make(source)
            if (
                not isinstance(reading, types.FunctionType)
                or reading.__code__.co_freevars
                or reading.__code__.co_flags & plans.SUSPENDED  # deprecated since 3.13
            ):
                continue
            receiver = make(UNREAD["constant"])
            signal.receivers.clear()
            signal.connect(receiver)
            assert signal.send("s", value=1, more=2) == [(receiver, 1)]
            receiver.__code__, receiver.__defaults__ = reading.__code__, reading.__defaults__
            receiver.__kwdefaults__ = reading.__kwdefaults__
            receiver.__globals__.update(reading.__globals__)
            expected = as_text(finish(reading(**{**SENT, "signal": signal})))
            for _ in range(3):
                ((_, response),) = signal.send("s", value=1, more=2)
                assert as_text(finish(response)) == expected

    def test_retried_code_that_is_replaced(self, signal, plans):
        """The plan holds for the code of the wrapper."""

        def receiver(sender, **kwargs):
            return 1

        signal.connect(receiver, retry=True, weak=False)
        assert [response for _, response in signal.send("s", value=1)] == [1]
        receiver.__code__ = make(READING["unpack names"]).__code__
        assert [response for _, response in signal.send("s", value=1)] == [["signal", "value"]]

    def test_equal_code_of_another_function(self, plans):
        """Code objects are compared by value."""
        first, second = make(READING["load"]), make(READING["load"])
        assert first.__code__ == second.__code__
        third, fourth = make(UNREAD["constant"]), make(UNREAD["constant"])
        for function, reads in ((first, True), (third, False), (second, True), (fourth, False)):
            assert plans.reads_kwargs(function.__code__) is reads

    def test_odd_code(self, plans):
        code = make(UNREAD["constant"]).__code__
        assert not plans.reads_kwargs(code.replace(co_consts=(*code.co_consts, [])))
        assert plans.reads_kwargs(code.replace(co_consts=(*code.co_consts, "locals")))
        assert plans.reads_kwargs(code.replace(co_flags=code.co_flags & ~0x01))

    def test_an_unknown_python(self, plans, monkeypatch):
        monkeypatch.setattr(plans, "KNOWN", False)
        assert plans.reads_kwargs(make(UNREAD["constant"]).__code__)

    def test_an_unknown_instruction(self, plans, monkeypatch):
        """It counts as reading."""
        monkeypatch.setattr(plans, "ONE", frozenset())
        monkeypatch.setattr(plans, "TWO", frozenset())
        plans.NAMING.clear()
        try:
            assert plans.reads_kwargs(make(UNREAD["parameters"]).__code__)
            assert not plans.reads_kwargs(make(UNREAD["constant"]).__code__)
        finally:
            plans.NAMING.clear()

    def test_as_dis_has_it(self, plans):
        """In all of the standard library's functions with ``**kwargs``."""
        counts = Counter()
        for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
            with contextlib.suppress(SyntaxError, ValueError):
                for code in all_code(
                    compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
                ):
                    if code.co_flags & 0x08 and not code.co_flags & plans.SUSPENDED:
                        reads = plans.reads_kwargs(code)
                        assert reads is (names_it(code) or plans.may_look(code))
                        counts[reads] += 1
        assert counts[True] > 100


def all_code(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from all_code(constant)


def names_it(code):
    """Tell whether an instruction names the ``**kwargs`` of `code`, as `dis` shows it."""
    variable = inspect.getargs(code).varkw
    return any(
        variable in instruction.argval
        if isinstance(instruction.argval, tuple)
        else variable == instruction.argval
        for instruction in dis.get_instructions(code)
        if any(word in instruction.opname for word in ("_FAST", "_DEREF", "_CLOSURE", "_CELL"))
    )


class Program:
    """Draws the source of a function that may, or may not, look at its ``**kwargs``."""

    NAMES = ("sender", "value", "kwargs", "args", "x", "self")
    LOOKING = (
        *("{kw}", "sorted({kw})", "{kw}.get('value')", "{kw}['value']", "{{**{kw}}}", "[*{kw}]"),
        *("dict(**{kw})", "f'{{{kw}}}'", "[{kw} for _ in 'ab']", "[n for n in {kw}]"),
        *("list({kw} for _ in 'a')", "(lambda: {kw})()", "(lambda y={kw}: y)()"),
        *("[(lambda: {kw})() for _ in 'a']", "({kw} := {a})", "[({kw} := 5) for _ in 'a']"),
        *("locals()", "vars()", "sorted(locals())", "eval('{kw}')", "[locals() for _ in 'a']"),
        *("sys._getframe().f_locals['{kw}']", "(lambda: sys._getframe(1).f_locals['{kw}'])()"),
        *("inspect.currentframe().f_locals['{kw}']", "'{{{kw}}}'.format(**locals())"),
    )
    OTHER = (
        *("{a}", "{a}", "({a}, {b})", "[{a}, *'ab']", "{{'{kw}': {a}}}", "dict({kw}={a})"),
        *("[n for n in ({a}, {b})]", "(lambda: {a})()", "(lambda {kw}: {kw})({a})", "'{kw}'"),
        *("[{kw} for {kw} in (1, 2)]", "(lambda **{kw}: {kw})(q={a})", "({a} if {b} else {a})"),
        *("f'{{{a}!r:>5}}'", "(lambda n: [n for _ in 'ab'])({a})", "len(str({a}))", "{a} is {b}"),
        *("type({a}).__name__", "list({a} for _ in 'ab')", "1 / 0", "{{n: {a} for n in 'a'}}"),
    )
    SIMPLE = (
        *("{v} = {e}", "{v} = {w} = {e}", "{v}, {w} = {e}, {f}", "{v} = {e}; {w} = {v}", "{e}"),
        *("{v} = [{e}]; {v} += [{f}]", "global g; g = {e}; {v} = g", "import sys as {v}"),
    )
    TOUCHING = (
        *("{kw} = {e}", "del {kw}", "{kw}['new'] = {e}", "{kw}.update(new={e})", "{kw} |= {{}}"),
        *("{v} = {kw}", "{v}, {kw} = {e}, {f}", "{kw}.pop('value', 0)", "for {kw} in 'ab': pass"),
    )
    BLOCKS = (
        *("if {e}:", "for {v} in ({e}, {f}):", "with nullcontext({e}) as {v}:", "while not {e}:"),
        *("match {e}:\n    case [{v}, *_] | {{'value': {v}}}:\n    {{}}", "class {v}:"),
        *("def {v}({w}={e}, **{kw}):", "def {v}({w}={e}):", "try:"),
    )

    def __init__(self, draw):
        self.draw = draw
        self.kw = self.pick(["kwargs", "kw", "_", "x"])
        self.looks = draw(st.booleans())
        self.variables = []

    def pick(self, choices):
        return self.draw(st.sampled_from(choices))

    def chance(self, parts):
        return self.draw(st.integers(1, parts)) == 1

    def parameters(self):
        names = [name for name in self.NAMES if name != self.kw]
        names = self.draw(st.lists(st.sampled_from(names), unique=True, max_size=5))
        cuts = sorted(self.draw(st.tuples(*[st.integers(0, len(names))] * 2)))
        parts, rest = [], None
        for i, name in enumerate(names):
            if i == cuts[0] and i:
                parts.append("/")
            if i == cuts[1]:
                rest = self.pick(["*", "*rest"])
                parts.append(rest)
            parts.append(f"{name}='default'" if i >= cuts[0] or self.chance(1) else name)
        if cuts[0] == len(names) and names:
            parts.append("/")
        self.variables = names + ["rest"] * (rest == "*rest")
        return ", ".join([*parts, f"**{self.kw}"])

    def name(self):
        return self.pick(self.variables) if self.variables and self.draw(st.booleans()) else "7"

    def expression(self):
        looking = self.looks and self.chance(3)
        template = self.pick(self.LOOKING if looking else self.OTHER)
        return template.format(kw=self.kw, a=self.name(), b=self.name())

    def fill(self, template):
        new = self.pick(["v0", "v1", "v2", *self.variables])
        return template.format(
            kw=self.kw, v=new, w=self.pick(["v0", "v1"]), e=self.expression(), f=self.expression()
        )

    def block(self, depth=0):
        lines = []
        for _ in range(self.draw(st.integers(1, 3))):
            if depth < 2 and self.chance(3):
                lines += self.compound(depth)
            else:
                touching = self.looks and self.chance(4)
                lines.append(self.fill(self.pick(self.TOUCHING if touching else self.SIMPLE)))
        return lines

    def compound(self, depth):
        head = self.pick(self.BLOCKS)
        head, *more = self.fill(head).split("\n")
        inner = self.block(depth + 1)
        if head.startswith("while"):
            inner.append("break")
        if head.startswith("def") and self.chance(2):
            inner.append(f"return {self.expression()}")
        indent = "    "
        if more:
            head, indent = f"{head}\n{more[0]}", indent * 2
        lines = [*head.split("\n"), *(indent + line for line in inner)]
        if head == "try:":
            lines += ["except Exception as e:", f"    v0 = str(e); v1 = {self.expression()}"]
        if head.startswith("def"):
            name = head[4:].partition("(")[0]
            lines.append(f"v0 = {name}()")
        return lines

    def source(self):
        parameters = self.parameters()
        kind = self.pick(["", "", "", "", "async ", "yield"])
        lines = self.block()
        if kind == "yield":
            lines.append(f"yield {self.expression()}")
        lines.append(f"return {self.expression()}, {self.expression()}")
        head = f"{kind if kind != 'yield' else ''}def function({parameters}):"
        return "\n    ".join([head, *lines])


def outcome(call):
    try:
        return "returned", as_text(finish(call()))
    except Exception as error:
        return "raised", type(error), as_text(error)


@pytest.mark.parametrize("shape", ["function", "method", "object"])
def test_generated_functions(plans, shape):
    """What is called as planned does what it does when everything is passed."""
    counts = Counter()

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(st.data())
    def check(data):
        source = Program(data.draw).source()
        named = data.draw(st.lists(st.sampled_from([*Program.NAMES, "other"]), unique=True))
        named = {name: f"sent {name}" for name in named}

        def receiver():
            scope = {"sys": sys, "inspect": inspect, "nullcontext": contextlib.nullcontext}
            exec(source, scope)
            function = scope["function"]
            if shape == "function":
                return function
            owner = type("Owner", (), {"method": function, "__call__": function})()
            return owner.method if shape == "method" else owner

        try:
            reads = plans.reads_kwargs(plans.function_of(receiver())[1].__code__)
        except SyntaxError:
            counts["no program"] += 1
            return
        full = outcome(lambda: receiver()(**named))
        for trim in (True, False):
            made = receiver()
            assert outcome(lambda: call_as_planned(plans, made, named, trim)) == full, source
        counts["reading" if reads else "unread", full[0]] += 1

    check()
    assert counts["unread", "returned"] > 10, counts
    assert counts["reading", "returned"] > 10, counts


class TestFromOutside:
    """Who looks at the frame from outside sees an empty ``kwargs``, unless it is a debugger."""

    def test_the_one_trace(self, signal, plans):
        @signal.connect
        def receiver(sender, **kwargs):
            return peek()

        assert signal.send("s", value=1) == [(receiver, {})]

    def test_reports_of_errors(self, signal, plans, caplog):
        @signal.connect
        def receiver(sender, **kwargs):
            raise KeyError(sender)

        ((_, error),) = signal.send("s", value=1)
        frame = inspect.getinnerframes(error.__traceback__)[-1].frame
        assert frame.f_locals == {"sender": "s", "kwargs": {}}

    @pytest.mark.not_traced
    @pytest.mark.parametrize("how", [sys, threading], ids=["sys", "threading"])
    def test_traced(self, signal, plans, keep_tracers, how):
        receiver = signal.connect(make(body("return peek()")))
        how.settrace(lambda *_: None)
        assert plans.passes_all()
        seen = {"signal": signal, "value": 1}
        assert signal.send("s", value=1) == [(receiver, seen)]
        how.settrace(None)
        if not importlib.import_module("fastsig.advice").DEVELOPING:  # it makes no plans
            assert signal.send("s", value=1) == [(receiver, seen)]  # that plan has been made
        assert signal.send("s", other=1) == [(receiver, {})]

    @pytest.mark.parametrize("backend", ["settrace", "monitoring"])
    def test_debugger(self, signal, plans, keep_tracers, backend):
        if backend == "monitoring" and NEW < (3, 14):
            pytest.skip("since 3.14")
        seen = []

        class Debugger(bdb.Bdb):
            def user_line(self, frame):
                if frame.f_code.co_name == "receiver":
                    seen.append(sorted(frame.f_locals["kwargs"]))

        @signal.connect
        def receiver(sender, **kwargs):
            return 1

        debugger = Debugger(backend=backend) if NEW >= (3, 14) else Debugger()
        debugger.runcall(signal.send, "s", value=1)
        assert seen == [["signal", "value"]]

    @pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="needs sys.monitoring")
    def test_monitored(self, plans):
        monitoring = sys.monitoring
        for tool in (monitoring.COVERAGE_ID, monitoring.PROFILER_ID, monitoring.DEBUGGER_ID):
            if monitoring.get_tool(tool) is None:
                monitoring.use_tool_id(tool, "test")
                try:
                    assert plans.passes_all() is (tool == monitoring.DEBUGGER_ID)
                finally:
                    monitoring.free_tool_id(tool)

    @pytest.mark.parametrize(
        ("options", "variables", "passed"),
        [
            ([], {}, False),
            ([], {"FASTSIG_PASS_ALL": "1"}, True),
            ([], {"FASTSIG_DEBUG": "1"}, True),
            (["-X", "dev"], {}, True),
            (["-X", "dev"], {"FASTSIG_PASS_ALL": "0"}, False),
            ([], {"FASTSIG_DEBUG": "1", "FASTSIG_PASS_ALL": "0"}, False),
            ([], {"FASTSIG_PASS_ALL": "", "FASTSIG_DEBUG": "0"}, False),
        ],
    )
    def test_switches(self, environment, tmp_path, options, variables, passed):
        program = tmp_path / "program.py"
        program.write_text(LOOKING_PROGRAM)
        done = run_python(environment, tmp_path, *options, program, **variables)
        assert done.stdout.split() == (["signal", "value"] if passed else ["nothing"]), done.stderr

    @pytest.mark.parametrize("name", ["FASTSIG_PASS_ALL", "FASTSIG_DEBUG"])
    def test_bad_switches(self, environment, tmp_path, name):
        command = ["-c", "import fastsig.engine.plans"]
        done = run_python(environment, tmp_path, *command, **{name: "yes"})
        assert done.returncode == 1
        assert f"ValueError: {name} must be 0 or 1, not 'yes'" in done.stderr

    @pytest.mark.not_traced
    @pytest.mark.parametrize("core_of_coverage", ["ctrace", "pytrace", "sysmon"])
    def test_coverage(self, environment, tmp_path, core_of_coverage):
        """It does not show variables; so what it covers is what runs without it."""
        pytest.importorskip("coverage.tracer" if core_of_coverage == "ctrace" else "coverage")
        program = tmp_path / "program.py"
        program.write_text(LOOKING_PROGRAM)
        command = ["-m", "coverage", "run", "--rcfile=", program]
        done = run_python(environment, tmp_path, *command, COVERAGE_CORE=core_of_coverage)
        assert done.stdout.split() == ["nothing"], done.stderr


LOOKING_PROGRAM = """
import sys
import fastsig

signal = fastsig.Signal()

def peek():
    return sys._getframe(1).f_locals["kwargs"]

@signal.connect
def receiver(sender, **kwargs):
    return peek()

@signal.connect
def reading(sender, **kwargs):
    return kwargs

(_, seen), (_, full) = signal.send("s", value=1)
assert sorted(full) == ["signal", "value"]
print(*sorted(seen) or ["nothing"])
"""


def run_python(environment, folder, *arguments, **variables):
    environment = {**environment, "PYTHONWARNINGS": "ignore", **variables}
    for name in ("PYTHONDEVMODE", "FASTSIG_PASS_ALL", "FASTSIG_DEBUG"):
        if name not in variables:
            environment.pop(name, None)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
