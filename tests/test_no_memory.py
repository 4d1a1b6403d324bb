"""Allocations that fail, one after the other: every operation is done or not done, never half."""

import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 12):  # a generator expression is enough for that, with 3.12 and 3.13
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
