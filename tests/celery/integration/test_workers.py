"""Workers side by side, workers that fork while threads use signals, and one that cannot start."""

import os
from collections import Counter

import pytest
from runs import BEFORE_57

CHILDREN = int(os.environ.get("CHILDREN", "100"))


def test_two_workers(new_site):
    """On one broker, every task's signals are sent once, in the worker that ran it."""
    with new_site("redis two workers") as site:
        workers = [
            site.worker("prefork", "--concurrency=2", f"--hostname={name}@here")
            for name in ("one", "two")
        ]
        assert site.wait(worker_ready=2), site.log()
        site.client("for i in range(80): slow.delay()")
        assert site.wait(task_postrun=80), site.log()
        assert site.stop(*workers) == [0, 0]
        events = site.events()

    sent = [event["task_id"] for event in events if event["signal"] == "task_sent"]
    assert len(set(sent)) == 80
    mains = {worker.pid for worker in workers}
    ran_by = {}
    for task_id in sent:
        in_worker = [
            event
            for event in events
            if event["task_id"] == task_id and event["pid"] not in site.clients
        ]
        assert [event["signal"] for event in in_worker] == [
            *("task_received", "task_prerun", "task_success", "task_postrun")
        ]
        received, *ran = in_worker
        assert received["pid"] in mains
        assert {event["parent"] for event in ran} == {received["pid"]}
        assert len({event["pid"] for event in ran}) == 1
        ran_by[task_id] = received["pid"]
    assert len(Counter(ran_by.values())) == 2


def test_forking_while_threads_use_signals(new_site):
    """No child of the pool ever hangs; each one runs a single task."""
    with new_site("redis forking") as site:
        worker = site.worker(
            "prefork", "--concurrency=4", "--max-tasks-per-child=1", WORKER_NOISE="1"
        )
        assert site.wait(worker_ready=1), site.log()
        site.client(f"for i in range({CHILDREN}): noisy.delay()")
        assert site.wait(60 + CHILDREN, task_postrun=CHILDREN), site.log()
        assert site.stop(worker) == [0]
        story = Counter(event["signal"] for event in site.events())
        children = {event["pid"] for event in site.events("task_postrun")}
        assert len(children) == CHILDREN
        assert story["task_prerun"] == story["task_success"] == CHILDREN
        # Each child that was made came up, and came to its end by itself.
        assert story["worker_before_create_process"] == story["worker_process_init"] >= CHILDREN
        assert story["worker_process_init"] == story["worker_process_shutdown"]
        assert "Timed out" not in site.log()
        (noise,) = site.events(handler="noise")
        assert noise["arguments"]["alive"] == 3


@pytest.mark.skipif(BEFORE_57, reason="the worker starts all the same")
def test_an_error_of_setup_logging(new_site):
    """It is raised again: the worker does not start."""
    with new_site("filesystem logging") as site:
        worker = site.worker("solo", WORKER_LOGGING="fail")
        assert worker.wait(60) == 1
        assert site.log().rstrip().endswith("LookupError: no logging today")
        signals = [event["signal"] for event in site.events()]
        assert signals[-1] == "setup_logging"
        assert "worker_ready" not in signals
