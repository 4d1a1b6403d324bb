"""Failing allocations: each operation happens completely or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest
from cores import FREE_THREADED

if FREE_THREADED:  # 3.13 does; newer ones were not tried
    pytest.skip("this interpreter itself crashes without memory", allow_module_level=True)
if sys.implementation.name != "cpython":
    pytest.skip("nothing here makes allocations fail", allow_module_level=True)
pytest.importorskip("_testcapi", reason="nothing here makes allocations fail")

import no_memory


@pytest.mark.parametrize("operation", no_memory.OPERATIONS)
def test_no_memory(environment, operation):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", Path(no_memory.__file__), operation],
        env={**environment, "FASTSIG_CELERY": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
