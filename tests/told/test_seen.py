"""`connections` and `explain`, on fastsig's own signals and on Celery's."""

import os
import subprocess
import sys
import weakref
from types import SimpleNamespace

import pytest


class Base:
    pass


def on_one(sender):
    return 1


def on_two(sender):
    return 2


class Listener:
    def method(self, sender):
        return 3


class Callable:
    def __call__(self, sender):
        return 4


HERE = __file__


def first(text):
    return text.partition("\n")[0]


class TestConnections:
    def test_all_there_is_to_know(self, signal):
        sender, listener = Base(), Listener()
        signal.connect(on_one)
        signal.connect(on_two, sender="name", weak=False, dispatch_uid="uid")
        signal.connect(listener.method, sender=sender)
        signal.connect(on_one, sender=Base, subclasses=True)
        signal.connect(on_two, sender=sender, retry=True)
        found = signal.connections()
        line = on_one.__code__.co_firstlineno
        assert found[0] == (on_one, None, True, None, f"{relative(HERE)}:{line}", False)
        assert found[0].receiver is on_one
        assert found[1][:4] == (on_two, "name", False, "uid")
        assert found[2][:4] == (listener.method, sender, True, None)
        assert found[3][:4] == (on_one, Base, True, None)
        assert [each.subclasses for each in found] == [False, False, False, True, False]
        assert found[4][:4] == (on_two, sender, False, None)
        assert all(each.where for each in found)

    def test_what_is_not_python(self, signal):
        signal.connect(print, weak=False)
        signal.connect(Callable(), weak=False)
        assert [bool(each.where) for each in signal.connections()] == [False, True]

    def test_a_wrapped_function_is_where_its_author_wrote_it(self, signal):
        import functools

        @functools.wraps(on_one)
        def wrapper(**kwargs):
            pass

        for each in (wrapper, functools.partial(on_one)):
            signal.connect(each, weak=False)
        line = on_one.__code__.co_firstlineno
        assert {each.where for each in signal.connections()} == {f"{relative(HERE)}:{line}"}

    def test_receivers_are_garbage_collected(self, signal, collect):
        listener = Listener()
        signal.connect(listener.method)
        reference = weakref.ref(listener)
        assert len(signal.connections()) == 1
        del listener
        collect()
        assert reference() is None
        assert signal.connections() == []

    def test_entries_of_others(self, signal):
        signal.receivers.append((("key", 12345), on_one))
        [found] = signal.connections()
        assert found.receiver is on_one
        assert found.sender.key == 12345
        assert "unknown sender" in signal.explain(on_one)


def relative(path):
    return path.removeprefix(os.getcwd() + os.sep)


class TestExplain:
    def test_called(self, signal):
        signal.connect(on_one)
        for sender in (None, "name", Base()):
            assert first(signal.explain(on_one, sender=sender)) == "called"
        assert first(signal.explain(on_one)) == first(signal.explain("on_one")) == "called"
        where = f"{relative(HERE)}:{on_one.__code__.co_firstlineno}"
        assert signal.explain(on_one).splitlines()[1] == (
            f"connected: on_one(sender) ({where}), any sender"
        )

    def test_is_right_whatever_it_says(self, signal):
        """What it says is what a send does."""
        listener, sender = Listener(), Base()
        signal.connect(on_one, sender="name")
        signal.connect(on_two, sender=Base, subclasses=True)
        signal.connect(listener.method, senders=[sender, "other"], dispatch_uid="uid")
        signal.connect(listener.method, retry=True, sender="retry")
        for receiver in (on_one, on_two, listener.method, print):
            for each in (None, "name", "other", "retry", sender, Base(), Base, object()):
                called = receiver in [
                    getattr(found, "__wrapped__", found) for found, _ in signal.send(each)
                ]
                text = signal.explain(receiver, sender=each)
                assert text.startswith("called" if called else "not called: "), text

    def test_not_connected(self, signal):
        assert signal.explain(on_one) == "not called: on_one(sender) is not connected"
        assert signal.explain("on_one") == "not called: on_one is not connected"

    def test_for_other_senders(self, signal):
        signal.connect(on_one, senders=["a", "b"])
        assert first(signal.explain(on_one, sender="c")) == (
            "not called: it is connected for other senders, not for 'c': sender='a', sender='b'"
        )
        assert first(signal.explain(on_one)) == "called for sender='a', sender='b' only"

    def test_the_same_dispatch_uid(self, signal):
        signal.connect(on_one, dispatch_uid="uid")
        signal.connect(on_two, dispatch_uid="uid")
        signal.connect(on_one, dispatch_uid="uid")
        assert signal.explain(on_two) == (
            "not called: on_one(sender) was connected with the same dispatch_uid, 'uid', before"
        )
        assert first(signal.explain(on_one)) == "called"

    def test_garbage_collected(self, signal, collect):
        def inner(sender):
            return 5

        signal.connect(inner)
        signal.connect(Listener().method)
        line = inner.__code__.co_firstlineno
        del inner
        collect()
        names = ["inner", "method"]
        if sys.version_info >= (3, 11):
            names.append("Listener.method")
        for name in names:
            text = signal.explain(name)
            assert text.startswith(f"not called: {name} at {relative(HERE)}:"), text
            assert text.endswith(
                "was dropped, because nothing referred to it: keep a reference, or connect it with"
                " weak=False"
            )
        assert f":{line} " in signal.explain("inner")
        callable_ = Callable()
        signal.connect(callable_)
        del callable_
        collect()
        assert "was dropped" in signal.explain("Callable")

    def test_disconnected_before_it_is_garbage_collected(self, signal, collect):
        def inner(sender):
            return 5

        signal.connect(inner)
        signal.disconnect(inner)
        del inner
        collect()
        assert signal.explain("inner") == "not called: inner is not connected"

    def test_remembers_the_last_garbage_collected_ones(self, signal, collect):
        for _ in range(20):
            signal.connect(lambda sender: 0)
            collect()
        assert len(signal.get_past()) == 16

    def test_another_of_the_same_code(self, signal):
        def make():
            def inner(sender):
                return 5

            return inner

        one, two = make(), make()
        signal.connect(one)
        assert "another object with the same code" in signal.explain(two)

    def test_muted(self, signal, monkeypatch):
        block = SimpleNamespace(mutes=lambda receiver: receiver is on_one)
        watching = SimpleNamespace(find_mutes=lambda engine, sender: [block])
        monkeypatch.setitem(sys.modules, "fastsig.watching", watching)
        signal.connect(on_one)
        signal.connect(on_two)
        assert first(signal.explain(on_one)) == "not called: it is muted here"
        assert first(signal.explain(on_two)) == "called"


CELERY = """
{imports}
from celery import Celery
from fastsig.signals import task_success, task_received, worker_ready, worker_process_init
app = Celery("proj", broker="memory://", backend="cache+memory://")
@app.task(name="proj.add")
def add(x): return x
@app.task(name="proj.mul")
def mul(x): return x
def on_add(sender): pass
def on_any(result): pass
task_success.connect(on_add, sender="proj.add")
task_success.connect(on_any)
first, second = task_success.connections()[-2:]
line = on_add.__code__.co_firstlineno
assert (first.receiver, first.sender, first.where) == (on_add, "proj.add", f"<string>:{{line}}")
assert (second.receiver, second.sender, second.weak) == (on_any, None, True)
def begins(text, wanted):
    assert text.startswith(wanted), text
begins(task_success.explain(on_add, sender="proj.add"), "called\\n")
begins(task_success.explain(on_add, sender=add), "called\\n")
begins(task_success.explain(on_add, sender=mul),
    "not called: it is connected for other senders, not for <task 'proj.mul'>: sender='proj.add'")
text = task_success.explain(on_any)
assert text.endswith("task_success is sent in the process that runs the task")
import warnings
warnings.simplefilter("ignore", __import__("fastsig").SignalWarning)
task_received.connect(on_add, sender="proj.add")
begins(task_received.explain(on_add), "not called: sender='proj.add' never matches:")
worker_ready.connect(on_add)
begins(worker_ready.explain(on_add), "not called: worker_ready is sent in the main process of a"
    " worker, and this process is not a worker")
worker_ready.connect(on_any)
task_success.connect(bad := (lambda sender, taks: 0))
begins(task_success.explain(bad), "called, but it fails: <lambda>(sender, taks): task_success")
from celery.app import trace
trace.setup_worker_optimizations(app, "celery@here")
begins(worker_ready.explain(on_add), "called\\n")
from billiard.process import current_process
current_process().name = "ForkPoolWorker-1"
begins(worker_ready.explain(on_add), "not called: worker_ready is sent in the main process of a"
    " worker, and this process is a process of its pool")
worker_process_init.connect(on_add)
begins(worker_process_init.explain(on_add), "called\\n")

import fastsig.celery, fastsig.seen
fastsig.celery.uninstall()
assert not hasattr(task_success, "explain") and not hasattr(task_success, "connections")
begins(fastsig.seen.explain_stock(task_success, on_add, add), "not called: Celery is not adopted")
fastsig.celery.install()
begins(task_success.explain(on_add), "called for sender='proj.add' only")
"""


@pytest.mark.parametrize(
    "imports", ["import fastsig.signals", "import celery.signals\nimport fastsig.signals"]
)
def test_on_celerys_signals(run, imports):
    pytest.importorskip("celery.signals")
    run(CELERY.format(imports=imports))


DEVELOPMENT = """
import warnings
warnings.simplefilter("error", ResourceWarning)
import gc
from fastsig import Signal, SignalWarning
saved = Signal(name="saved")
def caught(action):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        action()
        gc.collect()
    return [(str(each.message), each.lineno) for each in found if each.category is SignalWarning]
def dies():
    def inner(sender): pass
    saved.connect(inner)
class Listener:
    def method(self, sender): pass
def method_dies():
    saved.connect(Listener().method)
def is_called():
    def inner(sender): pass
    saved.connect(inner)
    saved.send(None)
def is_disconnected():
    def inner(sender): pass
    saved.connect(inner)
    saved.disconnect(inner)
[(text, line)] = caught(dies)
assert text.startswith("inner(sender) died before saved called it for the first time")
assert line == 15
[(text, line)] = caught(method_dies)
assert text.startswith("Listener.method(sender) died before") and line == 19, (text, line)
assert caught(is_called) == caught(is_disconnected) == []
async def load(): return 5
def on_saved(sender): return load()
async def on_too(sender): return 6
saved.connect(on_saved)
saved.connect(on_too)
def awaited():
    import asyncio
    async def main(): return [await response for _, response in saved.send(None)]
    assert asyncio.run(main()) == [5, 6]
assert caught(awaited) == [], caught(awaited)
found = caught(lambda: saved.send(None) and None)
assert len(found) == 2, found
wanted = "on_saved(sender) returned the coroutine 'load' to saved, which nobody awaited"
assert wanted in {text for text, _ in found}
def fails(sender): raise ValueError
import logging
logging.getLogger("fastsig").addHandler(logging.NullHandler())
saved.disconnect(on_too), saved.disconnect(on_saved)
saved.connect(fails)
def some(sender, **kwargs): return sorted(kwargs)
saved.connect(some, sender="s")
assert [repr(each) for _, each in saved.send("s", b=1)] == ["ValueError()", "['b', 'signal']"]
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="needs what CPython tells")
@pytest.mark.parametrize("how", ["FASTSIG_DEBUG", "PYTHONDEVMODE"])
def test_development_mode(run, how):
    run(DEVELOPMENT, **{how: "1"})


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="needs what CPython clears last")
def test_development_mode_is_silent_at_exit(environment, tmp_path):
    """A receiver may outlive the names of fastsig's modules."""
    program = """
import ctypes, sys, types
early = sys.modules["early"] = types.ModuleType("early")  # cleared after what is imported later
import fastsig.development
early.saved = fastsig.Signal()
exec("def inner(sender): pass", vars(early))
early.saved.connect(early.inner)
assert len(fastsig.development.records) == 1
for module in (early, fastsig.development):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(module))
del early, module
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "FASTSIG_DEBUG": "1"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""


def test_is_silent_otherwise(run):
    run(
        """
        import sys, warnings
        warnings.simplefilter("error")
        from fastsig import Signal
        raised = []
        sys.unraisablehook = raised.append
        saved = Signal(name="saved")
        def dies():
            def inner(sender): pass
            saved.connect(inner)
        dies()
        assert raised == []
        """,
        FASTSIG_DEBUG="0",
    )


def test_a_name_that_no_task_has(run):
    pytest.importorskip("celery.signals")
    run(
        """
        from celery import Celery
        from fastsig.signals import task_sent, task_success, worker_ready
        app = Celery("proj", broker="memory://")
        @app.task(name="proj.add")
        def add(): pass
        def on_add(sender): pass
        unknown = "sender='add': no app here has a task of that name; did you mean 'proj.add'?"
        for signal in (task_success, task_sent):
            signal.connect(on_add, senders=["add", "proj.add"])
            assert unknown not in signal.explain(on_add).splitlines()
        assert not app.finalized  # asking changes nothing
        app.finalize()
        for signal in (task_success, task_sent):
            lines = signal.explain(on_add).splitlines()
            assert unknown in lines and not any(each.startswith("sender='proj") for each in lines)
        """
    )


@pytest.mark.parametrize("adopted", ["0", "1"])
def test_whether_celery_is_adopted(run, adopted):
    pytest.importorskip("celery.signals")
    run(
        f"""
        import fastsig
        from fastsig.signals import task_success
        from celery import Celery
        app = Celery("proj", broker="memory://")
        @app.task(name="proj.add")
        def add(): pass
        def on_add(sender, **kwargs): pass
        def other(sender, **kwargs): pass
        task_success.connect(on_add, sender="proj.add")
        text = fastsig.explain(task_success, on_add, sender=add)
        if {adopted}:
            assert text.startswith("called\\n"), text
        else:
            assert text.startswith("not called: Celery is not adopted (FASTSIG_CELERY=0"), text
        assert fastsig.explain(task_success, on_add, sender="proj.add").startswith("called")
        assert fastsig.explain(task_success, "on_add", sender="proj.add").startswith("called")
        assert fastsig.explain(task_success, "on_ad").startswith("not called: on_ad is not conn")
        try:
            fastsig.explain(add, on_add)
        except TypeError as error:
            assert str(error).startswith("explain() takes a signal, got"), error
        else:
            raise AssertionError
        text = fastsig.explain(task_success, other)
        assert text.startswith("not called: other(sender, **kwargs)")
        """,
        FASTSIG_CELERY=adopted,
    )


def test_a_signal_that_celery_does_not_send(run):
    pytest.importorskip("celery.signals")
    run(
        """
        import sys
        sys.modules["celery"] = None
        from fastsig.signals import task_success
        def on_any(sender): pass
        task_success.connect(on_any)
        assert task_success.explain(on_any).startswith("called")
        del sys.modules["celery"]
        import celery.signals
        assert task_success.explain(on_any).startswith(
            "not called: Celery is not adopted: it sends its own task_success"
        )
        """
    )
