"""Lifetimes: weakrefs, garbage collection, memory, forks, threads, interpreter exit."""

import contextlib
import functools
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest


class Listener:
    def method(self, **kwargs):
        return "method"

    def __call__(self, **kwargs):
        return "called"


class Sender:
    pass


def make(shape):
    """Return a receiver, and the object that keeps it alive."""
    if shape == "function":
        receiver = lambda **kwargs: None  # noqa: E731
        return receiver, receiver
    if shape == "closure":
        receiver = lambda **kwargs: receiver and None  # noqa: E731
        return receiver, receiver
    if shape == "partial":
        receiver = functools.partial(lambda **kwargs: None)
        return receiver, receiver
    listener = Listener()
    return (listener.method if shape == "method" else listener), listener


SHAPES = ["function", "closure", "partial", "method", "object"]


@pytest.mark.parametrize("shape", SHAPES)
class TestReceivers:
    def test_weakref_by_default(self, signal, collect, shape):
        receiver, owner = make(shape)
        signal.connect(receiver)
        assert len(signal.send(None)) == 1
        dead = weakref.ref(owner)
        del receiver, owner
        collect()
        assert dead() is None
        assert signal.send(None) == []
        assert signal.receivers == []

    def test_garbage_collected_during_a_send(self, signal, collect, shape):
        kept = [make(shape)]

        @signal.connect
        def first(**kwargs):
            kept.clear()
            collect()

        signal.connect(kept[0][0])
        signal.send(None)
        kept.append(make(shape))
        signal.connect(kept[0][0])
        assert signal.send(None) == [(first, None)]
        assert signal.has_listeners()
        assert len(signal.receivers) == 1

    def test_no_weakref_if_weak_is_false(self, signal, collect, shape):
        receiver, owner = make(shape)
        signal.connect(receiver, weak=False)
        alive = weakref.ref(owner)
        del receiver, owner
        collect()
        assert len(signal.send(None)) == 1
        signal.receivers[:] = []
        signal.send(None)
        collect()
        assert alive() is None

    @pytest.mark.parametrize("own_table", [True, False])
    @pytest.mark.parametrize("senders", [[None], ["s"], [None, "s"]], ids=str)
    def test_garbage_collected_once_it_is_disconnected(
        self, signal, collect, shape, own_table, senders
    ):
        if not own_table:
            signal.receivers = []
        receiver, owner = make(shape)
        for sender in senders:
            signal.connect(receiver, sender, weak=False)
            signal.send(sender)
        for sender in senders:
            assert signal.disconnect(receiver, sender)
        dead = weakref.ref(owner)
        del receiver, owner
        collect()
        assert dead() is None

    def test_garbage_collected_receivers_are_purged_by_the_next_operation(
        self, signal, collect, shape
    ):
        for operation in (
            lambda: signal.send(None),
            signal.has_listeners,
            lambda: signal.disconnect(print),
            lambda: signal.connect(test_weakref_callback_that_uses_the_signal),
        ):
            receiver, owner = make(shape)
            signal.connect(receiver)
            del receiver, owner
            collect()
            operation()
            signal.disconnect(test_weakref_callback_that_uses_the_signal)
            assert signal.receivers == []

    def test_garbage_cycle_with_the_signal(self, Signal, collect, shape):
        signal = Signal()
        receiver, owner = make(shape)
        for weak in (True, False):
            signal.connect(receiver, weak=weak, dispatch_uid=str(weak))
        if shape != "partial":
            owner.signal = signal
        signal.send(None)
        dead = [weakref.ref(owner), weakref.ref(signal)]
        del receiver, owner, signal
        collect()
        assert [reference() for reference in dead] == [None, None]


def test_weakref_dies_while_another_receiver_is_called(signal):
    """A send keeps only those receivers alive that it has called."""
    if not hasattr(sys, "getrefcount"):
        pytest.skip("this interpreter does not count references")
    listener = Listener()

    @signal.connect
    def clear(**kwargs):
        signal.receivers.clear()
        signal.has_listeners()

    signal.connect(listener.method)
    signal.connect(listener.method, sender="s", weak=False)
    signal.has_listeners()
    dead = weakref.ref(listener)
    del listener
    assert signal.send(None) == [(clear, None)]
    assert dead() is None


def test_weakref_to_a_method_dies_with_its_function(signal, collect):
    class Changing:
        pass

    def first(self, **kwargs):
        return 1

    Changing.method = first
    listener = Changing()
    signal.connect(listener.method)
    assert [response for _, response in signal.send(None)] == [1]
    Changing.method = None
    del first
    collect()
    assert signal.send(None) == []
    assert signal.receivers == []


def test_signal_dies_without_garbage_collection(Signal):
    if not hasattr(sys, "getrefcount"):
        pytest.skip("this interpreter does not count references")
    signal = Signal()
    listener = Listener()
    signal.connect(listener.method)
    signal.connect(listener, sender=listener)
    signal.send(listener, value=1)
    dead = weakref.ref(signal)
    gc.disable()
    try:
        del signal
        assert dead() is None
    finally:
        gc.enable()


class Unweak:
    """A sender that cannot be weakly referenced, but refers to an object that can."""

    __slots__ = ("held",)

    def __init__(self):
        self.held = Listener()


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs reference counts")
@pytest.mark.parametrize("assigned", [False, True])
def test_sender_without_weakref_is_released_at_once(signal, assigned):
    if assigned:
        signal.receivers = []
    listener, sender = Listener(), Unweak()
    held = weakref.ref(sender.held)
    signal.connect(listener, sender=sender)
    signal.connect(listener.method, sender=sender)
    signal.send(sender)
    assert signal.disconnect(listener, sender=sender)
    assert len(signal.send(sender)) == 1
    assert signal.disconnect(listener.method, sender=sender)
    del sender
    assert held() is None


@pytest.mark.skipif(not hasattr(sys, "getallocatedblocks"), reason="does not count blocks")
def test_many_senders_are_garbage_collected_together(signal):
    """Their ids no longer match, and their connections are removed."""
    listener = Listener()
    signal.connect(listener)

    def live():
        senders = [Sender() for _ in range(1000)]
        for sender in senders:
            signal.connect(listener, sender=sender)
        assert all(len(signal.send(sender)) == 2 for sender in senders)

    signal.send(None)
    gc.collect()
    before = sys.getallocatedblocks()
    live()
    assert len(signal.send(None)) == len(signal.receivers) == 1
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


def test_signal_is_garbage_collected_while_it_sends(Signal):
    signals = [Signal()]

    def receiver(**kwargs):
        signals.clear()
        gc.collect()
        return 1

    signals[0].connect(receiver)
    assert signals[0].send(None) == [(receiver, 1)]


def test_weakref_callback_that_uses_the_signal(signal):
    """A callback that uses the signal while its receiver dies."""
    seen = []
    for _ in range(50):
        listener = Listener()

        def callback(reference, seen=seen):
            signal.connect(test_weakref_callback_that_uses_the_signal, sender="s")
            seen.append(signal.send(None))
            signal.disconnect(test_weakref_callback_that_uses_the_signal, sender="s")

        reference = weakref.ref(listener, callback)
        signal.connect(listener.method)
        del listener
        del reference
    gc.collect()
    assert signal.send(None) == []
    assert all(result == [] for result in seen)


@pytest.mark.skipif(not hasattr(gc, "get_threshold"), reason="no threshold makes it collect")
def test_garbage_collection_runs_a_finalizer_that_uses_the_signal(signal, collect):
    """Celery and Django hang here: their lock is held when the collector runs ``__del__``."""

    def handler(**kwargs):
        return 1

    class Noisy:
        def __init__(self):
            self.me = self  # only the collector frees it

        def __del__(self):
            signal.disconnect(handler, sender="d")
            signal.connect(handler, sender="d")
            signal.send("d")

        def method(self, **kwargs):
            return 2

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            noisy = Noisy()
            signal.connect(noisy.method)
            signal.send(None, value=1)
    finally:
        gc.set_threshold(*threshold)
    del noisy
    collect()
    assert len(signal.send("d")) == 1
    assert signal.send(None) == []
    assert len(signal.receivers) == 1


class Uid:
    """A `dispatch_uid` that does something when it is compared, or when it is freed."""

    def __init__(self, compared=None, freed=None):
        self.compared, self.freed = compared, freed

    def __hash__(self):
        return 1

    def __eq__(self, other):
        for uid in (self, other):
            if getattr(uid, "compared", None):
                uid.compared()
        return self is other

    def __del__(self):
        if self.freed:
            self.freed()


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
@pytest.mark.parametrize("own_table", [True, False])
@pytest.mark.parametrize("cyclic", [True, False])
@pytest.mark.parametrize("tells", ["finalizer", "callback"])
@pytest.mark.parametrize("when", ["connecting", "disconnecting", "purging", "sending", "assigning"])
@pytest.mark.parametrize("shape", SHAPES)
def test_garbage_collected_in_the_middle_of_an_operation(
    signal, shape, when, tells, cyclic, own_table
):
    """A weakref callback uses the signal in the middle of another operation."""
    doomed, seen = [make(shape)], []

    def stable(**kwargs):
        return "stable"

    def late(**kwargs):
        return "late"

    def killer(**kwargs):
        die()

    def die():
        if doomed:
            doomed.clear()
            gc.collect(0)

    def use(reference=None):
        signal.connect(late, sender="s")
        seen.append([response for _, response in signal.send("s", value=1)])
        assert signal.disconnect(late, sender="s")
        signal.send("s", value=1)

    class Last:
        def __del__(self):
            use()

    if not own_table:
        signal.receivers = []
    owner = doomed[0][1]
    dead = weakref.ref(owner)
    callbacks = [weakref.ref(owner, use)] if tells == "callback" else []
    signal.connect(stable, dispatch_uid=Uid())
    signal.connect(killer, sender="killer")
    signal.connect(doomed[0][0])
    if tells == "callback":
        callbacks.append(weakref.ref(owner, use))  # it is called before that of the signal
    else:
        owner.last = Last()
    owner.signal = signal
    if cyclic:
        owner.me = owner
    del owner
    signal.send("s", value=1)
    if when == "connecting":
        signal.connect(late, dispatch_uid=Uid(die))
        del signal.receivers[-1]
    elif when == "disconnecting":
        assert not signal.disconnect(dispatch_uid=Uid(die))
    elif when == "purging":
        signal.connect(Listener(), dispatch_uid=Uid(freed=die))
        signal.has_listeners()
    elif when == "sending":
        signal.send("killer", value=1)
    else:
        kept = signal.receivers[:2]
        signal.connect(late, dispatch_uid=Uid(freed=die))
        signal.receivers.reverse()
        signal.send("s", value=1)  # the table alone refers to that uid now
        signal.receivers = kept
    assert dead() is None
    assert seen == [["stable", "late"]] * (1 + len(callbacks) // 2)
    assert [response for _, response in signal.send("s", value=1)] == ["stable"]
    assert len(signal.receivers) == 2


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
def test_dispatch_uid_freed_with_the_old_table_finds_the_new_one(signal):
    listener, seen = Listener(), []
    signal.connect(listener, dispatch_uid=Uid(freed=lambda: seen.append(signal.send("s"))))
    signal.receivers.reverse()
    assert len(signal.send("s")) == 1  # the table alone refers to the uid now
    signal.receivers = []
    assert seen == [[]]


def test_garbage_of_a_changed_table(signal):
    """The last reference to a receiver is the table's, and its ``__del__`` uses the signal."""
    seen = []

    class Noisy:
        def __call__(self, **kwargs):
            pass

        def __del__(self):
            signal.connect(test_weakref_to_a_method_dies_with_its_function)
            seen.append(len(signal.send("other")))
            signal.disconnect(test_weakref_to_a_method_dies_with_its_function)

    for change in (
        lambda: signal.disconnect(dispatch_uid="uid"),
        lambda: signal.receivers.clear(),
        lambda: setattr(signal, "receivers", []),
        lambda: signal.receivers.pop(),
    ):
        signal.connect(Noisy(), weak=False, dispatch_uid="uid")
        signal.send(None)
        change()
        signal.send(None)
        gc.collect()
        assert signal.receivers == []
    assert len(seen) == 4


@pytest.mark.parametrize("assigned", [False, True])
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="there are no reference counts")
def test_signal_is_in_no_garbage_cycle(Signal, assigned):
    """It dies with its receivers as soon as nothing refers to it, without the collector."""
    signal, listener = Signal(), Listener()
    if assigned:
        signal.receivers = []
    strong = Listener()
    died = [weakref.ref(signal), weakref.ref(strong)]
    signal.connect(strong, weak=False)
    signal.connect(listener.method)
    signal.connect(listener, sender=listener)
    gc.collect()
    gc.disable()
    try:
        signal.send(None, value=1)
        signal.send(listener, value=1)
        del signal, strong
        assert [reference() for reference in died] == [None, None]
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs reference counts")
@pytest.mark.parametrize("end", [None, KeyboardInterrupt])
def test_failed_receivers_die_without_garbage_collection(signal, monkeypatch, end):
    """Their exceptions have tracebacks, which have frames; these must not form a cycle."""

    def make():
        def bad(**kwargs):
            raise ValueError

        return bad

    def last(**kwargs):
        if end:
            raise end

    monkeypatch.setattr(logging.getLogger("fastsig"), "disabled", True)
    bad = make()
    signal.connect(bad)
    signal.connect(last)
    gc.disable()
    try:
        with pytest.raises(end) if end else contextlib.nullcontext():
            signal.send(None, value=1)
        dead = weakref.ref(bad)
        del bad
        assert dead() is None
    finally:
        gc.enable()


class TestNoGrowth:
    """Sends and connections do not leak."""

    def grown(self, work, warm_up=300, times=3000):
        tracemalloc = pytest.importorskip("tracemalloc", reason="no memory is traced here")
        for _ in range(warm_up):
            work()
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(warm_up):
                work()
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(times):
                work()
            gc.collect()
            return (tracemalloc.get_traced_memory()[0] - before) / times
        finally:
            tracemalloc.stop()

    def test_sends(self, signal):
        listener = Listener()
        signal.connect(listener.method)
        signal.connect(listener)
        assert self.grown(lambda: signal.send("s", value=1)) < 1

    @pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
    def test_failures_make_no_garbage_cycle(self, signal, caplog):
        class Failure(Exception):
            pass

        @signal.connect
        def receiver(**kwargs):
            raise Failure

        caplog.set_level("CRITICAL")
        gc.collect()
        gc.disable()
        try:
            died = [weakref.ref(signal.send("s", value=1)[0][1]) for _ in range(3)]
            assert [reference() for reference in died] == [None] * 3
        finally:
            gc.enable()

    def test_call_shapes(self, signal):
        signal.connect(Listener(), weak=False)
        names = iter(range(10**9))
        assert self.grown(lambda: signal.send("s", **{f"name{next(names)}": 1})) < 1

    def test_senders(self, signal):
        signal.connect(Listener(), weak=False, sender="s")
        signal.connect(Listener(), weak=False)
        assert self.grown(lambda: signal.send(Listener())) < 1
        names = iter(range(10**9))
        assert self.grown(lambda: signal.send(f"sender{next(names)}")) < 1

    @pytest.mark.parametrize("sender", [None, "s", Listener, object], ids=str)
    def test_connecting_and_disconnecting(self, signal, sender):
        listener = Listener()

        def work():
            new = sender() if isinstance(sender, type) else sender
            signal.connect(listener.method, sender=new)
            signal.send(new)
            assert signal.disconnect(listener.method, sender=new)

        assert self.grown(work) < 1

    def test_dying_receivers(self, signal):
        def work():
            listener = Listener()
            signal.connect(listener.method, sender=listener)
            signal.send(listener)

        assert self.grown(work) < 1

    def test_failing_receivers(self, signal):
        @signal.connect
        def bad(value):
            raise ValueError(value)

        logging.getLogger("fastsig").disabled = True
        try:
            assert self.grown(lambda: signal.send(None, value="x" * 1000), times=1000) < 4
        finally:
            logging.getLogger("fastsig").disabled = False

    def test_allocated_blocks_after_garbage_collection(self, signal):
        if not hasattr(sys, "getallocatedblocks"):
            pytest.skip("this interpreter does not count blocks")
        listener = Listener()
        signal.connect(listener.method)

        def blocks():
            for _ in range(2000):
                signal.send("s", value=1)
            gc.collect()
            return sys.getallocatedblocks()

        blocks()
        assert abs(blocks() - blocks()) < 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("before", ["", "import logging"])
def test_first_fork_while_a_thread_imports(run, before):
    """Parent and child can log, and neither logs anything unexpected."""
    run(f"""
        import os, sys
        {before}
        import fastsig
        assert bool({before!r}) == ("logging" in sys.modules)
        sys.unraisablehook = lambda unraisable: os._exit(3)
        for _ in range(2):
            child = os.fork()
            import logging, threading
            thread = threading.Thread(
                target=logging.getLogger("new").error, args=["not locked"], daemon=True
            )
            thread.start()
            thread.join(10)
            if thread.is_alive():
                os._exit(4)
            if not child:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    """)


@pytest.mark.threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_imports_nothing(Signal, monkeypatch):
    """Modules are imported before the fork, since another thread may hold their import lock."""
    monkeypatch.delitem(sys.modules, "inspect")
    child = os.fork()
    if not child:
        os._exit("inspect" not in sys.modules)
    assert os.waitpid(child, 0)[1] == 0
    assert "inspect" in sys.modules


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_threads_use_the_signal(environment):
    """A forked child never hangs, whatever the threads of its parent are doing."""
    program = """
import gc, os, sys, threading, time
from fastsig import Signal

signal, stop = Signal(), False

class Listener:
    def method(self, **kwargs):
        pass

def work(n):
    while not stop:
        listener = Listener()
        signal.connect(listener.method, sender=n)
        signal.send(n, value=1)
        signal.disconnect(listener.method, sender=n)
        signal.send(None)

threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(4)]
for thread in threads:
    thread.start()
sys.setswitchinterval(1e-6)
for i in range(100):
    pid = os.fork()
    if not pid:
        def handler(**kwargs):
            return 1
        signal.connect(handler)
        fine = any(response == 1 for _, response in signal.send("child", value=2))
        os._exit(0 if fine and signal.disconnect(handler) else 1)
    deadline = time.monotonic() + 20
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, status
            break
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            sys.exit("a child hangs")
        time.sleep(0.0005)
stop = True
for thread in threads:
    thread.join()
"""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=environment, check=True, timeout=120
    )


@pytest.mark.threads
@pytest.mark.not_traced
def test_threads(signal):
    """Each send calls receivers that stay connected exactly once, while threads change others."""
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    problems, stop = [], threading.Event()
    stable = [functools.partial(lambda n, **kwargs: n, n) for n in range(5)]
    for receiver in stable:
        signal.connect(receiver)

    def change():
        while not stop.is_set():
            listener = Listener()
            signal.connect(listener.method)
            signal.connect(listener, sender=listener)
            signal.send(listener)
            signal.disconnect(listener.method)
            del listener

    def send(name):
        while not stop.is_set():
            got = [response for _, response in signal.send(None, **{name: 1})]
            if [response for response in got if isinstance(response, int)] != list(range(5)):
                problems.append(got)

    targets = [change, change, lambda: send("a"), lambda: send("b")]
    threads = [threading.Thread(target=target) for target in targets]
    try:
        for thread in threads:
            thread.start()
        stop.wait(2)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        sys.setswitchinterval(switch)
    assert not problems
    assert not any(thread.is_alive() for thread in threads)
    gc.collect()
    signal.send(None)
    assert len(signal.receivers) == len(stable)


EXITS = {
    "a daemon thread is in a receiver": """
        def wait(**kwargs):
            begun.set()
            while True:
                time.sleep(0.001)

        signal.connect(wait, sender="daemon")
        threading.Thread(target=signal.send, args=("daemon",), daemon=True).start()
        begun.wait()
        atexit.register(tell, signal)
    """,
    "a daemon thread sends": """
        def forever():
            while True:
                signal.send("daemon", value=1)
                begun.set()

        signal.connect(receiver)
        threading.Thread(target=forever, daemon=True).start()
        begun.wait()
        atexit.register(tell, signal)
    """,
    "a daemon thread connects": """
        def forever():
            while True:
                use(signal, "daemon")
                begun.set()

        threading.Thread(target=forever, daemon=True).start()
        begun.wait()
        atexit.register(tell, signal)
    """,
    "a receiver exits": """
        def leave(**kwargs):
            sys.exit(3)

        signal.connect(leave, sender="leave")
        noisy = Noisy()
        signal.send("leave")
    """,
    "atexit": """
        atexit.register(tell, signal)
    """,
    "in a cycle": """
        noisy = Noisy()
        noisy.me = noisy
    """,
    "a receiver": """
        signal.connect(Noisy(), weak=False)
    """,
    "once modules are cleared": """
        sys.kept = sys.modules["__main__"]
        noisy = Noisy()
    """,
    "a callback once modules are cleared": """
        sys.kept = sys.modules["__main__"], weakref.ref(begun, functools.partial(tell, signal))
    """,
}


@pytest.mark.parametrize("development", ["0", "1"])
@pytest.mark.parametrize("program", EXITS.values(), ids=EXITS)
def test_interpreter_exit_while_threads_use_the_signal(environment, program, development):
    """Threads, finalizers and callbacks use the signal while the interpreter exits."""
    prelude = """
import atexit, functools, os, sys, threading, time, weakref
from fastsig import Signal

signal, begun = Signal(), threading.Event()

def receiver(**kwargs):
    return 1

def use(signal, sender="s", receiver=receiver):
    signal.connect(receiver, sender=sender)
    responses = signal.send(sender, value=1)
    return len(responses) - len(signal.send(sender, a=1)) + signal.disconnect(receiver, sender)

def tell(signal, reference=None, use=use, write=os.write):
    write(1, b"used" if use(signal) == 1 else b"wrong")

class Noisy:
    def __init__(self):
        self.signal = signal

    def __call__(self, **kwargs):
        pass

    def __del__(self, tell=tell):
        tell(self.signal)
"""
    done = subprocess.run(
        [sys.executable, "-c", f"{prelude}{textwrap.dedent(program)}\nsys.exit(3)"],
        env={**environment, "FASTSIG_DEBUG": development},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (3, "")
    if sys.implementation.name == "cpython":  # PyPy does not finalize what is left
        assert done.stdout == "used"
