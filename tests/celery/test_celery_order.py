"""Whenever fastsig comes, Celery's signals arrive, and when it goes, Celery is as it was.

Celery holds on to signals, to their `send` and to their lists of receivers in many places; each
of these is made before fastsig is imported, and after.  Each test runs in a process of its own.
"""

from importlib.util import find_spec

import pytest

pytest.importorskip("celery.signals")

# What a program with Celery does, one after another; each of it holds on to something.
STEPS = {
    "Celery": "import celery",
    "its signals": """
import celery.signals
from celery.signals import task_prerun as held
order = []
early = lambda sender, **kwargs: order.append("early")
held.connect(early)
on_heartbeat = lambda sender, **kwargs: None
celery.signals.heartbeat_sent.connect(on_heartbeat)
""",
    "a subclass of its class": """
from celery.utils.dispatch import Signal
class Counted(Signal):
    count = 0
    def connect(self, *args, **kwargs):
        return super().connect(*args, **kwargs)
    def send(self, sender, **named):
        self.count += 1
        return super().send(sender, **named)
counted = Counted(name="counted", providing_args=["x"])
on_counted = counted.connect(lambda x, **kwargs: x)
""",
    "an app": """
app = celery.Celery("app", broker="memory://", backend="cache+memory://", set_as_current=True)
app.on_after_finalize.connect(lambda sender, **kwargs: order.append("finalized"), weak=False)
app.autodiscover_tasks(["no_such_package"])
""",
    "a task": """
@app.task(name="add")
def add(x, y):
    return x + y
app.finalize()
""",
    "a task that ran": "assert add.apply((1, 2)).get() == 3 and order.pop() == 'early'",
    "a tracer": """
from celery.app.trace import build_tracer
tracer = build_tracer("add", add._get_current_object(), app=app, eager=True)
""",
    "a publisher": "publish = app.amqp.send_task_message",
    "the worker": """
import celery.app.log, celery.app.trace, celery.apps.worker, celery.beat, celery.bin.celery
import celery.concurrency.asynpool, celery.worker.heartbeat, celery.worker.request
heart = celery.worker.heartbeat.Heart(None, app.events.Dispatcher(enabled=False))
""",
    "its test kit": """
import celery.contrib.testing.worker, celery.events.snapshot
started = celery.contrib.testing.worker.test_worker_started
polaroid = celery.events.snapshot.Polaroid(app.events.State(), timer=object(), app=app)
shutter = celery.events.snapshot.Polaroid.shutter_signal
""",
}

CHECK = """
import fastsig, fastsig.celery, fastsig.signals as signals
import sys

celerys = [name for name, value in vars(celery.signals).items() if type(value) is Signal]
assert len(celerys) == 34
for name in celerys:
    signal = getattr(signals, name)
    assert getattr(celery.signals, name) is signal and "_fastsig" in vars(signal), name
assert celery.app.base.Signal is celery.utils.dispatch.Signal is Signal
for name in ("on_configure", "on_after_configure", "on_after_finalize", "on_after_fork"):
    signal = getattr(app, name)
    signal.has_listeners()  # adopts a signal that was made after Celery's class was patched
    assert type(signal) is Signal and "_fastsig" in vars(signal), name
assert held is signals.task_prerun and len(held.receivers) == 1
assert order == ["finalized"], order
order.clear()

arrived = []
kept = []
for name in celerys:
    if name not in ("setup_logging", "import_modules"):
        kept.append(lambda signal, sender: arrived.append(signal.name))
        getattr(signals, name).connect(kept[-1])

def arrives(*names):
    found, arrived[:] = list(arrived), []
    assert found == list(names), (found, names)

ran = ("task_prerun", "task_success", "task_postrun")
published = ("before_task_publish", "after_task_publish", "task_sent")
tracer("id", (1, 2), {}, {"is_eager": True})
arrives(*ran)
add.apply((1, 2))
arrives(*ran)
app.conf.task_always_eager = True
add.delay(1, 2)
arrives(*ran)
assert order == ["early"] * 3, order
app.conf.task_always_eager = False
add.delay(1, 2)
arrives(*published)
with app.producer_or_acquire(None) as producer:
    publish(producer, "add", app.amqp.create_task_message("id", "add", (), {}))
arrives(*published)

trace, request = celery.app.trace, celery.worker.request
sends = [trace.send_prerun, trace.send_postrun, trace.send_success]
sends += [request.send_revoked, request.send_retry]
sends += [c.cell_contents for c in app.amqp.send_task_message.__closure__]
for name in (*ran, *published, "task_revoked", "task_retry"):
    assert getattr(signals, name).send in sends, name
request.send_revoked("task", request=None, terminated=True, signum=9, expired=False)
request.send_retry("task", request=None, einfo=None)
arrives("task_revoked", "task_retry")
assert celery.worker.heartbeat.heartbeat_sent is signals.heartbeat_sent
heart._send("worker-heartbeat")
arrives("heartbeat_sent")
create = celery.concurrency.asynpool.worker_before_create_process
assert create is signals.worker_before_create_process
assert celery.bin.base.user_preload_options is signals.user_preload_options

named = []
for signal, send in ((started, lambda: started.send("w")), (shutter, polaroid.shutter)):
    receiver = signal.connect(lambda sender, **kwargs: named.append(sender))
    send()
    signal.disconnect(receiver)
assert named == ["w", polaroid.state], named
assert counted.send("s", x=3) == [(on_counted, 3)] and counted.count == 1
assert counted.disconnect(on_counted) and counted.send("s", x=3) == []
assert isinstance(counted, celery.utils.dispatch.Signal)

try:
    app.loader.import_default_modules()
except ModuleNotFoundError as error:
    assert error.name == "no_such_package", error
else:
    raise AssertionError("the loader raises again what a receiver raised")
"""


def program(steps, step=None):
    """Return a program that does these things, and imports fastsig before one of them."""
    return "\n".join(
        f"import fastsig.signals\n{STEPS[s]}" if s == step else STEPS[s] for s in steps
    )


@pytest.mark.parametrize("step", [*STEPS, None])
def test_whenever_fastsig_is_imported(run, step):
    run(program(STEPS, step) + CHECK)


@pytest.mark.parametrize("step", ["Celery", "an app", "a task", "the worker", None])
def test_the_testing_worker(run, step):
    """celery.contrib.testing runs a worker in a thread, on the in-memory transport."""
    run(
        program(["Celery", "its signals", "an app", "a task", "the worker"], step)
        + """
from celery.contrib.testing.worker import start_worker, test_worker_started, test_worker_stopped
from fastsig import signals
held.disconnect(early)
seen = []
kept = []
for signal in (signals.worker_init, signals.worker_ready, signals.worker_shutdown,
               test_worker_started, test_worker_stopped):
    kept.append(lambda signal, sender, **kwargs: seen.append(signal.name))
    signal.connect(kept[-1])

@signals.task_postrun.connect(sender=add)
def on_postrun(retval):
    seen.append(retval)

app.loader.import_default_modules = list
with start_worker(app, perform_ping_check=False, pool="solo"):
    assert add.delay(1, 2).get(timeout=20) == 3
# As without fastsig: it sends no others of a worker.
assert seen == ["worker_init", "test_worker_started", 3, "test_worker_stopped"], seen
"""
    )


def test_an_app_whose_signal_is_a_method_or_of_another_class(run):
    """Celery sends `on_configure` if it is a signal, of whatever class; else it calls it."""
    run(
        program(["Celery", "its signals", "a subclass of its class"])
        + """
seen = []
class Old(celery.Celery):
    def on_configure(self):
        seen.append("called")

app, other = Old("app", broker="memory://"), celery.Celery("other", broker="memory://")
other.on_configure = counted
other.on_configure.connect(lambda sender, **kwargs: seen.append("sent"), weak=False)
counted.disconnect(on_counted)
import fastsig.signals
for each in (app, other):
    each.conf.broker_url
assert seen == ["called", "sent"] and counted.count == 1, seen
"""
    )


@pytest.mark.skipif(find_spec("eventlet") is None, reason="eventlet is not installed")
def test_a_running_eventlet_pool(run):
    run(
        program(["Celery", "its signals"])
        + """
from celery.concurrency.eventlet import TaskPool
pool = TaskPool(2)
pool.start()
import fastsig.signals as signals
seen = []

@signals.eventlet_pool_apply.connect
def on_apply(sender, target, args):
    assert sender is pool and callable(target)
    seen.append(args)

@signals.eventlet_pool_postshutdown.connect(sender=pool)
def on_stopped():
    seen.append("stopped")

pool.apply_async(seen.append, (1,))
pool.stop()
assert seen == [(1,), 1, "stopped"], seen
""",
        PYTHONWARNINGS="ignore",
    )


def test_methods_stay_known(run):
    """Before 5.7 Celery knew a bound method by its function alone."""
    run(
        program(["Celery", "its signals"])
        + """
class Listener:
    def hears(self, sender, **kwargs):
        order.append(self)

first, second = Listener(), Listener()
held.disconnect(early)
held.connect(first.hears)
import fastsig.signals
from fastsig.celery import uninstall
new = fastsig.signals.task_prerun
new.connect(first.hears)
new.connect(second.hears)
new.send("s")
assert order == [first, second], order
assert new.disconnect(second.hears) and not new.disconnect(second.hears)
uninstall()
held.connect(first.hears)
assert len(held.receivers) == 1 and held.disconnect(first.hears) and held.receivers == []
"""
    )


# A deep picture of Celery: all that can be reached from its modules and from a given app.
PICTURE = """
import gc, sys, types
import celery.signals
from celery.utils.dispatch import Signal as CelerySignal

def picture(app):
    seen, found = {}, {}

    def look(path, thing):
        kind = type(thing)
        # Methods, and in PyPy tuples of defaults and bases, are made anew whenever one looks.
        if kind is types.MethodType:
            found[path] = kind
            look(f"{path}.__self__", thing.__self__)
            look(f"{path}.__func__", thing.__func__)
            return
        if kind is tuple:
            found[path] = kind, len(thing)
            for place, value in enumerate(thing):
                look(f"{path}[{place}]", value)
            return
        found[path] = kind, id(thing)
        if id(thing) in seen:
            return
        seen[id(thing)] = thing  # alive, so that no other thing gets its id
        if isinstance(thing, dict):
            for key in list(thing):
                look(f"{path}[{key!r:.80}]", thing[key])
        elif isinstance(thing, (list, tuple)):
            for place, value in enumerate(thing):
                look(f"{path}[{place}]", value)
        elif kind is types.FunctionType:
            if (thing.__module__ or "").partition(".")[0] == "celery":
                look(f"{path}.__defaults__", thing.__defaults__)
                for place, cell in enumerate(thing.__closure__ or ()):
                    look(f"{path}.__closure__[{place}]", cell.cell_contents)
        elif isinstance(thing, type):
            if thing.__module__.partition(".")[0] == "celery":
                look(f"{path}.__bases__", thing.__bases__)
                for name, value in list(vars(thing).items()):
                    look(f"{path}.{name}", value)
        elif kind.__module__.partition(".")[0] == "celery" and hasattr(thing, "__dict__"):
            look(f"{path}.__dict__", object.__getattribute__(thing, "__dict__"))

    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "celery":
            for variable, value in list(vars(module).items()):
                look(f"{name}:{variable}", value)
    look("app", app)
    return seen, found

def assert_same(before, after):
    (_, before), (_, after) = before, after
    for path in {**before, **after}:
        if before.get(path) != after.get(path):
            print(path, before.get(path), after.get(path))
    assert before == after
"""


@pytest.mark.parametrize("uses", [False, True])
def test_uninstalling_leaves_celery_as_it_was(run, uses):
    run(
        program(STEPS)
        + """
heart._send("worker-heartbeat")
del app.amqp.send_task_message, publish  # a cache: made anew when it is needed
import fastsig.signals as signals
from fastsig.celery import install, uninstall
"""
        + PICTURE
        + f"uses = {uses}"
        + """
names = [name for name, value in vars(celery.signals).items() if type(value) is Signal]
assert len(names) == 34
picture(app)  # looking evaluates proxies
before = picture(app)
install()
installed = picture(app)
assert installed[1] != before[1]
install()
assert_same(installed, picture(app))
for _ in range(2):
    if uses:
        app.amqp.send_task_message
        for name in names:
            signal = getattr(signals, name)
            receiver = signal.connect(lambda sender: None)
            signal.send("s")
            assert signal.disconnect(receiver)
        add.apply((1, 2))
    uninstall()
    after = picture(app)
    assert_same(before, after)
    assert len(before[1]) > 10_000 and any("send_prerun" in path for path in before[1])
    install()
""",
        FASTSIG_CELERY="0",
    )
