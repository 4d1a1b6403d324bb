"""The warnings of `connect`, on Celery's signals with and without Celery."""

import pytest

HEAD = """
import warnings
{imports}
import fastsig
from fastsig.signals import *
from fastsig.signals import task_sent
class Task:
    __trace__ = None
    name = "proj.add"
    def apply_async(self): pass
    def run(self): pass
add, kept = Task(), []
def told(connect):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept.append(connect())
    for each in caught:
        assert each.category is fastsig.SignalWarning and issubclass(each.category, UserWarning)
        assert each.filename == "<string>", each.filename
    return [str(each.message) for each in caught]
def check(connect, *wanted):
    found = told(connect)
    assert found == list(wanted), found
"""

IMPORTS = {
    "own": "import sys\nsys.modules['celery'] = None",
    "adopted": "import fastsig.signals",
    "adopted late": "import celery.signals\nimport fastsig.signals",
}


@pytest.fixture(params=IMPORTS)
def warn(request, run):
    if request.param != "own":
        pytest.importorskip("celery.signals")

    def warn(program, **environment):
        environment = {"FASTSIG_DEBUG": "0", **environment}  # whatever these tests run in
        return run(HEAD.format(imports=IMPORTS[request.param]) + program, **environment)

    return warn


def test_a_parameter_that_is_not_sent(warn):
    warn(
        """
def on_prerun(taks_id): pass
check(lambda: task_prerun.connect(on_prerun),
      "on_prerun(taks_id): task_prerun sends no 'taks_id'; did you mean 'task_id'?")
def on_post(task_id, result, **kw): pass
check(lambda: task_postrun.connect(on_post),
      "on_post(task_id, result, **kw): task_postrun sends no 'result'; did you mean 'retval'?")
def on_revoked(task, *, colour): pass
check(lambda: task_revoked.connect(on_revoked),
      "on_revoked(task, colour): task_revoked sends no 'task'; sender is the task",
      "on_revoked(task, colour): task_revoked sends no 'colour';"
      " it sends expired, request, sender, signum, terminated")
class Listener:
    def method(self, taks_id): pass
    def __call__(self, taks_id): pass
it = Listener()
for each in (it, it.method):
    [text] = told(lambda: task_prerun.connect(each))
    assert "(taks_id): task_prerun sends no 'taks_id'" in text, text
def method(self, task_id): pass
check(lambda: task_prerun.connect(method),
      "method(self, task_id): task_prerun sends no 'self';"
      " connect the method of an object, as in connect(it.method)")
[text] = told(lambda: task_prerun.connect(on_prerun, retry=True, dispatch_uid="retry"))
assert text.startswith("on_prerun(taks_id)"), text
import functools
check(lambda: task_prerun.connect(functools.partial(on_prerun, taks_id=1), weak=False))
"""
    )


def test_a_parameter_that_has_no_name(warn):
    warn(
        """
def on_prerun(task_id, /, task): pass
check(lambda: task_prerun.connect(on_prerun),
      "on_prerun(task_id, task): 'task_id' is positional only, and what is sent has names")
class Listener:
    def method(self, sender, task_id=None, /, **kwargs): pass
it = Listener()
check(lambda: task_prerun.connect(it.method), "Listener.method(sender, task_id, **kwargs):"
      " 'sender' is positional only, and what is sent has names")
def right(task_id=None, /, **kwargs): pass
check(lambda: task_prerun.connect(right))
"""
    )


def test_what_is_right(warn):
    warn(
        """
def all_of_it(signal, sender, task_id, task, args, kwargs): pass
def any_of_it(*args, **kwargs): pass
def with_default(task_id, extra=1, *, more=2): pass
class Listener:
    @classmethod
    def of_class(cls, task_id): pass
    @staticmethod
    def static(task_id): pass
for each in (all_of_it, any_of_it, with_default, Listener.of_class, Listener.static, print):
    check(lambda: task_prerun.connect(each, weak=False))
check(lambda: task_prerun.connect(any_of_it, senders=["proj.add", add, Task], subclasses=True))
check(lambda: task_sent.connect(any_of_it, senders=["proj.add", add]))
check(lambda: celeryd_init.connect(any_of_it, sender="celery@here"))
check(lambda: worker_ready.connect(any_of_it, sender=it if (it := object()) else None))
# A signal of one's own may have the name of one of Celery's.
own = fastsig.Signal(name="task_prerun")
check(lambda: own.connect(lambda anything: 0))
async def a_coroutine(anything): pass
check(lambda: own.connect(a_coroutine))
"""
    )


def test_at_the_line_that_connects(warn):
    warn(
        """
def lines(connect):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        connect()
    return [each.lineno for each in caught]
import sys
here = sys._getframe().f_lineno
def one():
    @task_prerun.connect
    def f(taks_id): pass
def two():
    @task_prerun.connect(weak=False)
    def f(taks_id): pass
def three():
    @fastsig.receiver([task_prerun, task_retry], weak=False)
    def f(taks_id): pass
def four():
    task_prerun.connect(lambda taks_id: 0)
late = sys.version_info < (3, 11)  # there a decorator is called at the line of the `def`
assert [lines(each) for each in (one, two, three, four)] == [
    [here + 2 + late], [here + 5 + late], [here + 8 + late] * 2, [here + 11]
], [lines(each) for each in (one, two, three, four)]
"""
    )


def test_a_coroutine_function(warn):
    warn(
        """
async def on_success(sender): pass
class Listener:
    async def __call__(self, sender): pass
for each in (on_success, Listener()):
    [text] = told(lambda: task_success.connect(each))
    assert "(sender) is a coroutine function, but" in text and "asyncio.run()" in text
"""
    )


def test_a_sender_that_never_matches(warn):
    warn(
        """
def f(sender): pass
def plain(): pass
class App:
    def gen_task_name(self): pass
for signal, sender, wanted in [
    (task_received, "proj.add", "the consumer; check request.name instead"),
    (task_received, add, "the consumer; check request.name instead"),
    (task_unknown, "proj.add", "the consumer; check name instead"),
    (worker_ready, "celery@here", "the consumer; check sender.hostname instead"),
    (worker_init, "celery@here", "the worker; check sender.hostname instead"),
    (celeryd_init, "proj.add", "host name of the worker"),
    (celeryd_init, add, "host name of the worker"),
    (setup_logging, "celery@here", "None; leave it out"),
    (task_prerun, Task, "the task; to match the tasks of a class, add subclasses=True"),
    (task_prerun, plain, "a plain function"),
    (task_prerun, b"proj.add", "the task"),
    (task_prerun, warnings, "the task"),
    (task_prerun, ["proj.add", add], "the task; for several, write senders="),
    (task_sent, ("proj.add",), "the name of the task; for several, write senders="),
    (celeryd_init, {"celery@here"}, "; for several, write senders="),
    (task_prerun, {"task": "proj.add"}, "the task"),
    (task_sent, warnings, "the name of the task"),
    (task_prerun, App(), "the task; for its tasks, write sender=app.Task, subclasses=True"),
    (task_sent, App(), "the name of the task"),
    (task_sent, Task, "the name of the task"),
]:
    [text] = told(lambda: signal.connect(f, sender=sender))
    assert f"never matches: the sender of {signal.name} is " in text and wanted in text, text
[text] = told(lambda: task_sent.connect(f, sender=Task, subclasses=True))
assert "the name of the task" in text
[text] = told(lambda: task_prerun.connect(f, senders=["proj.add", Task]))
"""
    )


def test_no_sender_at_all(warn):
    warn(
        """
def f(sender): pass
for signal, name in ((task_prerun, "task_prerun"), (fastsig.Signal(), "the signal")):
    check(lambda: signal.connect(f, senders=[]),
          f"f(sender): senders is empty, so {name} never calls it")
    check(lambda: signal.connect(senders=iter(()))(f),
          f"f(sender): senders is empty, so {name} never calls it")
    assert not signal.has_listeners(senders=[]) and not signal.disconnect(f, senders=[])
"""
    )


def test_a_default_is_a_hint_in_development(warn):
    program = """
def on_post(task_id, result=None): pass
check(lambda: task_postrun.connect(on_post), *WANTED)
"""
    hint = (
        "on_post(task_id, result): task_postrun sends no 'result': 'result' always has its"
        " default; did you mean 'retval'?"
    )
    warn(program.replace("WANTED", "[]"))
    warn(program.replace("WANTED", repr([hint])), FASTSIG_DEBUG="1")


def test_as_an_error_nothing_is_connected(warn):
    warn(
        """
warnings.simplefilter("error")
def f(taks_id): pass
try:
    task_prerun.connect(f)
except fastsig.SignalWarning:
    assert not task_prerun.has_listeners()
else:
    raise AssertionError
"""
    )


def test_each_is_told_once_for_a_task_that_is_evaluated_later(run):
    pytest.importorskip("celery.signals")
    run(
        """
        import warnings
        import fastsig.signals
        from celery import Celery
        app = Celery("proj", broker="memory://")
        @app.task
        def add(): pass
        def f(request): pass
        def g(taks_id): pass
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fastsig.signals.task_received.connect(f, sender=add)
            fastsig.signals.task_prerun.connect(g, sender=add)
            app.finalize()
            add.name
        assert len(caught) == 2, [str(each.message) for each in caught]
        assert {each.filename for each in caught} == {"<string>"}
        """
    )


def test_the_version_counts(run):
    pytest.importorskip("celery.signals")
    run(
        """
        import warnings
        import celery
        celery.__version__ = "5.6.3"
        from fastsig.signals import task_success, worker_process_init
        def f(runtime): pass
        def g(): pass
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            task_success.connect(f)
            worker_process_init.connect(g, sender="celery@here")
        texts = [str(each.message) for each in caught]
        assert texts[0].endswith("task_success sends no 'runtime' before Celery 5.7"), texts
        assert texts[1].endswith("worker_process_init is None before Celery 5.7"), texts
        """
    )


def test_a_task_that_is_connected_by_mistake(run):
    pytest.importorskip("celery.signals")
    run(
        """
        import fastsig.signals as signals
        from celery import Celery
        app = Celery("proj", broker="memory://")
        @app.task
        def add(x, y): pass
        @app.task
        def told(state, retval): pass
        try:
            signals.task_prerun.connect(add)
        except ValueError as error:
            assert "requires x, y" in str(error)
        else:
            raise AssertionError
        signals.task_postrun.connect(told)
        """
    )
