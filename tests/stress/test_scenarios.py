"""Threads, forks and OS signals, each scenario in a separate process.

``FASTSIG_TEST_MINUTES`` is for how long they go on, all of them together.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parent / "scenarios.py"
SCENARIOS = [
    "threads_change",
    "threads_share",
    "threads_die",
    "threads_mean",
    "threads_edit",
    "threads_assign",
    "threads_cross",
    "threads_mute",
    "threads_once",
    "tasks_mute",
    "tasks_once",
    "os_signal_handlers",
    "fork_while_importing",
    pytest.param(
        "fork_in_the_middle",
        marks=pytest.mark.skipif(
            not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies"
        ),
    ),
    "fork_among_threads",
    "fork_in_the_middle_among_threads",
]
MINUTES = float(os.environ.get("FASTSIG_TEST_MINUTES", "0"))
SECONDS = MINUTES * 60 / len(SCENARIOS) / 2 or 1.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs what POSIX has")
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(environment, capsys, name):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", FILE, name, str(SECONDS)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    if MINUTES:
        with capsys.disabled():
            print(f"\n{name}: {done.stdout}", end="")
