"""Django's signals in threads and forks, on fastsig's engine."""

import os

import pytest

pytest.importorskip("django")

pytestmark = pytest.mark.threads


def test_threads(run_django):
    run_django("""
import threading, time
signal = Signal(use_caching=True)
wrong, stop = [], threading.Event()
sends = [0, 0]

class One: pass
class Two: pass

def for_one(**kwargs): return "one"
def for_two(**kwargs): return "two"
def for_any(**kwargs): return "any"

signal.connect(for_one, sender=One)
signal.connect(for_two, sender=Two)

def guarded(function):
    def run(*args):
        try:
            while not stop.is_set():
                function(*args)
        except BaseException as error:
            wrong.append(repr(error))
            raise
    return run

@guarded
def send(place, sender, own, other):
    found = [response for _, response in signal.send(sender=sender, x=1)]
    sends[place] += 1
    if own not in found or other in found or found.count(own) != 1:
        wrong.append((sender, found))

@guarded
def connect():
    signal.connect(for_any)
    signal.disconnect(for_any)

@guarded
def die():
    def local(**kwargs): return "local"
    signal.connect(local)
    signal.connect(local, sender=One)
    del local

@guarded
def assign():
    with signal.lock:
        signal.receivers = [*signal.receivers]
        signal.sender_receivers_cache.clear()
    time.sleep(0.001)

threads = [
    threading.Thread(target=send, args=(0, One, "one", "two")),
    threading.Thread(target=send, args=(1, Two, "two", "one")),
    threading.Thread(target=connect), threading.Thread(target=die), threading.Thread(target=assign),
]
for thread in threads: thread.start()
time.sleep(2)
stop.set()
for thread in threads: thread.join(30)
assert not any(thread.is_alive() for thread in threads)
assert not wrong, wrong[:5]
assert all(sends), sends
signal.disconnect(for_any)
assert len(signal.send(One)) in (1, 2) and signal.has_listeners(Two)
""")


def test_many_threads_adopt_one_signal(run_django):
    run_django("""
import sys, threading
sys.setswitchinterval(1e-6)
def receiver(**kwargs): return 1
def another(**kwargs): return 2
for _ in range(200):
    signal = Signal()
    barrier = threading.Barrier(3)
    found = []

    def send():
        barrier.wait()
        found.append(signal.send(None))

    def connect():
        barrier.wait()
        signal.connect(receiver)
        signal.connect(another)

    threads = [threading.Thread(target=f) for f in (send, connect, send)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert [each[1] for each in signal.send(None)] == [1, 2]
    assert len(found) == 2
""")


def test_another_thread_uninstalls(run_django):
    run_django("""
import fastsig.django.face as face
from threading import Lock

class UninstallingLock:
    def __init__(self): self.lock, self.entered = Lock(), False
    def acquire(self, *args): return self.lock.acquire(*args)
    def release(self): self.lock.release()
    def __enter__(self):
        if not self.entered:
            self.entered = True
            fastsig.django.uninstall()
        self.lock.acquire()
    def __exit__(self, *args): self.lock.release()

def receiver(**kwargs): return 1

# In the middle of `connect`, and of `disconnect`.
signal = Signal()
signal.send(None)
for disconnects in (False, True):
    fastsig.django.install()
    signal.lock = UninstallingLock()
    if disconnects:
        assert signal.disconnect(receiver)
    else:
        signal.connect(receiver)
    assert signal.lock.entered and not fastsig.django.installed()
    expected = [] if disconnects else [(receiver, 1)]
    assert signal.send(None) == expected
    fastsig.django.install()
    assert signal.send(None) == expected

# In the middle of an adoption.
def make_engine():
    fastsig.django.uninstall()
    return Engine()

Engine, face.Engine = face.Engine, make_engine
signal = Signal()
signal.connect(receiver)
face.Engine = Engine
assert "_fastsig" not in vars(signal) and type(signal.receivers) is list
assert signal.send(None) == [(receiver, 1)]
fastsig.django.install()
assert signal.send(None) == [(receiver, 1)]
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forks(run_django):
    run_django("""
import os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
signal = Signal()
stop = threading.Event()
def receiver(**kwargs): return 1
def another(**kwargs): return 2
signal.connect(receiver)

def busy():
    other = Signal()
    while not stop.is_set():
        other.connect(another)
        other.send(None)
        other.disconnect(another)

thread = threading.Thread(target=busy)
thread.start()
try:
    for _ in range(20):
        child = os.fork()
        if not child:
            signal.connect(another)
            os._exit([each[1] for each in signal.send(None)] != [1, 2])
        assert os.waitpid(child, 0)[1] == 0
finally:
    stop.set()
    thread.join()
assert [each[1] for each in signal.send(None)] == [1]
""")


def test_exit(run_django):
    """Receivers that die, and signals that are sent, while the interpreter exits."""
    out = run_django("""
import weakref
class Sends:
    def __del__(self): post_save.send(Article, x=1)
    def method(self, **kwargs): pass
def receiver(**kwargs): pass
post_save.connect(receiver)
kept = Sends()
post_save.connect(kept.method)
post_save.send(Article)
kept.itself = kept
sys.modules["keep"] = kept
""")
    assert out == ""
