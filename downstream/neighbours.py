"""Packages that hook into Celery's signals do with fastsig what they do with Celery as it is.

`nox -s neighbours` runs these in an environment with those packages.  Each writes a project in the
way its documentation tells, has a real worker run its tasks, and records what the package made
of them: with Celery as it is, and with fastsig, imported before the package and after it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

IMPORT = "import fastsig.signals\n"

PROJECT = '''
import json
import os
import time
import weakref
from pathlib import Path

import celery.signals
from celery import Celery
from celery.utils.dispatch import Signal

folder = Path(__file__).parent
app = Celery("project", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "outbox"),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.05,
    },
    task_ignore_result=True,
)


def record(*what):
    with (folder / "record").open("ab", buffering=0) as file:
        file.write(json.dumps(what, default=repr).encode() + b"\\n")


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="fail")
def fail():
    raise ValueError("on purpose")


@app.task(name="again", bind=True)
def again(self):
    if not self.request.retries:
        self.retry(countdown=0)
    last.delay()


def receivers():
    """Tell who is connected, as tools do that walk the lists of receivers."""
    for name, signal in sorted(vars(celery.signals).items()):
        if isinstance(signal, Signal):
            for _, receiver in signal.receivers:
                if isinstance(receiver, weakref.ReferenceType):
                    receiver = receiver()
                yield name, getattr(receiver, "__qualname__", type(receiver).__name__)


@app.task(name="last")
def last():
    adopted = "_fastsig" in vars(celery.signals.task_prerun)
    record("dispatches", "fastsig" if adopted else "celery")
    for name, receiver in receivers():
        record("connected", name, receiver)
    record("last")


def client():
    """What the client does before the worker starts."""
    add.delay(1, 2)
    fail.delay()
    again.delay()


def afterwards():
    """What is done when the worker has stopped."""
'''

SENTRY = """
import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.transport import Transport


class Recorder(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            payload = item.payload.json
            errors = [error["type"] for error in payload.get("exception", {}).get("values", ())]
            status = payload.get("contexts", {}).get("trace", {}).get("status")
            name = payload.get("transaction", payload.get("monitor_slug"))
            record(item.type, name, payload.get("status", status), errors)


sentry_sdk.init(
    dsn="http://key@localhost/1",
    transport=Recorder,
    traces_sample_rate=1.0,
    auto_enabling_integrations=False,
    integrations=[CeleryIntegration(monitor_beat_tasks=True)],
)


def client():
    monitored = {
        "sentry-monitor-slug": "nightly",
        "sentry-monitor-config": {},
        "sentry-monitor-check-in-id": "0" * 32,
    }
    for task, args in ((add, (1, 2)), (fail, ()), (again, ())):
        task.apply_async(args, headers=dict(monitored))
"""

OPENTELEMETRY = """
from celery.signals import worker_process_init
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult


class Recorder(SpanExporter):
    def export(self, spans):
        for span in spans:
            status, has_parent = span.status.status_code.name, span.parent is not None
            record("ended", span.name, span.kind.name, status, has_parent)
            record("held", span.name, sorted(span.attributes), [e.name for e in span.events])
        return SpanExportResult.SUCCESS


trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(Recorder()))


@worker_process_init.connect(weak=False)
def init_worker(*args, **kwargs):
    CeleryInstrumentor().instrument()


def client():
    CeleryInstrumentor().instrument()
    add.delay(1, 2)
    fail.delay()
    again.delay()
    CeleryInstrumentor().uninstrument()
    add.delay(1, 2)
"""

DJANGO = """
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def migrate():
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
"""

SETTINGS = """
from pathlib import Path

SECRET_KEY = "secret"
USE_TZ = True
INSTALLED_APPS = ["django_celery_results", "django_celery_beat"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / "db"}
}
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_TRACK_STARTED = True
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SYNC_EVERY = 1
"""

RESULTS = (
    DJANGO
    + """
app.conf.task_ignore_result = False


def client():
    migrate()
    add.delay(1, 2)
    fail.delay()
    again.delay()


def afterwards():
    migrate()
    from django_celery_results.models import TaskResult

    for result in TaskResult.objects.all():
        record("result", result.task_name, result.status, result.result, result.task_args)
"""
)

BEAT = (
    DJANGO
    + """
from celery.signals import beat_embedded_init, beat_init


@beat_init.connect
def on_beat(signal, sender, **kwargs):
    record(signal.name, type(sender.scheduler).__name__)


@beat_embedded_init.connect
def on_embedded_beat(signal, sender, **kwargs):
    record(signal.name, type(sender.scheduler).__name__)


@app.task(name="once")
def once():
    from django_celery_beat.models import PeriodicTask

    for _ in range(300):
        if PeriodicTask.objects.filter(task="once", last_run_at__isnull=False):
            record("ran once, and beat wrote it down")
            break
        time.sleep(0.1)
    last()


def client():
    migrate()
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    every, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.create(name="once", task="once", interval=every, one_off=True)
"""
)

PROJECTS = {
    "sentry-sdk": (
        SENTRY,
        [
            ["transaction", "add", "ok", []],
            ["event", "fail", "internal_error", ["ValueError"]],
            ["check_in", "nightly", "ok", []],
            ["check_in", "nightly", "error", []],
            ["connected", "task_retry", "crons_task_retry"],
        ],
    ),
    "opentelemetry-instrumentation-celery": (
        OPENTELEMETRY,
        [
            ["connected", "task_prerun", "CeleryInstrumentor._trace_prerun"],
            ["ended", "apply_async/add", "PRODUCER", "UNSET", False],
            ["ended", "run/add", "CONSUMER", "UNSET", True],
            ["ended", "run/fail", "CONSUMER", "ERROR", True],
        ],
    ),
    "django-celery-results": (
        RESULTS,
        [
            ["result", "add", "SUCCESS", "3", '"(1, 2)"'],
            ["connected", "task_prerun", "DjangoWorkerFixup.on_task_prerun"],
        ],
    ),
    "django-celery-beat": (
        BEAT,
        [
            ["beat_embedded_init", "DatabaseScheduler"],
            ["ran once, and beat wrote it down"],
        ],
    ),
}


def python(folder, environment, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def deliver(folder):
    """Put what was sent into the queue; kombu would also read what is not yet written in full."""
    for message in (folder / "outbox").iterdir():
        with suppress(ValueError):
            json.loads(message.read_text())
            message.rename(folder / "queue" / message.name)


def worked(folder, environment, name, project):
    """Have a worker run the tasks of a project; return what was recorded, in any order."""
    environment = {**environment, "DJANGO_SETTINGS_MODULE": "settings" if "django" in name else ""}
    options = ["--beat"] if name == "django-celery-beat" else []
    for part in ("outbox", "queue", "control"):
        (folder / part).mkdir(parents=True)
    (folder / "project.py").write_text(project)
    (folder / "settings.py").write_text(SETTINGS)
    record = folder / "record"
    python(folder, environment, "-c", "import project; project.client()")
    with (folder / "log").open("w+") as log:
        command = ("worker", "--pool=prefork", "--concurrency=1", "--without-mingle")
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "project", *command, *options],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 90
            while not (record.exists() and b'["last"]' in record.read_bytes()):
                alive = worker.poll() is None and time.monotonic() < deadline
                assert alive, (folder / "log").read_text()
                deliver(folder)
                time.sleep(0.1)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
    python(folder, environment, "-c", "import project; project.afterwards()")
    return sorted(map(json.loads, record.read_text().splitlines()), key=repr)


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """What projects do with Celery as it is; found out once for each."""
    known = {}

    def stock(name, environment):
        if name not in known:
            folder = tmp_path_factory.mktemp("stock")
            environment = {**environment, "FASTSIG_CELERY": "0"}
            known[name] = worked(folder, environment, name, IMPORT + PROJECT + PROJECTS[name][0])
        return list(known[name])

    return stock


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", PROJECTS)
def test_as_with_stock(name, when, environment, tmp_path, stock):
    code, expected = PROJECTS[name]
    project = IMPORT + PROJECT + code if when == "before" else PROJECT + code + IMPORT
    before = stock(name, environment)
    before.remove(["dispatches", "celery"])
    for line in expected:
        assert line in before, before
    found = worked(tmp_path / "project", environment, name, project)
    found.remove(["dispatches", "fastsig"])
    assert found == before


FIXTURES = """
import celery.contrib.testing.tasks
import celery.signals
import pytest
from fastsig import signals


@pytest.fixture(scope="session")
def celery_config():
    return {"broker_url": "memory://", "result_backend": "cache+memory://"}


def test_tasks(celery_session_app, celery_session_worker):
    seen = []

    @celery_session_app.task
    def add(x, y):
        return x + y

    def on_postrun(signal, sender, retval, **kwargs):
        seen.append((signal.name, sender.name.rpartition(".")[2], retval))

    celery_session_worker.reload()
    celery.signals.task_postrun.connect(on_postrun)
    assert add.delay(1, 2).get(timeout=20) == 3
    assert seen == [("task_postrun", "add", 3)]
    assert celery.signals.task_postrun is signals.task_postrun
    assert ("_fastsig" in vars(signals.task_postrun)) is {installed}
"""


@pytest.mark.parametrize("installed", [True, False])
def test_pytest_celery(installed, environment, tmp_path):
    """The fixtures that need no Docker: a worker in a thread.  (Its `celery_worker` needs it.)"""
    (tmp_path / "test_project.py").write_text(FIXTURES.replace("{installed}", str(installed)))
    environment = {**environment, "FASTSIG_CELERY": "1" if installed else "0"}
    assert "1 passed" in python(tmp_path, environment, "-m", "pytest", "-q", "test_project.py")


TYPED = """
from typing import Any

from celery import Celery, Task
from celery.signals import task_postrun, task_prerun, worker_ready

app = Celery("app")


@app.task
def add(x: int, y: int) -> int:
    return x + y


@task_prerun.connect
def on_prerun(sender: Task[Any, Any], task_id: str, **kwargs: Any) -> None:
    print(sender.name, task_id)


@task_postrun.connect(sender=add, dispatch_uid="mine")
def on_postrun(retval: object, **kwargs: Any) -> None:
    print(retval)


def on_ready(**kwargs: Any) -> str:
    return "ready"


connected: str = worker_ready.connect(on_ready, weak=False)()
print(task_prerun.disconnect(on_prerun), worker_ready.send(None)[0][1], add.delay(1, 2).get())
on_prerun(1)  # wrong
on_postrun.no_such_attribute  # wrong
worker_ready.connect(1)  # wrong
worker_ready.send()  # wrong
task_prerun.no_such_method()  # wrong
"""


def test_celery_types(tmp_path):
    """Code that is well typed with Celery's signals is so with fastsig's; what is wrong is, too."""
    wrong = [number for number, line in enumerate(TYPED.splitlines(), 1) if "# wrong" in line]
    for module in ("celery.signals", "fastsig.signals"):
        (tmp_path / "typed.py").write_text(TYPED.replace("celery.signals", module))
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir=cache", "typed.py"]
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        found = re.findall(r"^typed.py:(\d+): error", done.stdout, re.MULTILINE)
        assert sorted({*map(int, found)}) == wrong, done.stdout
