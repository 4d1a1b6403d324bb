"""The Celery app of the demo: three tasks, and handlers for seven signals.

The client and the worker both import it.  The handlers write a line of JSON for each signal to a
file, and the demo shows it.  ``FASTSIG_DEMO`` names the folder for all files.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from billiard.process import current_process
from celery import Celery

from fastsig.signals import (
    task_postrun,
    task_prerun,
    task_sent,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutdown,
)

folder: Path = Path(os.environ["FASTSIG_DEMO"])
events: Path = folder / "events"

app: Any = Celery("demo", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "outbox"),
        "processed_folder": str(folder / "processed"),
        "store_processed": True,
        "control_folder": str(folder / "control"),
        "polling_interval": 0.1,
    },
    task_ignore_result=True,
    worker_hijack_root_logger=False,
)


def deliver() -> None:
    """Move the messages that were sent into the queue."""
    # kombu's worker may read a file before kombu's client has written it: renaming is atomic.
    for message in sorted((folder / "outbox").iterdir()):
        message.rename(folder / "queue" / message.name)


@app.task(name="demo.add")
def add(x: int, y: int) -> int:
    """Return the sum."""
    return x + y


@app.task(name="demo.greet")
def greet(name: str, greeting: str = "Hello") -> str:
    """Return a greeting."""
    return f"{greeting}, {name}!"


@app.task(name="demo.fail")
def fail() -> None:
    """Raise an exception, as tasks do."""
    raise RuntimeError("this task always fails")


def process() -> str:
    """Return the name of this process."""
    if "FASTSIG_DEMO_WORKER" not in os.environ:
        return "client"
    index = getattr(current_process(), "index", None)
    return "worker" if index is None else f"pool process {index + 1}"


def record(signal: Any, sender: object, /, handler: str = "", **arguments: object) -> None:
    """Write down that a signal arrived."""
    event = {
        "time": time.time(),
        "process": process(),
        "signal": signal.name,
        "handler": handler,
        "sender": getattr(sender, "name", None) or str(sender),
        "arguments": {
            name: getattr(value, "name", value) if name == "task" else repr(value)
            for name, value in arguments.items()
        },
    }
    # In append mode, a short line is written as a whole, even if several processes write.
    with events.open("ab", buffering=0) as file:
        file.write(json.dumps(event).encode() + b"\n")


@task_sent.connect
def on_sent(
    signal: Any,
    sender: Any,
    task_id: Any,
    task: Any,
    args: Any,
    kwargs: Any,
    eta: Any,
    taskset: Any,
) -> None:
    """Record that the client has sent a task."""
    record(
        signal,
        sender,
        task_id=task_id,
        task=task,
        args=args,
        kwargs=kwargs,
        eta=eta,
        taskset=taskset,
    )


@task_prerun.connect
def on_prerun(signal: Any, sender: Any, task_id: Any, task: Any, args: Any, kwargs: Any) -> None:
    """Record that a task is about to run."""
    record(signal, sender, task_id=task_id, task=task, args=args, kwargs=kwargs)


@task_postrun.connect
def on_postrun(
    signal: Any, sender: Any, task_id: Any, task: Any, args: Any, kwargs: Any, retval: Any
) -> None:
    """Record that a task has run."""
    record(signal, sender, task_id=task_id, task=task, args=args, kwargs=kwargs, retval=retval)


@task_sent.connect(sender="demo.add")
def on_add_sent(signal: Any, sender: Any, args: Any) -> None:
    """Record that the client has sent the task `demo.add`."""
    record(signal, sender, "sender='demo.add'", args=args)


@task_postrun.connect(sender=greet)
def on_greeted(signal: Any, sender: Any, retval: Any) -> None:
    """Record that the task `greet` has run."""
    record(signal, sender, "sender=greet", retval=retval)


@worker_init.connect
@worker_ready.connect
@worker_process_init.connect
@worker_shutdown.connect
def on_worker(signal: Any, sender: Any) -> None:
    """Record a signal about the worker."""
    record(signal, sender)
