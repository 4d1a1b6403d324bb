"""asend(): functions are called, coroutines awaited together."""

import asyncio
import gc
import warnings

import pytest


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def responses(found):
    return [response for _, response in found]


def test_functions_and_coroutines(signal):
    order = []

    @signal.connect
    async def slow(pk):
        order.append("slow begins")
        await asyncio.sleep(0.02)
        order.append("slow ends")
        return "slow"

    @signal.connect
    def function(signal, sender, **named):
        order.append("function")
        return named

    @signal.connect
    async def quick(sender):
        order.append("quick begins")
        await asyncio.sleep(0)
        order.append("quick ends")
        return sender

    found = run(signal.asend("a", pk=1))
    assert found == [(slow, "slow"), (function, {"pk": 1}), (quick, "a")]
    assert order == ["function", "slow begins", "quick begins", "quick ends", "slow ends"]


def test_without_receivers(signal):
    assert run(signal.asend(None)) == []
    assert run(signal.asend(sender=None, pk=1)) == []


def test_without_coroutines(signal, called):
    assert responses(run(signal.asend(None, pk=1))) == ["first", "second"]


def test_wrong_calls(signal):
    async def main():
        for call in (lambda: signal.asend(), lambda: signal.asend(1, 2)):
            with pytest.raises(TypeError):
                await call()

    run(main())


def test_objects_and_methods(signal):
    class Index:
        async def __call__(self, pk):
            return "object", pk

        async def method(self, pk):
            return "method", pk

    index = Index()
    signal.connect(index)
    signal.connect(index.method)
    assert responses(run(signal.asend(None, pk=1))) == [("object", 1), ("method", 1)]


def test_a_sender(signal):
    @signal.connect(sender="a")
    async def receiver(sender):
        return sender

    assert responses(run(signal.asend("a"))) == ["a"]
    assert run(signal.asend("b")) == []


class TestErrors:
    def test_they_are_logged(self, signal, caplog):
        async def fails():
            await asyncio.sleep(0)
            raise ValueError(1)

        def fails_too():
            raise KeyError(2)

        async def works():
            return 3

        for receiver in (fails, fails_too, works):
            signal.connect(receiver)
        assert list(map(repr, responses(run(signal.asend(None))))) == [
            *("ValueError(1)", "KeyError(2)", "3")
        ]
        assert len(caplog.records) == 2

    def test_raise(self, Signal, caplog):
        signal = Signal(on_error="raise")
        ended = []

        async def waits():
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("waits")

        async def fails():
            await asyncio.sleep(0)
            raise ValueError(1)

        signal.connect(waits)
        signal.connect(fails)
        with pytest.raises(ValueError, match="1"):
            run(signal.asend(None))
        assert ended == ["waits"]
        assert not caplog.records

    def test_a_function_that_raises(self, Signal):
        signal = Signal(on_error="raise")

        async def never():
            raise AssertionError

        def fails():
            raise ValueError(1)

        signal.connect(never)
        signal.connect(fails)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match="1"):
                run(signal.asend(None))
            gc.collect()

    def test_of_a_receiver(self, signal):
        async def fails():
            raise ValueError(1)

        signal.connect(fails, on_error="raise")
        with pytest.raises(ValueError, match="1"):
            run(signal.asend(None))

    def test_collect(self, Signal):
        signal = Signal(on_error="collect")
        ran = []

        async def fails():
            raise ValueError(1)

        async def works():
            await asyncio.sleep(0.001)
            ran.append(1)

        def fails_too():
            raise KeyError(2)

        for receiver in (fails, works, fails_too):
            signal.connect(receiver)
        with pytest.raises(Exception, match=r"^[12]") as caught:
            run(signal.asend(None))
        assert ran == [1]
        found = getattr(caught.value, "exceptions", None)
        assert found is None or {type(each) for each in found} == {ValueError, KeyError}

    def test_cancelling(self, signal):
        ended = []

        @signal.connect
        async def waits():
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                ended.append(1)

        async def main():
            task = asyncio.ensure_future(signal.asend(None))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended == [1]

        run(main())


class TestAround:
    def test_muted(self, fastsig, signal):
        @signal.connect
        async def receiver():
            return 1

        @fastsig.muted(signal)
        async def quiet():
            return await signal.asend(None)

        async def main():
            return await asyncio.gather(quiet(), signal.asend(None), quiet())

        assert list(map(responses, run(main()))) == [[], [1], []]

    def test_recorded(self, signal):
        @signal.connect
        async def receiver(pk):
            return pk

        with signal.recorded() as sent:
            run(signal.asend("a", pk=1))
        assert sent.one.pk == 1
        assert responses(sent.one.responses) == [1]

    def test_observed(self, fastsig, signal):
        calls = []

        @signal.connect
        async def receiver():
            await asyncio.sleep(0.02)
            raise ValueError(1)

        with fastsig.observe(calls.append, [signal]):
            run(signal.asend(None))
        assert len(calls) == 1
        assert calls[0].seconds >= 0.015
        assert type(calls[0].error) is ValueError

    def test_once(self, signal):
        @signal.connect(once=True)
        async def receiver():
            return 1

        async def main():
            return await asyncio.gather(*[signal.asend(None) for _ in range(5)])

        assert [response for found in run(main()) for _, response in found] == [1]
        assert not signal.receivers


def test_many_at_a_time(signal):
    @signal.connect
    async def receiver(sender, pk):
        await asyncio.sleep(0)
        return sender, pk

    async def main():
        found = await asyncio.gather(*[signal.asend(i, pk=-i) for i in range(200)])
        assert [responses(each) for each in found] == [[(i, -i)] for i in range(200)]

    run(main())
