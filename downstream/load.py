"""A worker under load on Redis: does it lose a signal, does it grow, and what does dispatch cost?

    python downstream/load.py [MINUTES]

Without MINUTES it is five.  The worker has a pool of two processes, and five receivers on each
task signal.  Its counts must match the tasks exactly, and its memory must not grow once the first
quarter of the time is over.  Then shorter runs, with fastsig and without it in turn, measure the
processor time of the worker per task, and what part of it passes in `send`: that of the signals
which the worker sends of every task, with the receivers, by the clock of the sending thread.
"""

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
INTEGRATION = HERE.parent / "tests" / "celery" / "integration"
sys.path.append(str(INTEGRATION))

from processes import Redis, Site  # noqa: E402

RECEIVERS = 5
SIGNALS = (
    *("before_task_publish", "after_task_publish", "task_sent", "task_received", "task_prerun"),
    *("task_postrun", "task_success", "task_failure", "task_retry", "task_revoked"),
    *("task_rejected", "task_unknown", "task_internal_error"),
)
SPENT = len(SIGNALS) * RECEIVERS  # where, behind the counts, a process has its time in `send`

TASKS = 2000
ROUNDS = 3
GROWTH = 1024  # KiB that a process may grow by
PATIENCE = 120


class Load:
    """A worker with a queue of its own, and what was counted; a context manager."""

    def __init__(self, server, database, **environment):
        self.folder = tempfile.TemporaryDirectory(prefix="fastsig-load-")
        environment = {**os.environ, **environment}
        broker = server.url(database)
        self.site = Site(Path(self.folder.name), environment, broker, app="load_app", path=[HERE])
        self.published = []

    def __enter__(self):
        self.site.__enter__()
        options = ("--pool=prefork", "--concurrency=2", "--loglevel=CRITICAL")
        self.worker = self.site.start(
            "worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"
        )
        return self

    def __exit__(self, *details):
        self.site.__exit__(*details)
        self.folder.cleanup()

    def publish(self, **limit):
        """Publish tasks, and wait until they have run."""
        self.site.client(f"publish(**{limit})", patience=limit.get("seconds", 0) + PATIENCE)
        self.published.append(int((self.site.folder / "published").read_text()))
        deadline = time.monotonic() + PATIENCE
        while self.counts() != self.expected():
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)

    def counts(self):
        """Return how often the receivers of each signal were called, by all processes."""
        sums = self._sums()
        return {name: sums[i * RECEIVERS : (i + 1) * RECEIVERS] for i, name in enumerate(SIGNALS)}

    def spent(self):
        """Return the seconds that the worker was in `send`, if it takes the time."""
        return self._sums()[SPENT] / 1e9

    def _sums(self):
        sums = [0] * (SPENT + 1)
        for path in self.site.folder.glob("counts-*"):
            for i, count in enumerate(memoryview(path.read_bytes()).cast("Q")):
                sums[i] += count
        return sums

    def expected(self):
        """Return the counts that there should be; see `load_app.publish`."""
        tasks = sum(self.published)
        fail = sum(-(-count // 50) for count in self.published)
        again = sum((count + 48) // 50 for count in self.published)
        runs = tasks + again
        expected = {
            **dict.fromkeys(SIGNALS[:6], runs),
            "task_success": tasks - fail,
            "task_failure": fail,
            "task_retry": again,
        }
        return {name: [expected.get(name, 0)] * RECEIVERS for name in SIGNALS}

    def processes(self):
        """Return the pids of the worker: its main process, and those of its pool."""
        children = Path(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children").read_text()
        return [self.worker.pid, *map(int, children.split())]

    def processor_time(self):
        """Return the seconds of processor time that the worker took so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Return the KiB of each process: those that are its own, and all that are resident."""
        sizes = []
        for pid in self.processes():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            size = {name: int(kib) for name, kib, *_ in map(str.split, lines)}
            sizes.append((size["Private_Clean:"] + size["Private_Dirty:"], size["Rss:"]))
        return sizes


def endure(server, minutes):
    """Load a worker for so long; print what comes of it, and return whether all is well."""
    print(f"{minutes:g} minutes of load", flush=True)
    with Load(server, 0) as load, ThreadPoolExecutor() as threads:
        load.publish(count=100)
        begin = time.monotonic()
        publishing = threads.submit(load.publish, seconds=minutes * 60)
        samples = []
        while not publishing.done():
            samples.append(load.memory())
            time.sleep(minutes)
        publishing.result()
        seconds = time.monotonic() - begin
        counts, expected = load.counts(), load.expected()
    tasks = sum(load.published)
    print(f"  {tasks} tasks, {tasks / seconds:.0f} per second")
    for name in SIGNALS:
        verdict = "" if counts[name] == expected[name] else f"  EXPECTED {expected[name][0]}"
        print(f"  {name:<21}{counts[name][0]:>8} in each of {RECEIVERS} receivers{verdict}")
    fine = counts == expected
    samples = samples[len(samples) // 4 :]
    half = len(samples) // 2
    for place, process in enumerate(("main", "pool", "pool")):
        for kind, name in enumerate(("USS", "RSS")):
            sizes = [sample[place][kind] for sample in samples]
            before, after = statistics.mean(sizes[:half]), statistics.mean(sizes[half:])
            flat = after - before <= GROWTH
            fine = fine and flat
            print(
                f"  {process} {name} in KiB: {sizes[0]} at first, {before:.0f} in the first half,"
                f" {after:.0f} in the second{'' if flat else '  GROWS'}"
            )
    return fine


def cost(server):
    """Print what a task costs the worker, with fastsig and without, and dispatch in it."""
    print(f"\n{ROUNDS} rounds of {TASKS} tasks, microseconds of the processor per task")
    database = iter(range(1, 64))
    totals, sends = {}, {}
    for _ in range(ROUNDS):
        for name, switch in (("with fastsig", "1"), ("without", "0")):
            for timed, results in (({}, totals), ({"LOAD_TIMED": "1"}, sends)):
                with Load(server, next(database), FASTSIG_CELERY=switch, **timed) as load:
                    load.publish(count=200)
                    spent, total = load.spent(), load.processor_time()
                    load.publish(count=TASKS)
                    spent, total = load.spent() - spent, load.processor_time() - total
                took = spent if timed else total
                results.setdefault(name, []).append(took / TASKS * 1e6)
    for name, all_of_it in totals.items():
        total, sending = statistics.median(all_of_it), statistics.median(sends[name])
        each = ", ".join(f"{took:.0f}" for took in all_of_it)
        each_sending = ", ".join(f"{took:.1f}" for took in sends[name])
        print(
            f"  {name:<13}{total:6.0f} ({each}), in send {sending:5.1f} ({each_sending}):"
            f" {sending / total:.1%}"
        )


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder, Redis(folder) as server:
        fine = endure(server, minutes)
        cost(server)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
