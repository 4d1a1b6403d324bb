"""A test that uses the fixture `core` runs on both builds: compiled, and in plain Python.

A missing compiled build fails the run; pass ``--core pure`` to skip it deliberately.
"""

import gc
import importlib
import os
import signal as os_signal
import subprocess
import sys
import textwrap
from collections import Counter

import pytest
from cores import CORES, load


def pytest_addoption(parser):
    parser.addoption("--core", choices=CORES, help="run on this core (build) only")


def pytest_configure():
    # A shell makes what it starts in the background ignore SIGINT, and all that this starts.
    if os_signal.getsignal(os_signal.SIGINT) is os_signal.SIG_IGN:
        os_signal.signal(os_signal.SIGINT, os_signal.default_int_handler)


def pytest_generate_tests(metafunc):
    if "core" in metafunc.fixturenames:
        only = metafunc.config.getoption("--core")
        metafunc.parametrize("core", [only] if only else CORES, scope="session")


@pytest.fixture(scope="session")
def fastsig(core):
    """The package, on one core and then on the other."""
    return load(core)


@pytest.fixture
def Signal(fastsig):
    return fastsig.Signal


@pytest.fixture
def engine(fastsig):
    return importlib.import_module("fastsig.engine")


@pytest.fixture
def signal(Signal):
    return Signal(name="test", providing_args=["value"])


@pytest.fixture(scope="session")
def environment(core):
    """The environment of another process that is to run on the same core."""
    if sys.platform == "emscripten":
        pytest.skip("there are no other processes")
    return {
        **os.environ,
        "FASTSIG_NO_EXTENSIONS": "1" if core == "pure" else "0",
        "FASTSIG_REQUIRE_EXTENSIONS": "1" if core == "compiled" else "0",
        "FASTSIG_CELERY": "1",
        "FASTSIG_DJANGO": "1",
        "PYTHONWARNINGS": "default",
    }


@pytest.fixture
def run(environment, tmp_path):
    """Run a program in a process of its own; fail if it fails."""

    def run(program, **extra):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env={**environment, **extra},
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def collect():
    """Collect garbage until there is none (PyPy needs more than one go)."""

    def collect():
        for _ in range(3):
            gc.collect()

    return collect


def pytest_terminal_summary(terminalreporter):
    ran = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for core in CORES:
                parameters = report.nodeid.partition("[")[2].rstrip("]").split("-")
                ran[core, outcome] += report.when == "call" and core in parameters
    for core in CORES:
        terminalreporter.write_line(
            f"on the {core} core: {ran[core, 'passed']} passed, {ran[core, 'failed']} failed"
        )
