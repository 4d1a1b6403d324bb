"""A real Celery dispatches through fastsig, in whatever order things are imported.

Each test runs in a process of its own, which has imported nothing yet.
"""

import pytest

pytest.importorskip("celery.signals")


IN_PLACE = """
import celery.signals, fastsig, fastsig.signals, fastsig.celery, sys
from celery.utils.dispatch import Signal

celerys = {name: value for name, value in vars(celery.signals).items() if type(value) is Signal}

def in_place():
    assert fastsig.celery.installed()
    assert len(celerys) == 34 and Signal is celery.utils.dispatch.Signal
    for name, signal in celerys.items():
        assert getattr(celery.signals, name) is getattr(fastsig.signals, name) is signal, name
        assert type(signal) is Signal and adopted(signal), name

def adopted(signal):
    return "_fastsig" in vars(signal) and type(signal.receivers) is not list
"""


def test_fastsig_first(run):
    run("import fastsig.signals, sys" + IN_PLACE + "in_place()")


def test_celery_first(run):
    run(
        """
import celery
from celery import Celery, signals
from celery.signals import task_prerun as old
from celery.utils.dispatch import Signal as OldSignal
app = Celery("app", broker="memory://")
table = old.receivers
held = old.send
order = []
first = lambda **kwargs: order.append("first")
old.connect(first)
"""
        + IN_PLACE
        + """
from fastsig.signals import task_prerun
in_place()
assert old is task_prerun is celery.signals.task_prerun and type(old) is OldSignal is Signal
# Whoever holds the list from before, and asks only whether it is empty, goes on sending.
((_, dead),) = table
assert dead() is None and len(old.receivers) == 1
second = lambda task_id: order.append("second")
third = lambda **kwargs: order.append("third")
task_prerun.connect(second)
old.connect(third)
for send in (held, old.send, task_prerun.send, signals.task_prerun.send):
    send("s", task_id=1)
    assert order == ["first", "second", "third"], order
    order.clear()
assert old.has_listeners() and old.disconnect(first) and not task_prerun.disconnect(first)
old.receivers = []
assert task_prerun.send("s") == []
"""
    )


def test_signals_of_an_app(run):
    run(
        """
from celery import Celery
before = Celery("before", broker="memory://")
seen = []
held = before.on_after_configure
held.connect(lambda sender, **kwargs: seen.append("held"), weak=False)
import fastsig.signals
from celery.utils.dispatch import Signal
after = Celery("after", broker="memory://")
assert before.on_after_configure is held
for app in (before, after):
    for name in ("on_configure", "on_after_configure", "on_after_finalize", "on_after_fork"):
        assert type(getattr(app, name)) is Signal, name
        getattr(app, name).connect(lambda sender, signal: seen.append(signal.name), weak=False)
        assert "_fastsig" in vars(getattr(app, name)), name
    app.conf.task_always_eager
    app.finalize()
names = ["app.on_configure", "app.on_after_configure", "app.on_after_finalize"]
assert seen == [names[0], "held", *names[1:], *names], seen
held.send(before, source=1)
assert seen[-2:] == ["held", names[1]], seen
"""
    )


def test_eager_tasks(run):
    run(
        IN_PLACE
        + """
from celery import Celery
from fastsig.signals import task_failure, task_postrun, task_prerun, task_success
app = Celery("app", broker="memory://")
app.conf.task_always_eager = True
seen = []

@app.task
def add(x, y):
    return x + y

@app.task
def fail():
    raise ValueError

@task_prerun.connect(sender=add)
def on_prerun(sender, task_id, task, args, kwargs):
    assert sender is task is add._get_current_object() and args == [1, 2] and kwargs == {}
    seen.append(task_id)

@task_postrun.connect
def on_postrun(task_id, task, args, kwargs, retval, state):
    seen.append((task_id, retval, state))

@task_failure.connect(sender=fail)
def on_failure(task_id, exception, einfo):
    seen.append(type(exception))

@task_success.connect
def on_success(result):
    seen.append(result)

result = add.delay(1, 2)
assert seen == [result.id, 3, (result.id, 3, "SUCCESS")], seen
seen.clear()
result = fail.delay()
assert seen[0] is ValueError and seen[1][0] == result.id and seen[1][2] == "FAILURE", seen
"""
    )


def test_shared_task_as_sender(run):
    """A shared task is a proxy: it stands for the task of the app that is current."""
    run(
        """
from celery import Celery, shared_task
from fastsig.signals import task_prerun
app = Celery("app", broker="memory://", set_as_current=True)
seen = []

@shared_task
def add(x, y):
    return x + y

@task_prerun.connect(sender=add)
def on_prerun(args):
    seen.append(args)

app.conf.task_always_eager = True
add.delay(1, 2)
assert seen == [[1, 2]], seen
"""
    )


def test_headers_are_changed_in_place(run):
    run(
        """
from celery import Celery
from fastsig.signals import after_task_publish, before_task_publish
app = Celery("app", broker="memory://")
seen = {}

@before_task_publish.connect
def before(headers):
    headers["mine"] = 1

@after_task_publish.connect(sender="add")
def after(sender, headers, body, exchange, routing_key):
    seen.update(headers)

app.send_task("add", (1, 2))
assert seen["mine"] == 1 and seen["task"] == "add", seen
"""
    )


def test_logging_is_taken_over(run):
    run(
        """
from celery import Celery
from fastsig.signals import setup_logging
app = Celery("app", broker="memory://")
seen = []

@setup_logging.connect
def mine(loglevel, logfile, format, colorize):
    seen.append(loglevel)
    return True

assert app.log.setup_logging_subsystem(loglevel="ERROR")
assert seen == [40], seen

@setup_logging.connect
def bad(**kwargs):
    raise RuntimeError("no logging")

app.log.already_setup = type(app.log).already_setup = False
try:
    app.log.setup_logging_subsystem(loglevel="ERROR")
except RuntimeError:
    seen.append("raised")
import celery
assert seen[2:] == (["raised"] if celery.VERSION >= (5, 7) else []), seen
"""
    )


def test_errors_are_logged_where_celery_logs_them(run):
    run(
        """
import logging
from fastsig.signals import task_prerun
records = []
logger = logging.getLogger("celery.utils.dispatch.signal")
logger.addHandler(type("Handler", (logging.Handler,), {"emit": lambda s, r: records.append(r)})())

@task_prerun.connect
def bad(**kwargs):
    raise ValueError("bad")

((_, error),) = task_prerun.send("s")
(record,) = records
assert record.msg == "Signal handler %r raised: %r" and record.args == (bad, error), record.args
assert record.exc_info[1] is error
"""
    )


def test_shutdown_of_the_worker_propagates(run):
    run(
        """
from celery.exceptions import Ignore, WorkerShutdown
from fastsig.signals import worker_ready
for error, caught in ((WorkerShutdown, False), (Ignore, True)):
    @worker_ready.connect
    def receiver(**kwargs):
        raise error
    try:
        ((_, response),) = worker_ready.send("s")
        assert caught and isinstance(response, error)
    except error:
        assert not caught
    assert worker_ready.disconnect(receiver)
"""
    )


def test_subclasses_of_celerys_class(run):
    run(
        """
from celery.utils.dispatch import Signal
class Before(Signal):
    def send(self, sender, **named):
        return "sent", super().send(sender, **named)
before = Before(name="before")
early = before.connect(lambda **kwargs: 0)
import fastsig.signals
from celery.utils.dispatch import Signal as NewSignal
class After(NewSignal):
    def connect(self, *args, **kwargs):
        return super().connect(*args, **kwargs)
    def send(self, sender, **named):
        return "sent", super().send(sender, **named)
assert before.send("s") == ("sent", [(early, 0)])
for signal in (before, Before(), After(name="after")):
    receiver = signal.connect(lambda **kwargs: 1)
    sent, responses = signal.send("s")
    assert sent == "sent" and responses[-1] == (receiver, 1)
    assert signal.disconnect(receiver)
    assert isinstance(signal, Signal)
"""
    )


def test_the_table_of_a_new_signal(run):
    """It is the same before and after the first use, and belongs to that signal only."""
    run(
        """
import copy
import fastsig.signals
from celery.utils.dispatch import Signal
def receiver(**kwargs):
    return 1
signal = Signal(name="new")
table = signal.receivers
other = copy.copy(signal)
entry = ((id(receiver), id(None)), receiver)
table.append(entry)
assert signal.send("s") == [(receiver, 1)] and signal.receivers is table
assert signal.disconnect(receiver) and not table
assert other.connect(receiver) is receiver
assert not table and len(other.receivers) == 1 and signal.send("s") == []
signal.connect(receiver)
assert len(table) == 1
table.clear()
assert signal.send("s") == []
assert other.send("s") == [(receiver, 1)]
"""
    )


@pytest.mark.parametrize("change", ["connect", "append"])
def test_a_change_while_another_thread_uses_a_new_signal_first(run, change):
    """Nothing is lost, whether the signal has a table or, copied, a list."""
    run(
        f"change = {change!r}"
        """
import copy, threading, weakref
import fastsig.signals
from celery.utils.dispatch import Signal
def first(**kwargs):
    return 1
def second(**kwargs):
    return 2
def make_entry(receiver, reference):
    return (id(receiver), id(None)), reference
for made in (Signal(), copy.copy(Signal())):
    def change_it(signal=made):
        if change == "connect":
            signal.connect(second)
        else:
            signal.receivers.append(make_entry(second, second))
    threads = []
    class Reference(weakref.ref):
        def __call__(self):
            if not threads:
                threads.append(threading.Thread(target=change_it))
                threads[0].start()
                threads[0].join(0.3)  # a connection has to wait for the first use
            return super().__call__()
    made.receivers.append(make_entry(first, Reference(first)))
    if change == "append" and type(made.receivers) is list:
        continue  # nobody is told of that
    made.send("s")
    threads[0].join()
    assert sorted(value for _, value in made.send("s")) == [1, 2], made
"""
    )


def test_private_methods_of_celerys_class(run):
    run(
        """
import fastsig.signals as fs
receiver = fs.task_prerun.connect(lambda **kwargs: 1)
for signal in (fs.task_prerun, fs.setup_logging):
    with signal.lock:
        signal._clear_dead_receivers()
    signal.sender_receivers_cache.clear()
    signal._remove_receiver()
assert fs.task_prerun._live_receivers("s") == [receiver]
"""
    )


@pytest.mark.parametrize("first", ["fastsig", "celery"])
def test_uninstall(run, first):
    run(
        f"import {first}.signals"
        + IN_PLACE
        + """
import celery.app.trace as trace
from celery import Celery
from fastsig.celery import install, uninstall
in_place()
install()
in_place()
seen = []
receiver = fastsig.signals.task_prerun.connect(lambda **kwargs: seen.append(1))
app = Celery("app", broker="memory://")
app.amqp.send_task_message
for again in (False, True):
    uninstall()
    uninstall()
    assert not fastsig.celery.installed()
    for name, value in vars(Signal).items():
        module = getattr(getattr(value, "__code__", None), "co_filename", "celery")
        assert "fastsig" not in module and "fastsig" not in repr(value), (name, value)
    for signal in (*celerys.values(), app.on_configure, app.on_after_fork):
        assert type(signal) is Signal and type(signal.receivers) is list, signal
        assert not vars(signal).keys() & {"_fastsig", "_fastsig_list", "send"}, vars(signal)
    prerun = fastsig.signals.task_prerun
    assert prerun is celery.signals.task_prerun
    assert trace.send_prerun == prerun.send and trace.send_prerun.__func__ is Signal.send
    assert len(prerun.receivers) == 1
    prerun.send("s")
    assert seen.pop() and not seen
    for name, module in list(sys.modules.items()):
        if name.startswith("celery"):
            for value in vars(module).values():
                value = getattr(value, "__self__", value)
                assert not type(value).__module__.startswith("fastsig"), (name, value)
    install()
    in_place()
    trace.send_prerun("s")
    assert seen.pop() and not seen
    assert fastsig.signals.task_prerun.disconnect(receiver)
    fastsig.signals.task_prerun.connect(receiver)
"""
    )


def test_receivers_of_both_are_kept(run):
    """Installed late, with receivers that were connected through either name of a signal."""
    run(
        """
import celery.signals, fastsig.signals
from fastsig.celery import install, installed
assert not installed()
order = []
mine = lambda **kwargs: order.append("fastsig's")
both = lambda **kwargs: order.append("both")
celerys = lambda **kwargs: order.append("celery's")
late = lambda: order.append("late")
fastsig.signals.worker_init.connect(mine)
fastsig.signals.worker_init.connect(both)
celery.signals.worker_init.connect(celerys)
celery.signals.worker_init.connect(both)
try:
    fastsig.signals.worker_init.connect(late)
except ValueError:  # it is Celery's own code that refuses it
    order.append("refused")
celery.signals.worker_init.send("s")
assert order == ["refused", "fastsig's", "both", "celery's"], order
order.clear()
install()
fastsig.signals.worker_init.connect(late)
celery.signals.worker_init.send("s")
assert order == ["fastsig's", "both", "celery's", "late"], order
""",
        FASTSIG_CELERY="0",
    )


def test_left_alone(run):
    run(
        """
import celery.signals, fastsig.signals, sys
from celery.utils.dispatch import Signal
names = [name for name, value in vars(celery.signals).items() if type(value) is Signal]
assert len(names) == 34
seen = []
receiver = lambda signal, **kwargs: seen.append(signal)
for name in names:
    signal = getattr(fastsig.signals, name)
    assert signal is getattr(celery.signals, name), name
    assert "_fastsig" not in vars(signal) and type(signal.receivers) is list, name
    signal.connect(receiver)
    signal.send("s")
    assert seen.pop() is signal and not seen, name
assert type(Signal.send).__name__ == "function"
assert Signal.send.__globals__ is vars(sys.modules[Signal.__module__])
assert "fastsig.celery" not in sys.modules
""",
        FASTSIG_CELERY="0",
    )
