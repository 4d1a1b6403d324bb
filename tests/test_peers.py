"""What is known to go wrong with Celery's own class goes right here, and still does go wrong there.

Where the second half fails, Celery has mended it: then it may be dropped, and the README with it.
"""

import logging
import os
import subprocess
import sys
import weakref

import pytest

dispatch = pytest.importorskip("celery.utils.dispatch.signal")


def handler(**kwargs):
    return 1


class Plain:
    def __call__(self, **kwargs):
        return 1


def id_reuse(Signal):
    signal = Signal()
    for _ in range(100):
        one = Plain()
        signal.connect(handler, sender=one)
        del one
        fresh = [Plain() for _ in range(100)]
        assert not any(map(signal.send, fresh))


def residue(Signal):
    """Connecting and disconnecting leaves nothing behind: Celery, a finalizer each time."""
    signal = Signal()
    finalizers = len(weakref.finalize._registry)
    for _ in range(100):
        signal.connect(handler)
        signal.disconnect(handler)
    assert len(weakref.finalize._registry) == finalizers


def a_receiver_keeps_no_signal(Signal):
    """Celery's finalizers refer to the signal."""
    signal = Signal()
    signal.connect(handler)
    dead = weakref.ref(signal)
    del signal
    assert dead() is None


def unhashable_sender(Signal):
    signal = Signal()
    signal.connect(handler)
    assert len(signal.send([])) == 1


def no_sender_with_caching(Signal):
    signal = Signal(use_caching=True)
    signal.connect(handler)
    assert len(signal.send(None)) == len(signal.send("s")) == 1


def failures_are_in_no_cycle(Signal):
    """Else the receiver lives on, and all that its frames refer to."""
    signal, receiver = Signal(), Plain()
    dead = weakref.ref(receiver)

    @signal.connect
    def bad(mine=receiver, **kwargs):
        raise ValueError

    del receiver
    signal.send(None)
    signal.disconnect(bad)
    del bad
    assert dead() is None


def without_keywords(Signal):
    signal = Signal()
    receiver = signal.connect(lambda a: a)
    assert signal.send(None, a=1, b=2) == [(receiver, 1)]


CASES = [
    id_reuse,
    residue,
    a_receiver_keeps_no_signal,
    unhashable_sender,
    no_sender_with_caching,
    failures_are_in_no_cycle,
    without_keywords,
]
COUNTED = [id_reuse, a_receiver_keeps_no_signal, failures_are_in_no_cycle]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    for name in ("fastsig", dispatch.logger.name):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)


@pytest.mark.parametrize("case", CASES)
def test_goes_right(Signal, case):
    if case in COUNTED and not hasattr(sys, "getrefcount"):
        pytest.skip("needs reference counts")
    case(Signal)


@pytest.mark.parametrize("case", CASES)
def test_goes_wrong_with_celery(case):
    if case in COUNTED and not hasattr(sys, "getrefcount"):
        pytest.skip("needs reference counts")
    with pytest.raises((AssertionError, TypeError, ValueError)):
        case(dispatch.Signal)


FINALIZER = """
import gc
signal = Signal()
def handler(**kwargs): pass
class Noisy:
    def __init__(self): self.me = self
    def __del__(self): signal.disconnect(handler)
class Uid:
    def __hash__(self): return 1
    def __eq__(self, other):
        Noisy()
        gc.collect()  # as any allocation might
        return True
signal.connect(handler, dispatch_uid=Uid())
signal.connect(handler, dispatch_uid=Uid())
"""
FORK = """
import os, threading
signal = Signal()
def handler(**kwargs): pass
inside, go_on = threading.Event(), threading.Event()
class Uid:
    def __hash__(self): return 1
    def __eq__(self, other):
        inside.set()
        go_on.wait()
        return True
signal.connect(handler, dispatch_uid=Uid())
threading.Thread(target=signal.connect, args=(handler,), kwargs={"dispatch_uid": Uid()}).start()
inside.wait()
pid = os.fork()
if not pid:
    import signal as os_signals
    os_signals.alarm(2)
    signal.connect(handler, sender="s")
    signal.send("s")
    os._exit(0)
go_on.set()
os._exit(os.waitpid(pid, 0)[1] and 1)
"""


def hangs(program, module, environment):
    source = f"from {module} import Signal\n{program}"
    command = [sys.executable, "-W", "ignore", "-c", source]
    try:
        done = subprocess.run(command, env=environment, check=False, timeout=4)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs what POSIX has")
@pytest.mark.parametrize("program", [FINALIZER, FORK], ids=["finalizer", "fork"])
def test_does_not_hang(environment, program):
    assert not hangs(program, "fastsig", environment)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs what POSIX has")
@pytest.mark.parametrize("program", [FINALIZER, FORK], ids=["finalizer", "fork"])
def test_hangs_with_celery(program):
    assert hangs(program, "celery.utils.dispatch.signal", None)
