"""Muting: in this context only, nested, sync and async, as context manager and decorator."""

import asyncio
import contextlib
import contextvars
import gc
import os
import threading
import weakref

import pytest


def test_a_block(signal, called):
    with signal.muted():
        assert signal.send(None, pk=1) == []
        assert signal.send_robust(sender="a", pk=1) == []
    assert called.take() == []
    assert [response for _, response in signal.send(None, pk=1)] == ["first", "second"]


def test_receivers_are_untouched(signal, called):
    before = list(signal.receivers)
    with signal.muted():
        assert list(signal.receivers) == before
        assert signal.has_listeners()
        late = lambda **named: "late"  # noqa: E731
        signal.connect(late)
    assert len(signal.receivers) == 3
    assert [response for _, response in signal.send(None, pk=1)][2] == "late"


def test_several_signals(fastsig, make_signal):
    signals = [make_signal(name=name) for name in "abc"]
    called = []

    def receiver(signal, **named):
        called.append(signal.name)

    for signal in signals:
        signal.connect(receiver)
    with fastsig.muted(*signals[:2], signals[0]):
        for signal in signals:
            signal.send(None)
    assert called == ["c"]


def test_a_sender(fastsig, signal, called):
    with fastsig.muted(signal, sender="a"):
        signal.send("a", pk=1)
        assert called.take() == []
        signal.send("b", pk=1)
        signal.send(None, pk=1)
        assert called.take() == ["first", "second"] * 2
    sender = object()
    with signal.muted(sender=sender):
        assert signal.send(sender, pk=1) == []
        assert len(signal.send(object(), pk=1)) == 2


def test_a_task_and_its_name_are_one_sender(signal, called):
    class Task:
        name = "proj.add"

        def apply_async(self):
            pass

    task = Task()
    with signal.muted(sender="proj.add"):
        assert signal.send(task, pk=1) == signal.send("proj.add", pk=1) == []
        assert len(signal.send("proj.mul", pk=1)) == 2
    with signal.muted(sender=task):
        assert signal.send(task, pk=1) == signal.send("proj.add", pk=1) == []


def test_a_receiver(signal, called):
    with signal.muted(receiver=called.first):
        assert [response for _, response in signal.send(None, pk=1)] == ["second"]
    with signal.muted(receiver=called.first), signal.muted(receiver=called.second):
        assert signal.send(None, pk=1) == []


def test_a_receiver_that_is_a_method(signal):
    class Index:
        def add(self, pk):
            return self

    one, other = Index(), Index()
    signal.connect(one.add)
    signal.connect(other.add, dispatch_uid="other")
    with signal.muted(receiver=other.add):
        assert [response for _, response in signal.send(None, pk=1)] == [one]


def test_a_receiver_with_retry_or_once(signal):
    def receiver(pk):
        return pk

    retrying = signal.connect(receiver, retry=True)
    for meant in (receiver, retrying):
        with signal.muted(receiver=meant):
            assert signal.send(None, pk=1) == []
    signal.disconnect(receiver)
    signal.connect(receiver, once=True)
    with signal.muted():
        signal.send(None, pk=1)
    assert [response for _, response in signal.send(None, pk=2)] == [2]


def test_nesting(signal, called):
    with signal.muted():
        with signal.muted():
            assert signal.send(None, pk=1) == []
        assert signal.send(None, pk=1) == []
        with signal.muted(sender="a"):
            assert signal.send("b", pk=1) == []
        assert signal.send(None, pk=1) == []
    assert len(signal.send(None, pk=1)) == 2


def test_one_object_nests_and_is_used_again(fastsig, signal, called):
    quiet = fastsig.muted(signal)
    for _ in range(2):
        with quiet:
            with quiet:
                assert signal.send(None, pk=1) == []
            assert signal.send(None, pk=1) == []
        assert len(signal.send(None, pk=1)) == 2


def test_an_exception_ends_it(signal, called):
    with pytest.raises(KeyError), signal.muted():
        raise KeyError
    assert len(signal.send(None, pk=1)) == 2


def test_a_receiver_that_mutes(signal, called):
    """The send goes on as it was when it began."""

    def mutes(**named):
        block.__enter__()

    block = signal.muted()
    signal.receivers.insert(0, ((0, id(None)), mutes))
    assert len(signal.send(None, pk=1)) == 3
    assert signal.send(None, pk=1) == []
    block.__exit__(None, None, None)
    signal.receivers.pop(0)
    assert len(signal.send(None, pk=1)) == 2


class TestDecorator:
    def test_function(self, fastsig, signal, called):
        @fastsig.muted(signal)
        def quiet(number, *, word):
            """Documented."""
            return number, word, signal.send(None, pk=1)

        assert quiet(1, word="a") == (1, "a", [])
        assert (quiet.__name__, quiet.__doc__) == ("quiet", "Documented.")
        assert len(signal.send(None, pk=1)) == 2

    def test_recursion(self, fastsig, signal, called):
        @signal.muted()
        def quiet(depth):
            if depth:
                quiet(depth - 1)
            return signal.send(None, pk=1)

        assert quiet(5) == []
        assert len(signal.send(None, pk=1)) == 2

    def test_method(self, fastsig, signal, called):
        class Quiet:
            @fastsig.muted(signal)
            def method(self):
                return self, signal.send(None, pk=1)

        quiet = Quiet()
        assert quiet.method() == (quiet, [])

    def test_coroutine_function(self, fastsig, signal, called):
        @fastsig.muted(signal)
        async def quiet():
            await asyncio.sleep(0)
            return signal.send(None, pk=1)

        async def main():
            task = asyncio.ensure_future(quiet())
            await asyncio.sleep(0)
            assert len(signal.send(None, pk=1)) == 2
            assert await task == []

        assert asyncio.iscoroutinefunction(quiet) if not hasattr(asyncio, "TaskGroup") else True
        asyncio.run(main())
        assert len(signal.send(None, pk=1)) == 2

    @pytest.mark.parametrize("kind", ["generator", "asynchronous generator", "class"])
    def test_what_it_does_not_decorate(self, fastsig, signal, kind):
        def generator():
            yield

        async def asynchronous():
            yield

        things = {"generator": generator, "asynchronous generator": asynchronous, "class": dict}
        with pytest.raises(TypeError, match="with muted"):
            fastsig.muted(signal)(things[kind])


class TestContexts:
    def test_another_thread(self, signal, called):
        entered, sent = threading.Event(), threading.Event()
        found = []

        def other():
            entered.wait(10)
            found.append(len(signal.send(None, pk=1)))
            with signal.muted():
                found.append(len(signal.send(None, pk=1)))
            sent.set()

        thread = threading.Thread(target=other)
        thread.start()
        with signal.muted():
            entered.set()
            assert sent.wait(10)
            assert signal.send(None, pk=1) == []
        thread.join()
        assert found == [2, 0]

    def test_another_task(self, signal, called):
        async def quiet():
            with signal.muted():
                await asyncio.sleep(0.01)
                found.append(signal.send(None, pk=1))

        async def loud():
            await asyncio.sleep(0.005)
            found.append(len(signal.send(None, pk=1)))

        async def main():
            await asyncio.gather(quiet(), loud(), quiet(), loud())

        found = []
        asyncio.run(main())
        assert found == [2, 2, [], []]

    def test_a_task_that_was_begun_inside(self, signal, called):
        """It is muted, too, and no longer than the block."""

        async def sends():
            found.append(len(signal.send(None, pk=1)))
            await ended.wait()
            found.append(len(signal.send(None, pk=1)))

        async def main():
            nonlocal ended
            ended = asyncio.Event()
            with signal.muted():
                task = asyncio.ensure_future(sends())
                await asyncio.sleep(0)
            ended.set()
            await task

        found, ended = [], None
        asyncio.run(main())
        assert found == [0, 2]

    def test_to_thread(self, signal, called):
        async def main():
            with signal.muted():
                return await asyncio.to_thread(signal.send, None, pk=1)

        assert asyncio.run(main()) == []

    def test_a_block_that_ends_in_another_context(self, signal, called):
        """So end fixtures that are asynchronous generators."""
        block = signal.muted()
        one, other = contextvars.copy_context(), contextvars.copy_context()
        one.run(block.__enter__)
        assert one.run(signal.send, None, pk=1) == []
        assert len(other.run(signal.send, None, pk=1)) == 2
        other.run(block.__exit__, None, None, None)
        assert len(one.run(signal.send, None, pk=1)) == 2

    def test_generator_that_is_garbage_collected(self, signal, called):
        def generator():
            with signal.muted():
                yield

        it = generator()
        next(it)
        assert signal.send(None, pk=1) == []
        del it
        gc.collect()
        assert len(signal.send(None, pk=1)) == 2


def test_signal_is_garbage_collected(make_signal, collect):
    signal = make_signal(name="short")
    with signal.muted(), signal.recorded():
        signal.send(None)
    gone = weakref.ref(signal)
    del signal
    collect()
    assert gone() is None


def test_what_others_do_to_receivers(signal, called):
    """factory_boy's way, and the one of many a management command."""
    with signal.muted():
        saved, signal.receivers = signal.receivers, []
        assert signal.send(None, pk=1) == []
    assert signal.send(None, pk=1) == []
    signal.receivers = saved
    assert len(signal.send(None, pk=1)) == 2


@pytest.mark.parametrize(
    ("signals", "options", "message"),
    [
        ((), {}, "got none"),
        ((7,), {}, "got 'int'"),
        (("saved",), {}, "got 'str'"),
        ((None,), {}, "got 'NoneType'"),
    ],
)
@pytest.mark.parametrize("name", ["muted", "recorded"])
def test_no_signal(fastsig, name, signals, options, message):
    with pytest.raises(TypeError, match=rf"^{name}\(\) takes signals, {message}"):
        getattr(fastsig, name)(*signals, **options)


def test_no_receiver(signal):
    with pytest.raises(TypeError, match="must be callable, got 'str'"):
        signal.muted(receiver="index")


def test_a_signal_that_is_not_adopted(run):
    pytest.importorskip("celery.signals")
    run(
        """
        import celery.signals, fastsig
        try:
            fastsig.muted(celery.signals.task_prerun)
        except TypeError as error:
            assert str(error).startswith("muted() takes signals on fastsig's engine, got <Signal")
        else:
            assert False
        """
    )


@pytest.mark.parametrize("late", [False, True], ids=["fastsig first", "fastsig last"])
def test_celerys_own(run, late):
    pytest.importorskip("celery.signals")
    run(
        f"""
        import asyncio
        {"import fastsig.signals" if not late else ""}
        from celery import Celery
        from celery.signals import task_postrun, task_sent, task_success
        app = Celery(broker="memory://", set_as_current=False)
        seen = []

        @app.task(name="proj.add")
        def add(x, y):
            return x + y

        def receiver(signal, sender, **kwargs):
            seen.append(signal.name)

        signals = task_sent, task_success, task_postrun
        for signal in signals:
            signal.connect(receiver)
        everything = [signal.name for signal in signals]

        def work(*wanted):
            add.delay(1, 2), add.apply((1, 2))
            assert sorted(seen) == sorted(wanted), seen
            del seen[:]

        work(*everything)  # it is all made
        import fastsig.signals
        with task_success.muted():
            work("task_sent", "task_postrun")
        with fastsig.muted(task_sent, task_success, sender="proj.add", receiver=receiver):
            work("task_postrun")
        with fastsig.muted(*signals, sender=add):
            work()
        with fastsig.muted(*signals, sender="proj.mul"):
            work(*everything)
        fastsig.muted(*signals)(work)()

        @task_postrun.muted()
        async def quiet():
            await asyncio.sleep(0)
            await asyncio.to_thread(work, "task_sent", "task_success")

        asyncio.run(quiet())
        receivers, task_postrun.receivers = task_postrun.receivers, []  # as factory_boy does
        work("task_sent", "task_success")
        task_postrun.receivers = receivers
        work(*everything)
        """
    )


def test_a_shared_task_is_its_name_in_any_app(run):
    pytest.importorskip("celery.signals")
    run(
        """
        import fastsig.signals
        from fastsig.signals import task_prerun
        from celery import Celery, shared_task

        @shared_task(name="proj.shared")
        def shared(): pass

        early = task_prerun.muted(sender=shared)  # there is no app yet
        apps = [Celery(name, broker="memory://", set_as_current=False) for name in "ab"]
        seen = []
        @task_prerun.connect
        def receiver(sender): seen.append(sender.app.main)
        for app in apps:
            app.finalize()
            with early:
                app.tasks["proj.shared"].apply()
        assert seen == [], seen
        with task_prerun.recorded(sender=shared) as sent:
            for app in apps:
                app.tasks["proj.shared"].apply()
        assert [each.sender.app for each in sent] == apps
        assert seen == ["a", "b"], seen
        """
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_another_thread_mutes(fastsig, signal, called):
    """A child has the mutes of the thread that forked, and not those of the others."""
    from fastsig import watching

    entered, forked = threading.Event(), threading.Event()

    def other():
        with signal.muted(), watching.lock:
            entered.set()
            forked.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    for context, expected in ((contextlib.nullcontext(), 2), (signal.muted(receiver=None), 0)):
        if expected:
            child = os.fork()
            if not child:
                right = len(signal.send(None, pk=1)) == 2 and not watching.watched
                with signal.muted():
                    right = right and signal.send(None, pk=1) == []
                os._exit(not right)
            assert os.waitpid(child, 0)[1] == 0
            forked.set()
            thread.join()
        with context:
            child = os.fork()
            if not child:
                os._exit(len(signal.send(None, pk=1)) != expected)
            assert os.waitpid(child, 0)[1] == 0
    assert len(signal.send(None, pk=1)) == 2


def test_many_threads(signal, called):
    """Each mutes and sends as it likes; nobody sees another's."""
    wrong = []
    going = threading.Barrier(8)

    def work(number):
        going.wait()
        for _ in range(300):
            with signal.muted():
                if signal.send(number, pk=1):
                    wrong.append("muted")
            if len(signal.send(number, pk=1)) != 2:
                wrong.append("not muted")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
