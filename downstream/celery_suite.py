"""Runs Celery's own tests against a Celery that dispatches through fastsig.

    python downstream/celery_suite.py [--celery 5.6] [PATH ...]

Celery's source distribution, a virtual environment with it and with fastsig: all of that goes to
a temporary folder.  The tests run once with Celery as it is, and then with each core of fastsig,
imported before Celery and after it.  Every test with another outcome than with Celery as it is is
named; then everything runs again, in both, to tell a difference from a test that is not sure of
its outcome itself.  The exit status is 1 if there is a difference.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent

TESTS = (
    *("t/unit/app", "t/unit/apps", "t/unit/bin", "t/unit/concurrency", "t/unit/contrib"),
    *("t/unit/events", "t/unit/fixups", "t/unit/tasks", "t/unit/utils", "t/unit/worker"),
)

# What Celery's conftest, and these tests, need of its test requirements, and of its extras.
NEEDED = {"freezegun", "mock", "pytest", "pytest-click", "pytest-subtests", "pytest-timeout"}
EXTRAS = "auth,django,gevent,msgpack,pydantic,redis,solar,tblib,yaml"

COMBINATIONS = {
    "compiled core, before Celery": ("before", "0"),
    "compiled core, after Celery": ("after", "0"),
    "pure core, before Celery": ("before", "1"),
    "pure core, after Celery": ("after", "1"),
}

NOT_RUN = ("not run", "")

RERUNS = 2

PLUGIN = '''
"""Imports fastsig when it is told to, and writes down the outcome of every test."""

import json
import os
import sys
from importlib import import_module

IMPORT = os.environ["SUITE_IMPORT"]

CELERY_MODULES = (
    *("app", "app.amqp", "app.base", "app.log", "app.trace", "apps.worker", "beat", "bin.celery"),
    *("concurrency", "concurrency.asynpool", "concurrency.prefork", "concurrency.solo"),
    *("concurrency.thread", "contrib.testing.worker", "events.snapshot", "fixups.django"),
    *("loaders.base", "worker", "worker.heartbeat", "worker.request", "worker.strategy"),
)

OUTCOMES = ["passed", "skipped", "xfailed", "xpassed", "failed"]  # the last one that occurs counts

results = {}

if IMPORT == "before":
    assert not [name for name in sys.modules if name.split(".")[0] == "celery"]
if IMPORT == "after":
    for name in CELERY_MODULES:
        import_module("celery." + name)
if IMPORT != "stock":
    import fastsig.signals


def check_imports():
    """Assert that the right Celery is tested, and that it dispatches as it should."""
    import celery.signals

    assert celery.__version__ == os.environ["SUITE_CELERY"], celery.__version__
    assert celery.__file__.startswith(sys.prefix), celery.__file__
    if IMPORT == "stock":
        assert "fastsig.signals" not in sys.modules  # its plugin for pytest imports others
        return
    import fastsig.celery

    assert fastsig.__file__.startswith(sys.prefix), fastsig.__file__
    assert fastsig.compiled is (os.environ["FASTSIG_NO_EXTENSIONS"] == "0")
    assert fastsig.celery.installed()
    assert celery.signals.task_prerun is fastsig.signals.task_prerun
    assert "_fastsig" in vars(celery.signals.task_prerun)
    assert celery.utils.dispatch.Signal.send is fastsig.engine.class_send_robust


def pytest_collection_finish(session):
    check_imports()


def add(test, outcome, error):
    results[test] = max(
        results.get(test, ("passed", "")),
        (outcome, error),
        key=lambda result: OUTCOMES.index(result[0]),
    )


def pytest_collectreport(report):
    if report.failed:
        add(report.nodeid, "failed", last_line(report))


def pytest_runtest_logreport(report):
    if report.outcome in ("passed", "failed", "skipped"):  # not "rerun"
        expected = hasattr(report, "wasxfail")
        others = {"passed": "xpassed", "skipped": "xfailed"} if expected else {}
        outcome = others.get(report.outcome, report.outcome)
        add(report.nodeid, outcome, last_line(report) if outcome == "failed" else "")


def last_line(report):
    """Return the line that a traceback ends with, without pytest's explanation below it."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash:
        return crash.message.partition("\\n")[0]
    return str(report.longrepr).strip().rpartition("\\n")[2]


def pytest_sessionfinish(session):
    check_imports()
    with open(os.environ["SUITE_RESULTS"], "w") as file:
        json.dump(results, file)
'''


def run(*command, **options):
    """Run a command whose output matters only if it fails; then exit."""
    done = output(command, **options)
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(map(str, command))}")


def output(command, **options):
    """Run a command; return its exit status and what it wrote, as `subprocess.run` does."""
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, check=False, **both, **options)


def fetch(series, folder):
    """Return Celery's newest source distribution, and the folder that it is unpacked in."""
    command = ("pip", "download", "--no-deps", "--no-binary=celery", f"--dest={folder}")
    run(sys.executable, "-m", *command, f"celery=={series}.*")
    (archive,) = folder.glob("celery-*.tar.gz")
    shutil.unpack_archive(archive, folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    # The tests would import this one instead of the one that is installed.
    shutil.rmtree(unpacked / "celery")
    return archive, unpacked


def requirements(archive, unpacked):
    """Return what to give to pip so that it installs Celery and what its tests need."""
    lines = (unpacked / "requirements/test.txt").read_text().splitlines()
    needed = (line for line in lines if re.match(r"[\w-]*", line)[0] in NEEDED)
    # Celery's own extra leaves eventlet out on the Pythons that it is deprecated for.
    return [f"{archive}[{EXTRAS}]", "eventlet", *needed]


def environment(folder, *needed):
    """Return the Python of a new virtual environment with fastsig, and what else is needed."""
    run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    sources = folder / "fastsig"  # a copy, because building leaves files
    ignored = shutil.ignore_patterns("*.c", "*.so", "*.pyd", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "src", sources / "src", ignore=ignored)
    for name in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, sources)
    run(
        *(python, "-m", "pip", "install", sources, *needed),
        env={**variables(), "FASTSIG_REQUIRE_EXTENSIONS": "1"},
    )
    return python


def variables():
    """Return the environment variables, without those that would change what is tested."""
    kept = os.environ.items()
    return {k: v for k, v in kept if not k.startswith(("FASTSIG_", "PYTHON", "PYTEST_", "CELERY_"))}


def outcomes(python, unpacked, tests, when, pure):
    """Run the tests; return ``{test: (outcome, last line of the error)}``."""
    results = unpacked.parent / "results.json"
    results.unlink(missing_ok=True)
    plugin = unpacked.parent / "plugin"
    plugin.mkdir(exist_ok=True)
    (plugin / "suite_plugin.py").write_text(PLUGIN)
    done = output(
        (
            *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."),
            *("-p", "suite_plugin", "-p", "celery.contrib.pytest"),  # in this order
            *("--continue-on-collection-errors", "--timeout=300", *tests),
        ),
        cwd=unpacked,
        env={
            **variables(),
            "FASTSIG_CELERY": "0" if when == "stock" else "1",
            "FASTSIG_NO_EXTENSIONS": pure,
            "PYTHONPATH": str(plugin),
            "SUITE_CELERY": unpacked.name.partition("-")[2],
            "SUITE_IMPORT": when,
            "SUITE_RESULTS": str(results),
            "TMPDIR": str(unpacked.parent),  # Celery's tests leave folders behind
        },
    )
    if done.returncode not in (0, 1) or not results.is_file():
        sys.exit(f"{done.stdout}\npytest did not run to its end")
    return json.loads(results.read_text())


def summary(name, results):
    """Return a line about the outcomes of one run."""
    counts = [outcome for outcome, _ in results.values()]
    return f"{name:30}{len(counts):6} run" + "".join(
        f"{counts.count(outcome):6} {outcome}" for outcome in ("passed", "skipped", "failed")
    )


def seen(test, runs):
    """Return how often a test had which outcome in these runs."""
    return Counter(run.get(test, NOT_RUN)[0] for run in runs)


def different(stock, runs):
    """Return the tests that had none of the outcomes that they had with Celery as it is."""
    tests = dict.fromkeys(test for run in (*stock, *runs) for test in run)
    return [test for test in tests if not seen(test, stock) & seen(test, runs)]


def shown(outcomes):
    """Return what `seen` returned, as text."""
    return ", ".join(f"{outcome} x{count}" for outcome, count in outcomes.items())


def compare(name, stock, run_stock, run_tests):
    """Print how outcomes differ from those of stock; return whether any does.

    Arguments:
        name: What is compared.
        stock: The outcomes of the runs of stock; it gets those of more runs, if these are needed.
        run_stock: Runs the tests with Celery as it is.
        run_tests: Runs them as they are to be compared.
    """
    runs = [run_tests()]
    first = different(stock[:1], runs)
    for _ in range(RERUNS):
        if not different(stock, runs):
            break
        if len(stock) == len(runs):
            stock.append(run_stock())
        runs.append(run_tests())
    remaining = different(stock, runs)
    print(f"{summary(name, runs[0])}{len(remaining):6} different", flush=True)
    for test in first:
        outcomes = f"{shown(seen(test, stock))} -> {shown(seen(test, runs))}"
        if test not in remaining:
            print(f"    {test}: not sure of its outcome: {outcomes}", flush=True)
            continue
        print(f"    {test}: {outcomes}\n        {runs[0].get(test, NOT_RUN)[1]}", flush=True)
    return bool(remaining)


def main():
    """Run the tests as the command line asks; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    help_on_celery = "or a series, for its newest release"
    parser.add_argument("--celery", default="5.7", metavar="VERSION", help=help_on_celery)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="of t/unit; default: signals'")
    options = parser.parse_args()

    with TemporaryDirectory(prefix="celery-suite-") as name:
        folder = Path(name).resolve()
        archive, unpacked = fetch(options.celery, folder)
        python = environment(folder, *requirements(archive, unpacked))
        run_tests = partial(outcomes, python, unpacked, options.paths or TESTS)
        run_stock = partial(run_tests, "stock", "0")
        stock = [run_stock()]
        print(summary(f"{unpacked.name} as it is", stock[0]), flush=True)
        for test, (outcome, error) in stock[0].items():
            if outcome == "failed":
                print(f"    {test}: {error}", flush=True)
        changes = [
            compare(name, stock, run_stock, partial(run_tests, *how))
            for name, how in COMBINATIONS.items()
        ]
    return int(any(changes))


if __name__ == "__main__":
    sys.exit(main())
