"""Runs of real Celery processes, whose records the tests then read.

All runs of a core are made at once, before its first test, because most of the time a run waits.
The last thing in the output is a table of where each signal was seen.
"""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import Redis, Site
from runs import BROKERS, POOLS, TERMINATES, WORKERS

seen = defaultdict(lambda: defaultdict(Counter))
"""How often each signal was seen: by its name, by the core, and by the place and the run."""


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def databases():
    return iter(range(64))


@pytest.fixture(scope="session")
def new_site(tmp_path_factory, redis_server, databases, environment, core):
    """Return a function that makes a site, with a queue of its own on a broker."""

    def new_site(name):
        broker = redis_server.url(next(databases)) if name.startswith("redis") else "filesystem://"
        folder = tmp_path_factory.mktemp(f"{core} {name}".replace(" ", "-"))
        return Site(folder, environment, broker)

    return new_site


@pytest.fixture(scope="session")
def runs(new_site, core):
    """The finished runs on one core, by their names."""
    scripts = {
        **dict.fromkeys(WORKERS, run_worker),
        "redis beat": run_beat,
        "redis embedded": run_embedded,
        "filesystem logging": run_logging,
    }
    sites = {name: new_site(name) for name in scripts}
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda name: scripts[name](name, sites[name]), scripts))
    for name, run in sites.items():
        for event in run.events():
            seen[event["signal"]][core][run.role(event), name] += 1
    return sites


def run_worker(name, site):
    """A worker with one task for every outcome."""
    pool = name.split()[1]
    terminate = pool in TERMINATES
    options = ("--concurrency=2", "--hostname=tester@here", "--heartbeat-interval=1")
    with site:
        worker = site.worker(pool, *options, "--trial=yes")
        site.wait(worker_ready=1)
        site.client(f"publish_all({terminate})")
        site.wait(
            20,
            task_postrun=11 if terminate else 10,
            task_revoked=2 if terminate else 1,
            task_rejected=2,
            task_unknown=1,
            heartbeat_sent=3,
            worker_process_init={"prefork": 3, "solo": 1}.get(pool, 0),
        )
        (site.status,) = site.stop(worker)


def run_beat(name, site):
    """Beat on its own."""
    with site:
        beat = site.start("beat", "--loglevel=INFO")
        site.wait(task_sent=2)
        (site.status,) = site.stop(beat)


def run_embedded(name, site):
    """A worker with beat in it."""
    with site:
        worker = site.worker("prefork", "--concurrency=1", "--beat")
        site.wait(task_postrun=2)
        (site.status,) = site.stop(worker)


def run_logging(name, site):
    """A worker whose logging a receiver takes over."""
    with site:
        worker = site.worker("solo", WORKER_LOGGING="take")
        site.wait(worker_ready=1)
        (site.status,) = site.stop(worker)


def pytest_terminal_summary(terminalreporter):
    if not seen:
        return
    terminalreporter.section("where each signal was seen")
    for name, cores in sorted(seen.items()):
        counts = "  ".join(f"{core} {sum(places.values()):>4}" for core, places in cores.items())
        runs_of = defaultdict(set)
        for role, run in {place for places in cores.values() for place in places}:
            runs_of[role].add(run)
        where = "; ".join(f"{role}: {shortened(runs)}" for role, runs in sorted(runs_of.items()))
        terminalreporter.write_line(f"{name:<29}{counts}  {where}")


def shortened(runs):
    """Return the names of runs, of two on different brokers as one."""
    if runs >= set(WORKERS):
        return "in all pools on all brokers"
    on_all = [pool for pool in POOLS if runs >= {f"{broker} {pool}" for broker in BROKERS}]
    return ", ".join(on_all + sorted(run for run in runs if run.split()[1] not in on_all))
