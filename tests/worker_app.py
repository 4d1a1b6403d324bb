"""A Celery app whose every signal is recorded: who sent it, with what, in which process.

The tests import it as the client, and a real worker does.  ``WORKER_APP`` names the folder of
the queue and of the record, a file with a line of JSON for each signal that arrived.
"""

import json
import os
from pathlib import Path

from celery import Celery

from fastsig import signals

folder = Path(os.environ["WORKER_APP"])

app = Celery("worker_app", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "outbox"),
        "processed_folder": str(folder / "processed"),
        "store_processed": True,
        "control_folder": str(folder / "control"),
        "polling_interval": 0.05,
    },
    task_ignore_result=True,
)


def deliver():
    """Put what was sent into the queue."""
    # kombu's worker may read a file before kombu's client has written it: renaming is atomic.
    for message in sorted((folder / "outbox").iterdir()):
        message.rename(folder / "queue" / message.name)


@app.task(name="add")
def add(x, y=0):
    return x + y


@app.task(name="fail")
def fail():
    raise ValueError("on purpose")


def record(signal, sender, handler, arguments):
    line = {
        "signal": signal.name,
        "handler": handler,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "sender_type": type(sender).__name__,
        "sender": getattr(sender, "name", None) or str(sender),
        "arguments": {name: repr(value) for name, value in arguments.items()},
    }
    with (folder / "record").open("ab", buffering=0) as file:
        file.write(json.dumps(line).encode() + b"\n")


def on_any(signal, sender, **kwargs):
    record(signal, sender, "any", kwargs)


for _name in signals.__all__:
    # A receiver on setup_logging takes logging over; there is one in the tests that are about it.
    if _name != "setup_logging":
        getattr(signals, _name).connect(on_any)


@signals.task_sent.connect(sender="add")
def on_add_sent(signal, sender, task_id):
    record(signal, sender, "by name", {"task_id": task_id})


@signals.task_prerun.connect(sender=add)
def on_add_prerun(signal, sender, task, args):
    record(signal, sender, "by task", {"task": task, "args": args})
