"""Temporary connections: connected(), and connect(once=True)."""

import gc
import threading
import weakref

import pytest


def receiver(pk):
    return pk


class TestConnected:
    def test_a_block(self, signal):
        with signal.connected(receiver):
            assert signal.send(None, pk=1) == [(receiver, 1)]
        assert not signal.receivers

    def test_lambda_survives_garbage_collection(self, signal):
        with signal.connected(lambda pk: pk + 1):
            gc.collect()
            assert signal.send(None, pk=1)[0][1] == 2
        assert not signal.receivers

    def test_exactly_this_connection(self, signal):
        signal.connect(receiver, sender="b")
        with signal.connected(receiver, sender="a"):
            assert len(signal.receivers) == 2
            assert signal.send("a", pk=1) == [(receiver, 1)]
            assert signal.send("c", pk=1) == []
        assert signal.send("a", pk=1) == []
        assert signal.send("b", pk=1) == [(receiver, 1)]

    def test_one_that_there_was_stays(self, signal):
        signal.connect(receiver)
        with signal.connected(receiver):
            assert len(signal.send(None, pk=1)) == 1
        assert len(signal.send(None, pk=1)) == 1

    def test_nesting(self, signal):
        with signal.connected(receiver):
            with signal.connected(receiver):
                assert len(signal.send(None, pk=1)) == 1
            assert len(signal.send(None, pk=1)) == 1
        assert not signal.receivers

    def test_again(self, signal):
        block = signal.connected(receiver)
        for _ in range(2):
            with block, block:
                assert len(signal.send(None, pk=1)) == 1
            assert not signal.receivers

    def test_options(self, fastsig, signal):
        with signal.connected(receiver, dispatch_uid="x", retry=fastsig.Retry(2), on_error="raise"):
            assert signal.send(None, pk=1)[0][1] == 1
            assert signal.receivers[0][0][0] == "x"
            with pytest.raises(TypeError):
                signal.send(None)
        assert not signal.receivers

    def test_a_method(self, signal):
        class Index:
            def add(self, pk):
                return pk

        with signal.connected(Index().add):
            assert len(signal.send(None, pk=1)) == 1
        assert not signal.receivers

    def test_an_exception(self, signal):
        with pytest.raises(KeyError), signal.connected(receiver):
            raise KeyError
        assert not signal.receivers

    def test_disconnected_meanwhile(self, signal):
        with signal.connected(receiver):
            signal.disconnect(receiver)
        assert not signal.receivers

    def test_bad_input(self, signal):
        with pytest.raises(TypeError, match="must be callable"):
            signal.connected("receiver")
        with pytest.raises(TypeError, match="week"), signal.connected(receiver, week=False):
            pass
        with pytest.raises(ValueError, match="on_error"), signal.connected(receiver, on_error="x"):
            pass


class TestOnce:
    def test_it_is_called_once(self, signal):
        assert signal.connect(receiver, once=True) is receiver
        assert [response for _, response in signal.send(None, pk=1, other=2)] == [1]
        assert signal.send(None, pk=1) == []
        assert not signal.receivers

    def test_as_a_decorator(self, signal):
        @signal.connect(sender="a", once=True)
        def first(signal, sender, pk):
            return pk

        assert first(1, 2, 3) == 3
        assert signal.send("b", pk=1) == []
        assert len(signal.send("a", pk=1)) == 1
        assert signal.send("a", pk=1) == []

    def test_lambda_survives_garbage_collection_until_it_is_called(self, signal, collect):
        signal.connect(lambda pk: pk, once=True)
        collect()
        assert len(signal.send(None, pk=1)) == 1

    def test_after_an_exception(self, signal):
        def fails():
            raise ValueError

        signal.connect(fails, once=True)
        assert type(signal.send(None)[0][1]) is ValueError
        assert signal.send(None) == []

    def test_a_receiver_that_sends(self, signal):
        @signal.connect(once=True)
        def again(pk):
            return signal.send(None, pk=pk + 1)

        assert signal.send(None, pk=1)[0][1] == []

    def test_disconnecting(self, signal):
        signal.connect(receiver, once=True)
        assert signal.disconnect(receiver)
        assert signal.send(None, pk=1) == []

    def test_again(self, signal):
        signal.connect(receiver, once=True)
        signal.connect(receiver, once=True)
        assert len(signal.receivers) == 1
        signal.send(None, pk=1)
        signal.connect(receiver, once=True)
        assert len(signal.send(None, pk=1)) == 1

    def test_garbage_collected_after_it_is_called(self, signal, collect):
        class Index:
            def add(self, pk):
                return pk

        index = Index()
        gone = weakref.ref(index)
        signal.connect(index.add, once=True)
        del index
        collect()
        assert gone() is not None
        signal.send(None, pk=1)
        collect()
        assert gone() is None

    def test_threads(self, signal):
        """However many send at the same time, it is called once."""
        for _ in range(100):
            called = []
            signal.connect(lambda pk, called=called: called.append(pk), once=True)
            going = threading.Barrier(4)

            def send():
                going.wait()
                for pk in range(5):
                    signal.send(None, pk=pk)

            threads = [threading.Thread(target=send) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert called == [0]
            assert not signal.receivers
