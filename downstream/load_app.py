"""The Celery app of `load.py`: short tasks, five receivers on each task signal, and their counts.

Each process counts in a file of its own, which is mapped into memory: so counting costs little,
and nothing is lost with a process.  Where ``FASTSIG_CELERY=0`` is set, the same receivers are
connected to Celery's own signals.
"""

import gc
import mmap
import os
import time
from itertools import count
from pathlib import Path

from celery import Celery, signals
from celery.app import trace
from load import RECEIVERS, SIGNALS, SPENT
from redis import Redis

import fastsig.signals  # noqa: F401 - Celery dispatches through it, unless told otherwise

folder = Path(os.environ["WORKER_APP"])

app = Celery("load_app", broker=os.environ["WORKER_BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True)


def open_counts():
    global counts  # noqa: PLW0603 - each process has its own
    with (folder / f"counts-{os.getpid()}").open("x+b") as file:
        file.truncate((SPENT + 1) * 8)
        counts = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")


open_counts()
os.register_at_fork(after_in_child=open_counts)


def receivers(first):
    """Return receivers as people write them, which count from place `first` on."""

    def everything(**kwargs):
        counts[first] += 1

    def named(sender=None, task_id=None, task=None, args=None, kwargs=None, **others):
        counts[first + 1] += 1

    def some(sender, signal, **kwargs):
        counts[first + 2] += 1

    def one(task_id=None, **kwargs):
        counts[first + 3] += 1

    class Monitor:
        def on_signal(self, sender=None, **kwargs):
            counts[first + 4] += 1

    return everything, named, some, one, Monitor().on_signal


for _i, _name in enumerate(SIGNALS):
    for _receiver in receivers(_i * RECEIVERS):
        getattr(signals, _name).connect(_receiver, weak=False)


def timed(send):
    def timed_send(*args, **named):
        begin = time.thread_time_ns()
        try:
            return send(*args, **named)
        finally:
            counts[SPENT] += time.thread_time_ns() - begin

    return timed_send


if "LOAD_TIMED" in os.environ:
    for _name in ("prerun", "success", "postrun"):
        setattr(trace, f"send_{_name}", timed(getattr(trace, f"send_{_name}")))
    signals.task_received.send = timed(signals.task_received.send)


ran = count()


@app.task(name="add")
def add(x, y):
    if next(ran) % 200 == 0:
        gc.collect()  # in each process: what nothing refers to is not growth
    return x + y


@app.task(name="fail")
def fail():
    raise ValueError("on purpose")


@app.task(name="again", bind=True, max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(countdown=0)


def publish(count=None, seconds=None):
    """Publish so many tasks or for so long: of 50 one fails, and one is retried.

    The queue is kept from growing without end.
    """
    end = time.monotonic() + (seconds or 3600)
    with Redis.from_url(app.conf.broker_url) as redis:
        published = 0
        while time.monotonic() < end and published != count:
            if published % 50 == 0:
                while redis.llen("celery") > 1000 and count is None:
                    time.sleep(0.01)
                fail.delay()
            elif published % 50 == 1:
                again.delay()
            else:
                add.delay(published, 1)
            published += 1
    (folder / "published").write_text(str(published))
