"""What a real worker's signals tell of its tasks, and of its own life, for each pool and broker."""

from collections import Counter

import pytest
from runs import BEFORE_57, TERMINATES, WORKERS

PUBLISHING = ("before_task_publish", "after_task_publish", "task_sent")
RAN = ("task_received", "task_prerun", "task_success", "task_postrun")


@pytest.fixture(params=WORKERS)
def name(request):
    return request.param


@pytest.fixture
def pool(name):
    return name.split()[1]


@pytest.fixture
def site(runs, name):
    return runs[name]


@pytest.fixture
def published(site):
    """The ids of the tasks that the client published, and their names, in order."""
    (client,) = site.clients
    sent = [event for event in site.events("task_sent") if event["pid"] == client]
    return [(event["task_id"], event["sender"]) for event in sent]


@pytest.fixture
def ids(published):
    """The ids of the tasks of each name, in the order in which they were published."""
    return {name: [i for i, other in published if other == name] for _, name in published}


@pytest.fixture
def only(site):
    """Return a function that returns the only event of a signal about a task."""

    def only(signal, task_id):
        (event,) = [event for event in site.events(signal) if event["task_id"] == task_id]
        return event

    return only


def test_publishing(site, pool, published, only):
    names = ["add"] * 5 + ["publisher", "fail", "again", "broken", "add", "nowhere"]
    assert [name for _, name in published] == names + ["stop"] * (pool in TERMINATES)
    assert len({task_id for task_id, _ in published}) == len(published)
    for i, (task_id, name) in enumerate(published):
        args = [i] if i < 5 else {9: [0], 10: [1]}.get(i, [])
        kwargs = {"y": 1} if i < 5 else {}
        if name == "again":  # the worker publishes it again
            continue
        before, after, sent = (only(signal, task_id) for signal in PUBLISHING)
        assert {before["pid"], after["pid"], sent["pid"]} == set(site.clients)
        assert before["sender"] == after["sender"] == sent["sender"] == name
        assert sent["arguments"] == {
            "task_id": task_id,
            "task": name,
            "args": args,
            "kwargs": kwargs,
            "eta": None,
            "taskset": None,
        }
        for event in (before, after):
            arguments = event["arguments"]
            assert arguments["body"][:2] == [args, kwargs]
            assert (arguments["exchange"], arguments["routing_key"]) == ("", "celery")
            assert arguments["headers"]["task"] == name
        assert before["arguments"]["properties"]["correlation_id"] == task_id


def test_order_of_publishing(site):
    (client,) = site.clients
    signals = [event["signal"] for event in site.events() if event["pid"] == client]
    signals = [signal for signal in signals if signal in PUBLISHING]
    assert signals == [*PUBLISHING] * (len(signals) // 3)


def test_headers_are_changed_in_place(site, ids, only):
    """A receiver of before_task_publish writes into them; the task in the worker reads it."""
    assert only("task_success", *ids["publisher"])["arguments"]["result"] == site.clients[0]
    after = only("after_task_publish", *ids["publisher"])
    assert after["arguments"]["headers"]["published_by"] == site.clients[0]


def test_everything_once(site, pool, published):
    """Each task sends its signals once, and in order; all but what comes from another process."""
    stories = {
        "add": [*RAN],
        "publisher": [*RAN],
        "fail": ["task_received", "task_prerun", "task_failure", "task_postrun"],
        "again": [*RAN, "task_received", "task_prerun", "task_retry", "task_postrun"],
        "broken": [
            *("task_received", "task_prerun", "task_postrun"),
            *("task_internal_error", "task_failure"),
        ],
        "nowhere": ["task_unknown"],
        "stop": ["task_received", "task_prerun", "task_postrun", "task_revoked"],
    }
    for i, (task_id, name) in enumerate(published):
        expected = ["task_revoked"] if i == 9 else stories[name]
        story = [
            event["signal"]
            for event in site.events()
            if event["task_id"] == task_id and event["signal"] not in PUBLISHING
        ]
        if name in ("again", "stop"):
            story, expected = sorted(story), sorted(expected)
        assert story == expected, name
    republished = Counter(e["signal"] for e in site.events() if e["pid"] not in site.clients)
    assert [republished[signal] for signal in PUBLISHING] == [1, 1, 1]
    assert len(site.events("task_rejected")) == 2


def test_running(ids, only):
    for i, task_id in enumerate(ids["add"][:5]):
        arguments = only("task_prerun", task_id)["arguments"]
        assert (arguments["args"], arguments["kwargs"]) == ([i], {"y": 1})
        assert arguments["task"].startswith("<@task: add of worker_app")
        assert only("task_success", task_id)["arguments"]["result"] == i + 1
        assert BEFORE_57 or 0 <= only("task_success", task_id)["arguments"]["runtime"] < 10
        after = only("task_postrun", task_id)["arguments"]
        assert (after["args"], after["kwargs"]) == ([i], {"y": 1})
        assert (after["task"], after["retval"], after["state"]) == (
            arguments["task"],
            i + 1,
            "SUCCESS",
        )
        received = only("task_received", task_id)["arguments"]["request"]
        assert received.startswith(f"<Request: add[{task_id}]")


def test_failure(ids, only):
    arguments = only("task_failure", *ids["fail"])["arguments"]
    assert (arguments["args"], arguments["kwargs"]) == ([], {})
    assert arguments["exception"] == "ValueError('on purpose')"
    assert "ValueError: on purpose" in arguments["einfo"]
    after = only("task_postrun", *ids["fail"])["arguments"]
    assert (after["retval"], after["state"]) == ("ValueError('on purpose')", "FAILURE")


def test_retry(site, ids, only):
    event = only("task_retry", *ids["again"])
    assert "KeyError('once more')" in event["arguments"]["reason"]
    assert f"'id': '{event['task_id']}'" in event["arguments"]["request"]
    states = [
        event["arguments"]["state"]
        for event in site.events("task_postrun")
        if event["task_id"] in ids["again"]
    ]
    assert sorted(states) == ["RETRY", "SUCCESS"]


def test_internal_error(ids, only):
    for signal in ("task_internal_error", "task_failure"):
        arguments = only(signal, *ids["broken"])["arguments"]
        assert arguments["exception"] == "RuntimeError('no result can be stored')"
        assert "RuntimeError: no result can be stored" in arguments["einfo"]
    request = only("task_internal_error", *ids["broken"])["arguments"]["request"]
    assert (request["id"], request["task"]) == (ids["broken"][0], "broken")


def test_revoked(pool, ids, only):
    expired = only("task_revoked", ids["add"][5])
    assert expired["sender"] == "add"
    assert f"'id': '{expired['task_id']}'" in expired["arguments"].pop("request")
    assert expired["arguments"] == {"terminated": False, "signum": None, "expired": True}
    if pool in TERMINATES:
        terminated = only("task_revoked", *ids["stop"])
        assert terminated["sender"] == "stop"
        assert f"'id': '{terminated['task_id']}'" in terminated["arguments"].pop("request")
        assert terminated["arguments"].pop("signum") is not None
        assert terminated["arguments"] == {"terminated": True, "expired": False}


def test_rejected_and_unknown(site, ids):
    exceptions = [event["arguments"]["exc"] for event in site.events("task_rejected")]
    assert len(exceptions) == 2
    assert any(exception is None for exception in exceptions)
    assert any("must be a mapping" in exception for exception in exceptions if exception)
    (unknown,) = site.events("task_unknown")
    assert unknown["arguments"]["exc"] == "KeyError('nowhere')"
    assert (unknown["arguments"]["name"], unknown["arguments"]["id"]) == (
        "nowhere",
        *ids["nowhere"],
    )


def test_life_of_the_worker(site, pool):
    """What the worker's own process sends, in order, with its name as the sender."""
    life = [
        *("user_preload_options", "celeryd_init", "worker_init", "after_setup_logger"),
        *("after_setup_task_logger", "celeryd_after_setup", "worker_ready"),
        *("worker_shutting_down", "worker_shutdown"),
    ]
    (worker,) = site.processes
    events = [event for event in site.events() if event["pid"] == worker.pid]
    assert [event["signal"] for event in events if event["signal"] in life] == life
    assert events[-1]["signal"] == "worker_shutdown"
    by_name = {event["signal"]: event for event in events}
    assert by_name["user_preload_options"]["arguments"]["options"] == {"trial": "yes"}
    for name in ("celeryd_init", "celeryd_after_setup", "worker_shutting_down"):
        assert by_name[name]["sender"] == "tester@here"
        assert (
            by_name[name]["arguments"]
            .get("instance", "<Worker: tester@here")
            .startswith("<Worker: tester@here")
        )
    assert by_name["celeryd_init"]["arguments"]["options"]["concurrency"] == 2
    shutting_down = by_name["worker_shutting_down"]["arguments"]
    assert shutting_down == {"sig": "SIGTERM", "how": "Warm", "exitcode": 0}
    for name in ("after_setup_logger", "after_setup_task_logger"):
        assert by_name[name]["arguments"]["loglevel"] == 20
    assert "celery.task" in by_name["after_setup_task_logger"]["arguments"]["logger"]
    for name in ("worker_init", "worker_shutdown"):
        assert by_name[name]["sender"] == "tester@here"
    assert len(site.events("import_modules")) == 1
    assert len(site.events("heartbeat_sent")) >= 3


@pytest.mark.parametrize("name", ["redis prefork", "filesystem prefork"])
def test_processes_of_the_pool(site):
    """Two of them, and a third in the place of the one whose task was terminated."""
    children = [event["pid"] for event in site.events("worker_process_init")]
    assert len(set(children)) == len(children) == 3
    for child in children:
        events = [event for event in site.events() if event["pid"] == child]
        assert [event["signal"] for event in events[:2]] == [
            "app.on_after_fork",
            "worker_process_init",
        ]
        assert events[-1]["signal"] == "worker_process_shutdown"
        assert events[-1]["arguments"]["pid"] == child
        hostname = "None" if BEFORE_57 else "tester@here"
        assert events[-1]["sender"] == events[1]["sender"] == hostname
    exits = [e["arguments"]["exitcode"] for e in site.events("worker_process_shutdown")]
    assert sorted(code == 0 for code in exits) == [False, True, True]


@pytest.mark.parametrize("name", ["redis eventlet", "filesystem eventlet"])
def test_eventlet(site, ids):
    pool = [event for event in site.events() if event["signal"].startswith("eventlet_pool")]
    signals = [event["signal"] for event in pool]
    started, *applied, preshutdown, postshutdown = signals
    assert started == "eventlet_pool_started"
    assert (preshutdown, postshutdown) == (
        "eventlet_pool_preshutdown",
        "eventlet_pool_postshutdown",
    )
    assert applied == ["eventlet_pool_apply"] * 11
    arguments = [str(event["arguments"]["args"]) for event in pool[1:-2]]
    for name in ("add", "stop"):
        for task_id in ids[name][:5]:
            assert sum(task_id in text for text in arguments) == 1


def test_receivers_of_one_sender(site, ids):
    """By the task's name, where it is published; by the task itself, where it runs."""
    by_name = site.events(handler="by name")
    assert [event["task_id"] for event in by_name] == ids["add"]
    assert {event["pid"] for event in by_name} == set(site.clients)
    by_task = site.events(handler="by task")
    assert sorted(event["task_id"] for event in by_task) == sorted(ids["add"][:5])
    assert {event["sender"] for event in by_task} == {"add"}


def test_beat(runs):
    """It publishes what it was told to; embedded, its own worker runs that."""
    for name in ("redis beat", "redis embedded"):
        site = runs[name]
        sent = site.events("task_sent")
        assert len(sent) >= 2
        assert {event["sender"] for event in sent} == {"add"}
        assert {tuple(event["arguments"]["args"]) for event in sent} == {(7,)}
        pids = {event["pid"] for event in site.events("beat_init")}
        assert {event["pid"] for event in sent} == pids
        assert len(pids) == len(site.events("beat_init")) == 1
    events = runs["redis embedded"].events()
    beat = [event["signal"] for event in events if event["pid"] in pids]
    assert beat.index("beat_embedded_init") == beat.index("beat_init") + 1
    ran = {event["task_id"] for event in events if event["signal"] == "task_postrun"}
    assert ran <= {event["task_id"] for event in sent}


def test_logging_is_taken_over(runs):
    log = runs["filesystem logging"].log()
    assert "TAKEN OVER celery@" in log
    assert "INFO/MainProcess]" not in log
    assert "INFO/MainProcess]" in runs["filesystem solo"].log()
    (event,) = runs["filesystem logging"].events("setup_logging")
    assert event["arguments"]["loglevel"] == 20
    assert not runs["filesystem logging"].events("after_setup_logger")
    assert not runs["filesystem logging"].events("after_setup_task_logger")
