"""Each signal is sent by a real Celery: with the right sender and arguments, where it should be."""

from typing import NamedTuple

import celery.signals
import pytest
from celery.utils.dispatch import Signal
from runs import BEFORE_57, POOLS, WORKERS


class Sent(NamedTuple):
    """How a signal is sent."""

    sender: str
    """The type of the sender; what a task is of has the task's name."""

    arguments: str
    """The arguments, each with what types it may have."""

    where: dict[str, set[str]]
    """The kinds of process that send it, in each run.  Other workers do not send it."""


def runs_on(*pools, roles):
    return {run: set(roles.split()) for run in WORKERS if run.split()[1] in pools}


TASK = "add again broken fail publisher slow stop".replace(" ", "|")
CLIENT = {
    **runs_on(*POOLS, roles="client worker"),  # the worker publishes a task that is retried
    **runs_on("prefork", roles="client pool"),
    "redis beat": {"beat"},
    "redis embedded": {"embedded beat"},
}
MAIN = runs_on(*POOLS, roles="worker")
RUNNING = {**MAIN, **runs_on("prefork", roles="pool")}
FORKED = runs_on("prefork", roles="pool")
EVENTLET = runs_on("eventlet", roles="worker")
COMMAND = {**MAIN, "redis beat": {"beat"}}
LOADS = {**runs_on(*POOLS, roles="client worker"), "redis beat": {"beat"}}
LOGGING = "loglevel=int logfile=NoneType format=str colorize=NoneType|bool"
PUBLISHED = "body=tuple exchange=str routing_key=str headers=dict"
FAILED = "task_id=str exception=RuntimeError|ValueError args=list|tuple kwargs=dict \
    traceback=traceback einfo=ExceptionInfo"
HOSTNAME = "NoneType" if BEFORE_57 else "str"
POLICY = "NoneType" if BEFORE_57 else "dict"
RUNTIME = "" if BEFORE_57 else "runtime=float"

TABLE = {
    "before_task_publish": Sent(
        "str", f"{PUBLISHED} properties=dict declare=list retry_policy={POLICY}", CLIENT
    ),
    "after_task_publish": Sent("str", PUBLISHED, CLIENT),
    "task_sent": Sent(
        "str",
        "task_id=str task=str args=tuple|list kwargs=dict eta=NoneType taskset=NoneType",
        CLIENT,
    ),
    "task_received": Sent("Consumer", "request=Request", MAIN),
    "task_rejected": Sent("Consumer", "message=Message exc=NoneType|InvalidTaskError", MAIN),
    "task_unknown": Sent("Consumer", "message=Message exc=KeyError name=str id=str", MAIN),
    "task_prerun": Sent(TASK, f"task_id=str task={TASK} args=list kwargs=dict", RUNNING),
    "task_postrun": Sent(
        TASK,
        f"task_id=str task={TASK} args=list kwargs=dict"
        " retval=int|NoneType|ValueError|Retry|GreenletExit state=str|NoneType",
        RUNNING,
    ),
    "task_success": Sent(TASK, f"result=int|NoneType {RUNTIME}", RUNNING),
    "task_retry": Sent("again", "request=Context reason=Retry einfo=ExceptionInfo", RUNNING),
    "task_failure": Sent("fail|broken", FAILED, RUNNING),
    "task_internal_error": Sent("broken", f"{FAILED} request=dict", RUNNING),
    "task_revoked": Sent(
        "add|stop",
        "request=Context terminated=bool signum=NoneType|Signals|str expired=bool",
        MAIN,
    ),
    "celeryd_init": Sent("str", "instance=Worker conf=Settings options=dict", MAIN),
    "celeryd_after_setup": Sent("str", "instance=Worker conf=Settings", MAIN),
    "import_modules": Sent("Celery", "", COMMAND),
    "worker_init": Sent("Worker", "", MAIN),
    "worker_before_create_process": Sent("AsynPool", "", {"redis prefork": {"worker"}}),
    "worker_process_init": Sent(HOSTNAME, "", {**FORKED, **runs_on("solo", roles="worker")}),
    "worker_process_shutdown": Sent(HOSTNAME, "pid=int exitcode=int", FORKED),
    "worker_ready": Sent("Consumer", "", MAIN),
    "worker_shutting_down": Sent("str", "sig=str how=str exitcode=int", MAIN),
    "worker_shutdown": Sent("Worker", "", MAIN),
    "heartbeat_sent": Sent("Heart", "", MAIN),
    "setup_logging": Sent("NoneType", LOGGING, {"filesystem logging": {"worker"}}),
    "after_setup_logger": Sent("NoneType", f"logger=RootLogger {LOGGING}", COMMAND),
    "after_setup_task_logger": Sent("NoneType", f"logger=Logger {LOGGING}", COMMAND),
    "beat_init": Sent("Service", "", {"redis beat": {"beat"}, "redis embedded": {"embedded beat"}}),
    "beat_embedded_init": Sent("Service", "", {"redis embedded": {"embedded beat"}}),
    "eventlet_pool_started": Sent("TaskPool", "", EVENTLET),
    "eventlet_pool_apply": Sent(
        "TaskPool", "target=function|method args=tuple|list kwargs=dict|NoneType", EVENTLET
    ),
    "eventlet_pool_preshutdown": Sent("TaskPool", "", EVENTLET),
    "eventlet_pool_postshutdown": Sent("TaskPool", "", EVENTLET),
    "user_preload_options": Sent("function", "app=Celery options=dict", COMMAND),
    "app.on_configure": Sent("Celery", "", LOADS),
    "app.on_after_configure": Sent("Celery", "source=Settings", LOADS),
    "app.on_after_finalize": Sent("Celery", "", COMMAND),
    "app.on_after_fork": Sent(
        "Celery", "", {**FORKED, "redis embedded": {"pool", "embedded beat"}}
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_signal(name, runs):
    expected = TABLE[name]
    types = dict(argument.split("=") for argument in expected.arguments.split())
    for run, site in runs.items():
        events = site.events(name)
        if run in WORKERS or run in expected.where:
            roles = {site.role(event) for event in events}
            assert roles == expected.where.get(run, set()), (run, site.log())
        for event in events:
            assert event["sender_type"] in expected.sender.split("|"), (run, event)
            assert event["types"].keys() == types.keys(), (run, event)
            for argument, kind in event["types"].items():
                assert kind in types[argument].split("|"), (run, argument, event)


def test_every_signal_has_a_test():
    names = {name for name, value in vars(celery.signals).items() if isinstance(value, Signal)}
    of_apps = {name for name in TABLE if name.startswith("app.")}
    assert len(names) == 34
    assert TABLE.keys() - of_apps == names


def test_core(runs, core):
    """Everything ran on the core that it should have, by Celery's own signals."""
    for site in runs.values():
        assert site.events()
        for event in site.events():
            assert (event["core"], event["adopted"]) == (core, True)


@pytest.mark.parametrize("name", [*WORKERS, "redis beat", "redis embedded"])
def test_stopped_well(runs, name):
    assert runs[name].status == 0, runs[name].log()
