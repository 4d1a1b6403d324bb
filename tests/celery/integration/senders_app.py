"""A Celery app whose receivers are connected for senders of every form: see `test_senders`."""

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from celery import Celery, Task, shared_task
from celery.backends.base import DisabledBackend

from fastsig import signals

folder = Path(os.environ["WORKER_APP"])

RUN = ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry")
RUN = (*RUN, "task_internal_error", "task_revoked")
PUBLISH = ("before_task_publish", "after_task_publish", "task_sent")


def connect(way, names=(*RUN, *PUBLISH), **how):
    """Connect a receiver that records under `way` to signals."""
    for name in names:

        def receiver(signal, sender, **kwargs):
            name = getattr(sender, "name", sender)
            line = {"signal": signal.name, "handler": way, "sender": name, "pid": os.getpid()}
            with (folder / "record").open("ab", buffering=0) as file:
                file.write(json.dumps(line).encode() + b"\n")

        getattr(signals, name).connect(receiver, weak=False, **how)


@shared_task(name="proj.shared")
def shared():
    pass


connect("any")
connect("shared", sender=shared)  # there is no app yet

app = Celery("senders_app", broker=os.environ["WORKER_BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True)


class BaseTask(Task):
    abstract = True


class BrokenBackend(DisabledBackend):
    def mark_as_done(self, *args, **kwargs):
        raise RuntimeError("no result can be stored")


@app.task(name="proj.good", base=BaseTask)
def good():
    pass


@app.task(name="proj.bad", base=BaseTask)
def bad():
    raise ValueError("on purpose")


@app.task(name="proj.again", base=BaseTask, bind=True, max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(exc=KeyError("once more"), countdown=0)


@app.task(name="proj.broken", base=BaseTask, backend=BrokenBackend(app))
def broken():
    pass


@app.task(name="proj.other")
def other():
    pass


TASKS = (good, bad, again, broken)

for each in TASKS:
    connect("name", sender=each.name)
    connect("task", sender=each)
connect("list", senders=["no.such.task", good.name, bad, again.name, broken, good])
connect("class", RUN, sender=BaseTask, subclasses=True)
connect("no class", RUN, sender=Celery, subclasses=True)
connect("nobody", senders=["proj", "no.such.task", other])


def publish_all():
    for task in TASKS:
        task.delay()
    good.apply_async(expires=datetime.now(timezone.utc) - timedelta(minutes=1))
    shared.delay()
