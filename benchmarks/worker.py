"""A process with a Celery app, which runs and publishes its task as often as it is told.

    python benchmarks/worker.py celery|fastsig RECEIVERS [django]

So many receivers are connected to each of the signals concerned, and Celery sends them itself or
through fastsig; with Django set up, those of Celery's fixup come first.  For each line of standard
input, ``run COUNT`` or ``publish COUNT``, it does so and writes the nanoseconds that it took.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time_ns

from celery import Celery, signals
from celery.app import trace
from receivers import NAMED, receivers

from fastsig.command import measure

WORK = RUN, PUBLISH = "run", "publish"
DISPATCHERS = ("celery", "fastsig")


@contextmanager
def worker(
    dispatcher: str, receivers: int, django: bool = False
) -> Iterator[dict[str, measure.Run]]:
    """Start such a process; give the runs that it does."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), dispatcher, str(receivers), *["django"] * django],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    orders, answers = process.stdin, process.stdout

    def order(what: str) -> measure.Run:
        def run(count: int) -> int:
            print(what, count, file=orders, flush=True)
            return int(answers.readline())

        return run

    try:
        yield {what: order(what) for what in WORK}
    finally:
        orders.close()
        process.wait()


def main(dispatcher: str, count: int, django: bool) -> None:
    """Obey the orders on standard input."""
    if dispatcher == "fastsig":
        from fastsig.celery import install

        install()
    assert type(trace.send_prerun.__self__).__module__.split(".")[0] == dispatcher
    app = Celery("benchmarks", broker="memory://")
    app.conf.task_ignore_result = True

    @app.task(name="benchmarks.add")
    def add(x: int, y: int) -> int:
        return x + y

    app.finalize()
    if django:
        set_up_django(app)
    sent = {
        RUN: (signals.task_prerun, signals.task_postrun, signals.task_success),
        PUBLISH: (signals.before_task_publish, signals.after_task_publish),
    }
    connected = {what: [] for what in sent}
    everything = iter(receivers(NAMED, count * sum(map(len, sent.values()))))
    for what, its_signals in sent.items():
        for signal in its_signals:
            for _ in range(count):
                connected[what].append(signal.connect(next(everything)))

    request = {"id": "5f0e2cbd", "delivery_info": {"priority": 0, "redelivered": False}}
    names = {
        "trace": trace.build_tracer(add.name, add, app=app),
        "request": request,
        "apply_async": add.apply_async,
    }
    statements = {
        RUN: "trace('5f0e2cbd', (2, 3), {}, request)",
        PUBLISH: "apply_async((2, 3))",
    }
    runs = {}
    for what, statement in statements.items():
        measure.verify(measure.function(statement, names), connected[what])
        runs[what] = measure.run(statement, names, process_time_ns)
    assert measure.function(f"return {statements[RUN]}", names)().retval == 5
    assert app.control.purge() == 1

    with measure.no_collector():
        for line in sys.stdin:
            what, times = line.split()
            print(runs[what](int(times)), flush=True)
            if what == PUBLISH:
                assert app.control.purge() == int(times)


def set_up_django(app: Celery) -> None:
    """Do what a worker of a Django project does before it runs tasks."""
    import django
    from celery.fixups.django import DjangoWorkerFixup
    from django.conf import settings

    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    settings.configure(DATABASES=databases)
    django.setup()
    fixup = DjangoWorkerFixup(app)
    fixup.install()
    assert signals.task_prerun.receivers
    app._fixup = fixup  # the receivers are held weakly


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "django" in sys.argv[3:])
