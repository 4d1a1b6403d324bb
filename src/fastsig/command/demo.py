"""``python -m fastsig demo``: start a real Celery worker, and show seven signals as they arrive."""

from __future__ import annotations

import json
import os
import signal as os_signal
import subprocess
import sys
import tempfile
import time
import timeit
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastsig
from fastsig import signals
from fastsig.celery import install, uninstall

SEVEN = (
    *("task_sent", "task_prerun", "task_postrun"),
    *("worker_init", "worker_process_init", "worker_ready", "worker_shutdown"),
)
POOL = 2
TASKS = 24
PATIENCE = 60.0


class Failed(Exception):
    """The demo cannot go on; the message says why."""


def demo() -> int:
    """Run the demo; return its exit status."""
    install()
    core = "compiled" if fastsig.compiled else "pure Python"
    print(f"fastsig {fastsig.__version__} on its {core} core, with a real Celery worker\n")
    with tempfile.TemporaryDirectory(prefix="fastsig-demo-") as name:
        folder = Path(name)
        for part in ("outbox", "queue", "processed", "control"):
            (folder / part).mkdir()
        os.environ["FASTSIG_DEMO"] = name
        try:
            with (folder / "log").open("wb") as log:
                events = _run(folder, log)
        except Failed as failed:
            tail = (folder / "log").read_text(errors="replace").splitlines()[-20:]
            print(f"\n{failed}; the end of the worker's log:", *tail, sep="\n  ", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\ninterrupted; the worker is stopped", file=sys.stderr)
            return 130
    complete = _summary(events)
    _timing()
    return 0 if complete else 1


def _run(folder: Path, log: Any) -> list[dict[str, Any]]:
    """Start a worker, send tasks, and stop it; show and return the signals that arrived."""
    from fastsig.command import demo_app  # needs the folder

    command = ["-m", "celery", "-A", "fastsig.command.demo_app", "worker", "--pool=prefork"]
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO"]
    worker = subprocess.Popen(
        [sys.executable, *command, f"--concurrency={POOL}", *options],
        cwd=folder,
        env={
            **os.environ,
            "FASTSIG_DEMO_WORKER": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(folder),
        },
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C must reach only the demo, which then stops the worker
    )
    events: list[dict[str, Any]] = []
    news = _follow(demo_app.events)
    try:
        print(f"{'time':<14}{'process':<16}{'signal':<21}{'sender':<13}arguments")
        _show_until(news, events, worker, "worker_ready", 1)
        for i in range(TASKS - 1):
            if i % 2:
                demo_app.add.delay(i, i + 1)
            else:
                demo_app.greet.delay(f"task {i}", greeting="Hi")
            demo_app.deliver()
            _show_until(news, events, worker, "task_sent", i + 1)
        demo_app.fail.delay()
        demo_app.deliver()
        _show_until(news, events, worker, "task_postrun", TASKS)
        worker.send_signal(os_signal.SIGTERM)
        _show_until(news, events, worker, "worker_shutdown", 1)
        try:
            status = worker.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"the worker did not stop in {PATIENCE:.0f} s") from None
        if status:
            raise Failed(f"the worker stopped with status {status}")
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, os_signal.SIGKILL)
            worker.wait()
    return events


def _follow(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the events in a file as they come; None where there is none yet."""
    while not path.exists():
        yield None
    with path.open("rb") as file:
        line = b""
        while True:
            line += file.readline()
            if line.endswith(b"\n"):
                yield json.loads(line)
                line = b""
            else:
                yield None


def _show_until(
    news: Iterator[dict[str, Any] | None],
    events: list[dict[str, Any]],
    worker: subprocess.Popen[bytes],
    name: str,
    count: int,
) -> None:
    """Show events until `count` signals with this name have arrived."""
    deadline = time.monotonic() + PATIENCE
    while sum(event["signal"] == name and not event["handler"] for event in events) < count:
        event = next(news)
        if event is not None:
            events.append(event)
            _show(event)
        elif worker.poll() is not None:
            if name != "worker_shutdown":
                raise Failed(f"the worker died with status {worker.returncode}")
            raise Failed("the worker stopped without sending worker_shutdown")
        elif time.monotonic() > deadline:
            raise Failed(f"no {name} from the worker in {PATIENCE:.0f} s")
        else:
            time.sleep(0.02)


def _show(event: dict[str, Any]) -> None:
    moment = event["time"]
    clock = time.strftime("%H:%M:%S", time.localtime(moment)) + f"{moment % 1:.3f}"[1:]
    arguments = "  ".join(f"{name}={_short(value)}" for name, value in event["arguments"].items())
    handler = f"   <- connected with {event['handler']}" if event["handler"] else ""
    sender = event["sender"] if event["sender"].startswith("demo.") else _short(event["sender"])
    print(
        f"{clock:<14}{event['process']:<16}{event['signal']:<21}{sender:<13}{arguments}{handler}",
        flush=True,
    )


def _short(value: str) -> str:
    return value if len(value) <= 16 else f"{value[:15]}…"


def _summary(events: list[dict[str, Any]]) -> bool:
    """Print how often and where the seven signals were sent; return whether that is right."""
    print(f"\n{'signal':<21}{'fired':>5}  {'arguments':<11}where")
    fine = True
    expected = {"task_sent": TASKS, "task_prerun": TASKS, "task_postrun": TASKS}
    expected["worker_process_init"] = POOL
    for name in SEVEN:
        found = [event for event in events if event["signal"] == name and not event["handler"]]
        documented = getattr(signals, name).providing_args
        complete = all(documented <= event["arguments"].keys() for event in found)
        where = Counter(event["process"] for event in found)
        places = ", ".join(f"{place} ({count})" for place, count in sorted(where.items()))
        right = len(found) == expected.get(name, 1)
        fine = fine and right and complete
        verdict = ("all there" if documented else "none due") if complete else "MISSING"
        mark = "" if right else f"  EXPECTED {expected.get(name, 1)}"
        print(f"{name:<21}{len(found):>5}  {verdict:<11}{places}{mark}")
    return fine


def _timing() -> None:
    """Print how long a send of a Celery signal takes, without fastsig and with it."""
    print("\nA send of task_prerun's arguments, here and now (best of 20):")
    counts = 0, 1, 5
    uninstall()
    celerys = [_measure(count) for count in counts]
    install()
    for count, without in zip(counts, celerys, strict=True):
        mine = _measure(count)
        print(
            f"  {count} receiver{'' if count == 1 else 's'}:"
            f"  {mine:6.0f} ns, Celery's own code {without:6.0f} ns: {without / mine:.1f} times"
        )


def _measure(count: int) -> float:
    """Return how long a send to `count` receivers takes now, in ns."""
    from celery.utils.dispatch import Signal

    signal: Any = Signal()
    scope: dict[str, Any] = {}
    for i in range(count):
        exec(f"def f{i}(sender=None, task_id=None, task=None, **kwargs): pass", scope)
        signal.connect(scope[f"f{i}"])
    arguments: dict[str, Any] = {"task_id": "id", "task": "task", "args": (), "kwargs": {}}
    call = "send(sender=None, task_id=task_id, task=task, args=args, kwargs=kwargs)"
    timer = timeit.Timer(call, globals={"send": signal.send, **arguments})
    return min(timer.repeat(20, 2000)) / 2000 * 1e9
