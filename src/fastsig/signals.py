"""Celery's signals: import them from here instead of from ``celery.signals``::

    from fastsig.signals import task_prerun

    @task_prerun.connect
    def on_prerun(task_id, task):
        print(f"{task.name} starts as {task_id}")

If Celery is installed, these are Celery's own signals, and importing this module moves them to
fastsig's engine (`fastsig.celery.install`).  With ``FASTSIG_CELERY=0`` they stay on Celery's own
code.
If Celery is not installed, they are ordinary signals that any framework may send.

Besides the arguments below, each signal sends ``signal`` and ``sender``.  A receiver names the
arguments that it wants, or takes all of them with ``**kwargs``.  The list describes Celery 5.7.
Arguments with a star are newer than the signal, or missing in its ``providing_args``.

TASKS, in the process that publishes (sender: the task's name)::

    before_task_publish     body, exchange, routing_key, headers, properties, declare,
                            retry_policy; receivers may change them in place
    after_task_publish      body, exchange, routing_key, headers*
    task_sent               task_id, task (its name), args, kwargs, eta, taskset; deprecated

TASKS, in the worker's main process (sender: the consumer)::

    task_received           request
    task_rejected           message, exc
    task_unknown            message, exc, name, id

TASKS, in the process that runs them (sender: the task)::

    task_prerun             task_id, task, args, kwargs
    task_postrun            task_id, task, args, kwargs, retval, state*
    task_success            result, runtime*
    task_retry              request, reason, einfo
    task_failure            task_id, exception, args, kwargs, traceback, einfo
    task_internal_error     task_id, args, kwargs, request, exception, traceback, einfo
    task_revoked            request, terminated, signum, expired; in the main process

WORKER, in its main process::

    celeryd_init            instance, conf, options     sender: the worker's host name
    celeryd_after_setup     instance, conf              sender: the worker's host name
    import_modules          -                           sender: the app; in every process
    worker_init             -                           sender: the worker
    worker_ready            -                           sender: the consumer
    heartbeat_sent          -                           sender: the heart
    worker_before_create_process  -                     sender: the pool
    worker_shutting_down    sig*, how*, exitcode*       sender: the worker's host name
    worker_shutdown         -                           sender: the worker

WORKER, in each process of its pool (sender: the worker's host name)::

    worker_process_init     -
    worker_process_shutdown pid*, exitcode*

LOGGING, in every process that sets it up (sender: None)::

    setup_logging           loglevel, logfile, format, colorize
    after_setup_logger      logger, loglevel, logfile, format, colorize
    after_setup_task_logger logger, loglevel, logfile, format, colorize

BEAT, EVENTLET, COMMANDS::

    beat_init               -                           sender: the beat service
    beat_embedded_init      -                           sender: the beat service
    eventlet_pool_started, eventlet_pool_preshutdown, eventlet_pool_postshutdown
                            -                           sender: the pool
    eventlet_pool_apply     target, args, kwargs        sender: the pool
    user_preload_options    app, options                sender: the command
"""

from __future__ import annotations

from fastsig.engine.switches import switch
from fastsig.signal import Signal

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from fastsig.protocol import SignalProtocol

__all__ = [
    "after_setup_logger",
    "after_setup_task_logger",
    "after_task_publish",
    "beat_embedded_init",
    "beat_init",
    "before_task_publish",
    "celeryd_after_setup",
    "celeryd_init",
    "eventlet_pool_apply",
    "eventlet_pool_postshutdown",
    "eventlet_pool_preshutdown",
    "eventlet_pool_started",
    "heartbeat_sent",
    "setup_logging",
    "task_failure",
    "task_internal_error",
    "task_postrun",
    "task_prerun",
    "task_received",
    "task_rejected",
    "task_retry",
    "task_revoked",
    "task_success",
    "task_unknown",
    "worker_before_create_process",
    "worker_init",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutdown",
    "worker_shutting_down",
]

# Publishing tasks

before_task_publish: SignalProtocol = Signal(
    {"body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy"},
    name="before_task_publish",
)
"""Sent before a task is published, in the process that publishes it.

The sender is the name of the task.  Receivers may change the arguments in place.

Arguments:
    body: The body of the message.
    exchange: The exchange to publish to, or its name.
    routing_key: The routing key.
    headers: The headers of the message, a dict.
    properties: The properties of the message, a dict.
    declare: The entities to declare first, a list.
    retry_policy: How publishing is retried, a dict.
"""

after_task_publish: SignalProtocol = Signal(
    {"body", "exchange", "routing_key"}, name="after_task_publish"
)
"""Sent after a task was published, in the process that published it.

The sender is the name of the task.

Arguments:
    body: The body of the message.
    exchange: The exchange that it was published to, or its name.
    routing_key: The routing key.
    headers: The headers of the message, a dict.
"""

task_sent: SignalProtocol = Signal(
    {"task_id", "task", "args", "kwargs", "eta", "taskset"}, name="task_sent"
)
"""Sent after a task was published, in the process that published it (the client).

The sender is the name of the task.  Celery deprecates it in favour of `after_task_publish`.

Arguments:
    task_id: The id of the task.
    task: The name of the task.
    args: Its positional arguments.
    kwargs: Its keyword arguments.
    eta: The earliest time to run it, or None.
    taskset: The id of its group, or None.
"""

# Running tasks

task_received: SignalProtocol = Signal({"request"}, name="task_received")
"""Sent after a worker received a task from the broker, in its main process.

The sender is the consumer.

Arguments:
    request: The `celery.worker.request.Request`.
"""

task_prerun: SignalProtocol = Signal({"task_id", "task", "args", "kwargs"}, name="task_prerun")
"""Sent before a task runs, in the process that runs it.

The sender is the task.

Arguments:
    task_id: The id of the task.
    task: The task.
    args: Its positional arguments.
    kwargs: Its keyword arguments.
"""

task_postrun: SignalProtocol = Signal(
    {"task_id", "task", "args", "kwargs", "retval"}, name="task_postrun"
)
"""Sent after a task ran, whether or not it succeeded, in the process that ran it.

If a task exceeds its hard time limit or is terminated, the worker's main process sends it, with the
state None.  It is not sent if the process of the task died.

The sender is the task.

Arguments:
    task_id: The id of the task.
    task: The task.
    args: Its positional arguments.
    kwargs: Its keyword arguments.
    retval: Its return value, or the exception that it raised.
    state: Its final state.
"""

task_success: SignalProtocol = Signal({"result", "runtime"}, name="task_success")
"""Sent after a task succeeded, in the process that ran it.

The sender is the task.

Arguments:
    result: Its return value.
    runtime: How long it ran, in seconds (new in Celery 5.7).
"""

task_retry: SignalProtocol = Signal({"request", "reason", "einfo"}, name="task_retry")
"""Sent when a task will be retried, in the process that ran it or in the main process.

The sender is the task.

Arguments:
    request: The request of the task.
    reason: Why, usually an exception; missing if the main process requests the retry.
    einfo: The `billiard.einfo.ExceptionInfo`.
"""

task_failure: SignalProtocol = Signal(
    {"task_id", "exception", "args", "kwargs", "traceback", "einfo"},
    name="task_failure",
)
"""Sent after a task failed, in the process that ran it.

The worker's main process sends it if a task exceeds its hard time limit (twice), if the process of
the task died, and for ``Reject(requeue=False)``.

The sender is the task.

Arguments:
    task_id: The id of the task.
    exception: The exception that it raised.
    args: Its positional arguments.
    kwargs: Its keyword arguments.
    traceback: The traceback; in the main process, its text.
    einfo: The `billiard.einfo.ExceptionInfo`.
"""

task_internal_error: SignalProtocol = Signal(
    {"task_id", "args", "kwargs", "request", "exception", "traceback", "einfo"},
    name="task_internal_error",
)
"""Sent when Celery itself fails while it runs a task, in the process that runs it.

The sender is the task.

Arguments:
    task_id: The id of the task.
    args: Its positional arguments.
    kwargs: Its keyword arguments.
    request: The request of the task, a dict.
    exception: The exception that was raised.
    traceback: The traceback.
    einfo: The `billiard.einfo.ExceptionInfo`.
"""

task_revoked: SignalProtocol = Signal(
    {"request", "terminated", "signum", "expired"}, name="task_revoked"
)
"""Sent when a task is revoked or expires, in the main process of the worker.

The sender is the task.

Arguments:
    request: The request of the task.
    terminated: Whether the task was terminated.
    signum: The OS signal that terminated it, or None.
    expired: Whether it has expired.
"""

task_rejected: SignalProtocol = Signal({"message", "exc"}, name="task_rejected")
"""Sent when a worker receives a message that is not a valid task, in its main process.

The sender is the consumer.

Arguments:
    message: The message.
    exc: The exception that was raised, or None.
"""

task_unknown: SignalProtocol = Signal({"message", "exc", "name", "id"}, name="task_unknown")
"""Sent when a worker receives a task that is not registered, in its main process.

The sender is the consumer.

Arguments:
    message: The message.
    exc: The exception that was raised.
    name: The name of the task.
    id: The id of the task.
"""

# The worker

celeryd_init: SignalProtocol = Signal({"instance", "conf", "options"}, name="celeryd_init")
"""Sent first when a worker starts, before it is configured, in its main process.

The sender is the host name of the worker, so that one worker can be configured.

Arguments:
    instance: The worker, a `celery.apps.worker.Worker`.
    conf: The configuration of the app.
    options: The command-line options, a dict.
"""

celeryd_after_setup: SignalProtocol = Signal({"instance", "conf"}, name="celeryd_after_setup")
"""Sent after a worker is set up and before it starts, in its main process.

The sender is the host name of the worker.

Arguments:
    instance: The worker, a `celery.apps.worker.Worker`.
    conf: The configuration of the app.
"""

import_modules: SignalProtocol = Signal(name="import_modules")
"""Sent when an app imports its task modules, in every process that does so.

The sender is the app.  Celery raises the exception of a receiver again.
"""

worker_init: SignalProtocol = Signal(name="worker_init")
"""Sent before a worker starts, in its main process.

The sender is the worker.
"""

worker_before_create_process: SignalProtocol = Signal(name="worker_before_create_process")
"""Sent before the pool starts a new process, in the main process of the worker.

The sender is the pool.
"""

worker_process_init: SignalProtocol = Signal(name="worker_process_init")
"""Sent when a pool process starts, in that process; with a solo pool, in the main process.

The sender is the host name of the worker (None before Celery 5.7).  A receiver that takes longer
than ``worker_proc_alive_timeout`` seconds (4.0 by default) causes the pool to kill the process.
"""

worker_process_shutdown: SignalProtocol = Signal(name="worker_process_shutdown")
"""Sent before a pool process exits, in that process.  It is not sent if the process is killed.

The sender is the host name of the worker (None before Celery 5.7).

Arguments:
    pid: The id of the process.
    exitcode: The exit code that the process will have.
"""

worker_ready: SignalProtocol = Signal(name="worker_ready")
"""Sent when a worker is ready to take tasks, in its main process.

The sender is the consumer.
"""

worker_shutdown: SignalProtocol = Signal(name="worker_shutdown")
"""Sent before a worker exits, in its main process.

The sender is the worker.
"""

worker_shutting_down: SignalProtocol = Signal(name="worker_shutting_down")
"""Sent when a worker starts to shut down, in its main process, inside an OS signal handler.

The sender is the host name of the worker.

Arguments:
    sig: The name of the OS signal that was received.
    how: The kind of shutdown: ``"Warm"`` or ``"Cold"``.
    exitcode: The exit code that the worker will have.
"""

heartbeat_sent: SignalProtocol = Signal(name="heartbeat_sent")
"""Sent after a worker sent a heartbeat event, in its main process.

The sender is the `celery.worker.heartbeat.Heart`.
"""

# Logging

setup_logging: SignalProtocol = Signal(
    {"loglevel", "logfile", "format", "colorize"}, name="setup_logging"
)
"""Sent when a process sets up logging.  If there is a receiver, Celery does not set it up itself.

The sender is None.  Celery raises the exception of a receiver again.

Arguments:
    loglevel: The requested level.
    logfile: The requested file.
    format: The format of a log line.
    colorize: Whether to use colours, or None.
"""

after_setup_logger: SignalProtocol = Signal(
    {"logger", "loglevel", "logfile", "format", "colorize"},
    name="after_setup_logger",
)
"""Sent after all loggers except the task logger are set up, in the process that did so.

The sender is None.

Arguments:
    logger: The logger.
    loglevel: Its level.
    logfile: The requested file.
    format: The format of a log line.
    colorize: Whether to use colours, or None.
"""

after_setup_task_logger: SignalProtocol = Signal(
    {"logger", "loglevel", "logfile", "format", "colorize"},
    name="after_setup_task_logger",
)
"""Sent after the task logger is set up, in the process that did so.

The sender is None.

Arguments:
    logger: The logger.
    loglevel: Its level.
    logfile: The requested file.
    format: The format of a log line.
    colorize: Whether to use colours, or None.
"""

# Beat

beat_init: SignalProtocol = Signal(name="beat_init")
"""Sent when ``celery beat`` starts, standalone or embedded, in its process.

The sender is the `celery.beat.Service`.
"""

beat_embedded_init: SignalProtocol = Signal(name="beat_embedded_init")
"""Sent after `beat_init` when beat is embedded in a worker, in beat's process.

The sender is the `celery.beat.Service`.
"""

# Eventlet

eventlet_pool_started: SignalProtocol = Signal(name="eventlet_pool_started")
"""Sent after an eventlet pool started, in the process of the worker.

The sender is the pool.
"""

eventlet_pool_preshutdown: SignalProtocol = Signal(name="eventlet_pool_preshutdown")
"""Sent when a worker shuts down, before it waits for its eventlet pool, in that process.

The sender is the pool.
"""

eventlet_pool_postshutdown: SignalProtocol = Signal(name="eventlet_pool_postshutdown")
"""Sent after an eventlet pool stopped, in the process of the worker.

The sender is the pool.
"""

eventlet_pool_apply: SignalProtocol = Signal(
    {"target", "args", "kwargs"}, name="eventlet_pool_apply"
)
"""Sent when the worker passes a task to its eventlet pool, in the process of the worker.

The sender is the pool.

Arguments:
    target: The function to call.
    args: Its positional arguments.
    kwargs: Its keyword arguments.
"""

# Commands

user_preload_options: SignalProtocol = Signal({"app", "options"}, name="user_preload_options")
"""Sent after a Celery command parsed its command line, in the process of the command.

The sender is the command.

Arguments:
    app: The app.
    options: The values of the preload options that the app defines, a dict.
"""


def _find_celerys() -> dict[str, SignalProtocol]:
    """Return Celery's own signals by name; an empty dict if Celery is not installed."""
    adopting = switch("FASTSIG_CELERY", default=True)
    try:
        import celery
    except ModuleNotFoundError as error:
        if error.name != "celery":
            raise
        return {}
    import celery.signals

    if adopting:
        from fastsig.celery import install

        install()
    declared = [name for name, value in globals().items() if type(value) is Signal]
    return {name: vars(celery.signals)[name] for name in declared if hasattr(celery.signals, name)}


globals().update(_find_celerys())
