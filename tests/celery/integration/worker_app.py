"""A Celery app whose every signal is recorded: who sent it, with what, in which process.

The publishing clients of the tests import it, and so do real workers and beats.  `WORKER_APP`
names the folder of the record, a file with a line of JSON for each signal that arrived, and of
the queue, if there is no other broker in `WORKER_BROKER`.
"""

import json
import logging
import os
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Thread

import celery.signals
from billiard.einfo import ExceptionInfo
from billiard.process import current_process
from celery import Celery
from celery.backends.base import DisabledBackend
from celery.utils.dispatch import Signal
from click import Option

import fastsig
from fastsig import signals

folder = Path(os.environ["WORKER_APP"])

broker = os.environ.get("WORKER_BROKER", "filesystem://")

app = Celery("worker_app", broker=broker)
app.conf.update(
    beat_schedule={"add": {"task": "add", "schedule": 0.2, "args": (7,)}},
    beat_schedule_filename=str(folder / "schedule"),
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
)
if broker == "filesystem://":
    app.conf.update(
        broker_transport_options={
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "outbox"),
            "processed_folder": str(folder / "processed"),
            "store_processed": True,
            "control_folder": str(folder / "control"),
            "polling_interval": 0.05,
        }
    )
app.user_options["preload"].add(Option(["--trial"], default="no"))


def record(signal, sender, handler, arguments):
    line = {
        "signal": signal.name,
        "handler": handler,
        "core": "compiled" if fastsig.compiled else "pure",
        "adopted": type(signal) is Signal
        and "_fastsig" in vars(signal)
        and getattr(celery.signals, signal.name, signal) is signal,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "process": current_process().name,
        "sender_type": type(sender).__name__,
        "sender": getattr(sender, "name", None) or str(sender),
        "task_id": task_id(sender, **arguments),
        "types": {name: type(value).__name__ for name, value in arguments.items()},
        "arguments": arguments,
    }
    written = json.dumps(line, default=shown).encode() + b"\n"
    with (folder / "record").open("ab", buffering=0) as file:
        file.write(written)


def shown(value):
    return value.traceback[-200:] if isinstance(value, ExceptionInfo) else repr(value)[:200]


def task_id(sender, task_id=None, id=None, headers=None, request=None, **others):
    """Return the id of the task that a signal is about, if it is about one."""
    in_headers = headers["id"] if headers else None
    in_request = getattr(request or getattr(sender, "request", None), "id", None)
    return task_id or id or in_headers or in_request


def on_any(signal, sender, **kwargs):
    record(signal, sender, "any", kwargs)


def on_setup_logging(signal, sender, loglevel, **kwargs):
    """Take logging over, or fail."""
    record(signal, sender, "any", {"loglevel": loglevel, **kwargs})
    if os.environ["WORKER_LOGGING"] == "fail":
        raise LookupError("no logging today")
    logging.basicConfig(level=loglevel, format="TAKEN OVER %(message)s")


for _name in [name for name, value in vars(celery.signals).items() if isinstance(value, Signal)]:
    if _name != "setup_logging":
        getattr(signals, _name).connect(on_any)
    elif "WORKER_LOGGING" in os.environ:
        signals.setup_logging.connect(on_setup_logging)
for _name in ("on_configure", "on_after_configure", "on_after_finalize", "on_after_fork"):
    getattr(app, _name).connect(on_any)


@app.task(name="add")
def add(x, y=0):
    return x + y


@app.task(name="slow")
def slow():
    time.sleep(0.05)


@app.task(name="noisy")
def noisy():
    make_noise(0.005)


@app.task(name="publisher", bind=True)
def publisher(self):
    """Return what a receiver wrote into the message's headers."""
    return self.request.published_by


@app.task(name="fail")
def fail():
    raise ValueError("on purpose")


@app.task(name="again", bind=True, max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(exc=KeyError("once more"), countdown=0)


@app.task(name="stop", bind=True)
def stop(self):
    """Ask the worker to terminate this very task."""
    app.control.revoke(self.request.id, terminate=True)
    time.sleep(60)


class BrokenBackend(DisabledBackend):
    def mark_as_done(self, *args, **kwargs):
        raise RuntimeError("no result can be stored")


@app.task(name="broken", backend=BrokenBackend(app))
def broken():
    """Succeed in vain: Celery itself fails then."""


def publish_all(terminate):
    """Publish tasks for every outcome: one that asks to be terminated, too, if so told."""
    for i in range(5):
        add.delay(i, y=1)
    for task in (publisher, fail, again, broken):
        task.delay()
    add.apply_async((0,), expires=datetime.now(timezone.utc) - timedelta(minutes=1))
    app.send_task("nowhere", (1,))
    with app.producer_pool.acquire() as producer:
        for no_task in ({"no": "task"}, {"task": "add", "id": "invalid", "kwargs": "wrong"}):
            producer.publish(no_task, routing_key="celery", serializer="json")
    if terminate:
        stop.delay()


@signals.before_task_publish.connect
def on_publish(headers):
    headers["published_by"] = os.getpid()


@signals.task_sent.connect(sender="add")
def on_add_sent(signal, sender, task_id):
    record(signal, sender, "by name", {"task_id": task_id})


@signals.task_prerun.connect(sender=add)
def on_add_prerun(signal, sender, task, args):
    record(signal, sender, "by task", {"task": task, "args": args})


@signals.celeryd_init.connect
def on_celeryd_init():
    app.pool  # noqa: B018 - Celery tells of forks only if the app had connections before


noise = fastsig.Signal(name="noise")


def make_noise(seconds):
    """Do to signals all that one can do to them, for so long."""

    def receiver(**kwargs):
        pass

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for signal in (noise, signals.task_prerun, signals.worker_process_init):
            signal.connect(receiver, weak=False)
            signal.has_listeners()
            noise.send("sender")
            noise.send(receiver)
            signal.disconnect(receiver)


def keep_making_noise():
    while True:
        make_noise(0.002)
        time.sleep(0.001)


if "WORKER_NOISE" in os.environ:
    threads = [Thread(target=keep_making_noise, daemon=True) for _ in range(3)]

    @signals.worker_init.connect
    def on_worker_init(**kwargs):
        sys.setswitchinterval(1e-4)  # more moments to fork at, and the main thread gets on
        for thread in threads:
            thread.start()

    @signals.worker_shutdown.connect
    def on_worker_shutdown(signal, sender, **kwargs):
        alive = sum(thread.is_alive() for thread in threads)
        record(signal, sender, "noise", {"alive": alive})

    @signals.worker_process_init.connect
    def on_worker_process_init(**kwargs):
        make_noise(0.005)
