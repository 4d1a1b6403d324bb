"""The app of `worker_app`, with a guard that raises (`GUARD`), and with queued receivers.

`FAILS` names a signal with a receiver that raises, too, which is only logged.
"""

import os

from celery.exceptions import Ignore, Reject
from worker_app import *  # noqa: F403
from worker_app import app, signals

import fastsig
from fastsig.celery import queued

ERRORS = {
    "ValueError": ValueError("guarded"),
    "Reject": Reject("guarded", requeue=False),
    "Requeue": Reject("guarded", requeue=True),
    "Ignore": Ignore("guarded"),
}
SIGNAL, _, ERROR = os.environ.get("GUARD", "").partition(":")
app.conf.update(result_backend=f"file://{os.environ['WORKER_APP']}/processed")
app.conf.update(task_ignore_result=False)


@app.task(name="guarded", acks_late=True)
def guarded():
    return "it ran"


class WithBeforeStart(app.Task):
    def before_start(self, task_id, args, kwargs):
        raise ERRORS[os.environ["BEFORE_START"]]


@app.task(name="started", base=WithBeforeStart, acks_late=True)
def started():
    return "it ran"


if SIGNAL:

    @getattr(signals, SIGNAL).connect(on_error="raise")
    def guard(sender):
        if not SIGNAL.startswith("task_") or sender.name == "guarded":
            raise ERRORS[ERROR]


def fails(**kwargs):
    raise ERRORS["ValueError"]


if FAILS := os.environ.get("FAILS"):
    owner = app if FAILS.startswith("app.") else signals
    getattr(owner, FAILS.rpartition(".")[2]).connect(fails)


order_paid = fastsig.Signal(name="order_paid")


@app.task(name="send_receipt")
def send_receipt(order, amount=0):
    return f"{order} {amount}"


@app.task(name="log_all")
def log_all(**kwargs):
    return kwargs


order_paid.connect(queued(send_receipt))
order_paid.connect(queued(log_all, countdown=0.1))
