"""Receivers for senders of every form are called in a real worker, on each signal of a task."""

from collections import Counter

import pytest
from processes import Site

EVERYTHING = {"again", "bad", "broken", "good"}
RUN = {
    "task_prerun": EVERYTHING,
    "task_postrun": {"again", "bad", "good"},
    "task_success": {"again", "good"},
    "task_failure": {"bad"},
    "task_retry": {"again"},
    "task_internal_error": {"broken"},
    "task_revoked": {"good"},
}
PUBLISHED = dict.fromkeys(("before_task_publish", "after_task_publish", "task_sent"), EVERYTHING)


@pytest.fixture(scope="module", params=["prefork", "threads"])
def events(request, core, environment, tmp_path_factory, redis_server, databases):
    folder = tmp_path_factory.mktemp(f"senders-{core}-{request.param}")
    with Site(folder, environment, redis_server.url(next(databases)), app="senders_app") as site:
        worker = site.worker(request.param, "--concurrency=2")
        site.client("publish_all()")
        found = site.wait(task_postrun=5, task_revoked=1, task_internal_error=1)
        assert found, site.log()
        assert site.stop(worker) == [0]
        site.events()
        return list(site.lines)


def senders(events, signal, way):
    """Return which tasks of `proj` a way of connecting heard of, in the alphabetic order."""
    return sorted(
        event["sender"].removeprefix("proj.")
        for event in events
        if (event["signal"], event["handler"]) == (signal, way)
    )


@pytest.mark.parametrize("signal", [*RUN, *PUBLISHED])
@pytest.mark.parametrize("way", ["name", "task", "list", "class"])
def test_called(events, signal, way):
    if way == "class" and signal in PUBLISHED:
        pytest.skip("its sender is a name, which has no class: connecting warns of it")
    heard = Counter(senders(events, signal, "any")) - Counter(["shared"])
    assert set(heard) >= {**RUN, **PUBLISHED}[signal]
    assert Counter(senders(events, signal, way)) == heard


def test_a_shared_task(events):
    for signal in ("task_prerun", "task_success", "task_postrun", "task_sent"):
        assert senders(events, signal, "shared") == ["shared"]


def test_nobody_else_is_called(events):
    assert not [event for event in events if event["handler"] in ("nobody", "no class")]
