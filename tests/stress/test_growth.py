"""No operation leaks references, allocated blocks or memory, however often it is repeated."""

import os
import subprocess
import sys
from pathlib import Path

import growth
import pytest

TIMES = int(os.environ.get("FASTSIG_TEST_TIMES", "3000"))

pytestmark = pytest.mark.skipif(
    not (hasattr(sys, "getallocatedblocks") and Path("/proc/self/statm").exists()),
    reason="what is there is not counted here",
)


@pytest.mark.parametrize("work", growth.WORKS)
def test_growth(environment, work):
    done = subprocess.run(
        [sys.executable, Path(growth.__file__), work, str(TIMES)],
        env={**environment, "FASTSIG_CELERY": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60 + TIMES / 100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
