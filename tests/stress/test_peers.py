"""What is known to go wrong with the peers goes right here, and still does go wrong there.

Where the second half fails, the peer has mended it: then `peers` says from which version on.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

import peers
import pytest

CASES = peers.CASES
CASES_OF_PEERS = [(peer, name) for name, case in CASES.items() for peer in case.peers]
FILE = Path(peers.__file__)
WRONG = (
    *(AssertionError, AttributeError, RuntimeError, TypeError, ValueError),
    subprocess.SubprocessError,  # it hung, or its child did
)


def do(name, Signal, peer="fastsig", environment=None, seconds=60):
    """Go through a case, in a process of its own if it may hang."""
    case = CASES[name]
    if case.counted and not hasattr(sys, "getrefcount"):
        pytest.skip("needs reference counts")
    if not case.hangs:
        case(Signal)
        return
    if not hasattr(os, "fork"):
        pytest.skip("needs what POSIX has")
    command = [sys.executable, "-W", "ignore", FILE, peer, name]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=seconds)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    for name in ("fastsig", "celery.utils.dispatch.signal", "django.dispatch"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.id_reuse if "dead_one" in name else ())
        for name in CASES
    ],
)
def test_goes_right(Signal, environment, name):
    do(name, Signal, environment=environment)


@pytest.mark.other_library
@pytest.mark.parametrize(("peer", "name"), CASES_OF_PEERS)
def test_goes_wrong(peer, name):
    pytest.importorskip(peer.removesuffix("_fast"))
    Signal = peers.PEERS[peer]()
    if peers.version(peer) >= CASES[name].peers[peer]:
        do(name, Signal, peer)
        return
    with pytest.raises(WRONG):
        do(name, Signal, peer, seconds=4)
