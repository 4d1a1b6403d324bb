"""The arguments and senders of Celery's signals, and the processes that send them.

The table follows the source of Celery 5.4 to 5.7, and ``tests/told/test_catalog.py`` compares it
with the installed version.  The warnings, `explain` and the commands use this table only.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CATALOG", "Entry", "find_entry", "find_version"]

SENDERS = {
    "name": "the name of the task",
    "task": "the task",
    "consumer": "the consumer",
    "worker": "the worker",
    "hostname": "the host name of the worker, such as 'celery@example'",
    "heart": "the heart of the worker",
    "pool": "the pool",
    "app": "the app",
    "beat": "the beat service",
    "command": "the command",
    "none": "None",
}
"""The kinds of sender."""

PROCESSES = {
    "publisher": "in the process that publishes the task",
    "runner": "in the process that runs the task",
    "main": "in the main process of a worker",
    "pool": "in each process of a worker's prefork pool, and in a solo worker",
    "any": "in every process that does so",
    "beat": "in the process of beat",
    "command": "in the process of the command",
}
"""The kinds of process."""


class Entry:
    """The facts about one signal.

    Arguments:
        sender: The kind of its sender: a key of `SENDERS`.
        process: The kind of process that sends it: a key of `PROCESSES`.
        arguments: The names of its arguments, without the sender.
        since: For newer arguments, the version of Celery that introduced them.
        sender_since: The version that introduced this sender; before, it was None.
    """

    __slots__ = ("arguments", "process", "sender", "sender_since", "since")

    def __init__(
        self,
        sender: str,
        process: str,
        arguments: str = "",
        since: dict[str, tuple[int, int]] | None = None,
        sender_since: tuple[int, int] = (0, 0),
    ) -> None:
        self.sender = sender
        self.process = process
        self.arguments = tuple(arguments.split())
        self.since = since or {}
        self.sender_since = sender_since

    def list_sent(self) -> tuple[str, ...]:
        """Return the names of what the installed Celery sends."""
        version = find_version()
        return tuple(name for name in self.arguments if self.since.get(name, (0, 0)) <= version)

    def get_sender(self) -> str:
        """Return the kind of sender of the installed Celery."""
        return self.sender if self.sender_since <= find_version() else "none"


LOGGING = "loglevel logfile format colorize"

CATALOG = {
    "before_task_publish": Entry(
        "name", "publisher", "body exchange routing_key headers properties declare retry_policy"
    ),
    "after_task_publish": Entry("name", "publisher", "body headers exchange routing_key"),
    "task_sent": Entry("name", "publisher", "task_id task args kwargs eta taskset"),
    "task_received": Entry("consumer", "main", "request"),
    "task_rejected": Entry("consumer", "main", "message exc"),
    "task_unknown": Entry("consumer", "main", "message exc name id"),
    "task_revoked": Entry("task", "main", "request terminated signum expired"),
    "task_prerun": Entry("task", "runner", "task_id task args kwargs"),
    "task_postrun": Entry("task", "runner", "task_id task args kwargs retval state"),
    "task_success": Entry("task", "runner", "result runtime", since={"runtime": (5, 7)}),
    "task_retry": Entry("task", "runner", "request reason einfo"),
    "task_failure": Entry("task", "runner", "task_id exception args kwargs traceback einfo"),
    "task_internal_error": Entry(
        "task", "runner", "task_id args kwargs request exception traceback einfo"
    ),
    "celeryd_init": Entry("hostname", "main", "instance conf options"),
    "celeryd_after_setup": Entry("hostname", "main", "instance conf"),
    "import_modules": Entry("app", "any"),
    "worker_init": Entry("worker", "main"),
    "worker_ready": Entry("consumer", "main"),
    "heartbeat_sent": Entry("heart", "main"),
    "worker_before_create_process": Entry("pool", "main"),
    "worker_shutting_down": Entry("hostname", "main", "sig how exitcode"),
    "worker_shutdown": Entry("worker", "main"),
    "worker_process_init": Entry("hostname", "pool", sender_since=(5, 7)),
    "worker_process_shutdown": Entry("hostname", "pool", "pid exitcode", sender_since=(5, 7)),
    "setup_logging": Entry("none", "any", LOGGING),
    "after_setup_logger": Entry("none", "any", f"logger {LOGGING}"),
    "after_setup_task_logger": Entry("none", "any", f"logger {LOGGING}"),
    "beat_init": Entry("beat", "beat"),
    "beat_embedded_init": Entry("beat", "beat"),
    "eventlet_pool_started": Entry("pool", "main"),
    "eventlet_pool_preshutdown": Entry("pool", "main"),
    "eventlet_pool_postshutdown": Entry("pool", "main"),
    "eventlet_pool_apply": Entry("pool", "main", "target args kwargs"),
    "user_preload_options": Entry("command", "command", "app options"),
}
"""The 34 signals of ``celery.signals``, by name."""

OF_AN_APP = {
    "app.on_configure": Entry("app", "any"),
    "app.on_after_configure": Entry("app", "any", "source"),
    "app.on_after_finalize": Entry("app", "any"),
    "app.on_after_fork": Entry("app", "any"),
}
"""The signals of each app, by their `name`."""


def find_entry(signal: Any) -> Entry | None:
    """Return the entry of a signal of Celery's; None for others, even if they have such a name."""
    name = getattr(signal, "name", None)
    if type(name) is not str:
        return None
    if name in OF_AN_APP:
        return OF_AN_APP[name]
    entry = CATALOG.get(name)
    if entry is not None:
        for module in ("celery.signals", "fastsig.signals"):
            if vars(sys.modules.get(module, sys)).get(name) is signal:
                return entry
    return None


def find_version() -> tuple[int, int]:
    """Return the version of the imported Celery; if there is none, the newest one known here."""
    text = getattr(sys.modules.get("celery"), "__version__", "")
    parts = text.split(".")
    if len(parts) >= 2 and parts[0].isdigit() and parts[1].isdigit():
        return int(parts[0]), int(parts[1])
    return 5, 7
