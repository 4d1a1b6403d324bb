"""Guards that raise in real workers, and receivers that are queued."""

import pytest
from processes import Site
from runs import CELERY


@pytest.fixture
def new_around_site(environment, tmp_path, redis_server, databases):
    def new_site(broker="filesystem"):
        folder = tmp_path / broker
        folder.mkdir()
        url = redis_server.url(next(databases)) if broker == "redis" else "filesystem://"
        return Site(folder, environment, url, "around_app")

    return new_site


@pytest.mark.parametrize("signal", ["celeryd_init", "worker_init"])
@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_a_guard_stops_the_worker(new_around_site, pool, signal):
    with new_around_site() as site:
        worker = site.worker(pool, "--concurrency=1", GUARD=f"{signal}:ValueError")
        assert worker.wait(60) == 1
        assert site.log().rstrip().endswith("ValueError: guarded")
        assert not site.events("worker_ready")


def outcome(site, pool, task, **environment):
    """Run a task in a worker; return the state, the signals of the task, and the worker."""
    worker = site.worker(pool, "--concurrency=1", **environment)
    assert site.wait(worker_ready=1), site.log()
    site.client(f"result = {task}.delay()\n(folder / 'id').write_text(result.id)")
    site.wait(30, task_postrun=1)
    site.wait(2, worker_shutdown=1)
    site.client(
        "from celery.result import AsyncResult\n"
        "result = AsyncResult((folder / 'id').read_text(), app=app)\n"
        "(folder / 'state').write_text(result.state)"
    )
    names = [
        event["signal"]
        for event in site.events()
        if event["signal"].startswith("task_") and event["pid"] not in site.clients
    ]
    return (site.folder / "state").read_text(), names, worker


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_a_guard_fails_the_task(new_around_site, pool):
    with new_around_site() as site:
        state, names, worker = outcome(site, pool, "guarded", GUARD="task_prerun:ValueError")
        assert state == "FAILURE"
        assert {"task_internal_error", "task_failure"} <= {*names}
        assert "task_success" not in names
        assert worker.poll() is None


def expect(pool, error):
    """Return what becomes of a task, and of the worker, by what its `task_prerun` guard raises.

    That is its state, how the worker ended (None: it did not), and whether the task is run again.
    docs/errors.md has it as a table.
    """
    if error == "Ignore" or CELERY < (5, 6):
        return "FAILURE", None, error == "Requeue"
    if pool == "solo":
        return "PENDING", 1, False
    if pool == "threads":
        return "PENDING", None, False
    return (
        "FAILURE" if error == "Reject" and CELERY >= (5, 7) else "PENDING",
        None,
        error == "Requeue",
    )


@pytest.mark.parametrize("error", ["Ignore", "Reject", "Requeue"])
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_celerys_own_exceptions_in_task_prerun(new_around_site, pool, error):
    with new_around_site("redis") as site:
        state, names, worker = outcome(site, pool, "guarded", GUARD=f"task_prerun:{error}")
        again = len(site.events("task_received")) > 1
        assert (state, worker.poll(), again) == expect(pool, error), site.log()
        assert "task_success" not in names


@pytest.mark.parametrize("error", ["Ignore", "Reject", "Requeue"])
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_celerys_own_exceptions_in_before_start(new_around_site, pool, error):
    with new_around_site("redis") as site:
        state, names, worker = outcome(site, pool, "started", BEFORE_START=error)
        again = len(site.events("task_received")) > 1
        assert state == ("FAILURE" if error == "Reject" and CELERY >= (5, 7) else "PENDING")
        assert (worker.poll(), again) == (None, error == "Requeue")
        assert "task_success" not in names


@pytest.mark.parametrize("error", ["Ignore", "Reject"])
@pytest.mark.parametrize("signal", ["celeryd_init", "worker_init"])
def test_celerys_own_exceptions_stop_a_worker_as_any(new_around_site, signal, error):
    with new_around_site() as site:
        worker = site.worker("solo", GUARD=f"{signal}:{error}")
        assert worker.wait(60) == 1
        assert f"celery.exceptions.{error}: " in site.log()
        assert not site.events("worker_ready")


@pytest.mark.parametrize(
    "signal", ["celeryd_init", "worker_init", "app.on_after_finalize", "worker_ready"]
)
def test_what_is_only_logged_is_seen(new_around_site, signal):
    """Before Celery has set up logging, and once it has: once each."""
    with new_around_site() as site:
        worker = site.worker("solo", FAILS=signal)
        assert site.wait(worker_ready=1), site.log()
        assert site.stop(worker) == [0]
        assert site.log().count("ValueError: guarded") == 1, site.log()
        assert site.log().count("fails at ") == 1, site.log()


@pytest.mark.parametrize("broker", ["redis", "filesystem"])
def test_queued_receivers(new_around_site, broker):
    with new_around_site(broker) as site:
        worker = site.worker("solo")
        assert site.wait(worker_ready=1), site.log()
        site.client(
            "found = order_paid.send('shop', order=7, amount=3, other=True)\n"
            "assert [type(response).__name__ for _, response in found] == ['AsyncResult'] * 2\n"
            "bad = order_paid.send('shop', order=object())\n"
            "assert all(isinstance(response, Exception) for _, response in bad), bad"
        )
        assert site.wait(30, task_success=2), site.log()
        assert site.stop(worker) == [0]
        results = {
            event["sender"]: event["arguments"]["result"] for event in site.events("task_success")
        }
        assert results == {
            "send_receipt": "7 3",
            "log_all": {"order": 7, "amount": 3, "other": True},
        }
