"""Recording sends."""

import threading

import pytest


def test_a_send(signal, called):
    with signal.recorded() as sent:
        responses = signal.send("a", pk=7)
        assert len(sent) == 1
    signal.send("a", pk=8)
    assert len(sent) == 1
    assert sent.one is sent[0]
    assert sent.one.signal is signal
    assert sent.one.sender == "a"
    assert sent.one.pk == 7
    assert sent.one.named == sent.one.args == {"pk": 7}
    assert sent.one.responses == responses
    assert [response for _, response in responses] == ["first", "second"]
    assert sent.one.error is None
    assert repr(sent.one) == "<saved: 'a', pk=7>"
    assert called.take() == ["first", "second"] * 2


def test_an_argument_called_args(signal):
    with signal.recorded() as sent:
        signal.send(None, args=(1, 2), responses=3)
    assert sent.one.args == (1, 2)
    assert sent.one.responses == []
    assert sent.one.named == {"args": (1, 2), "responses": 3}


def test_an_argument_that_was_not_sent(signal):
    with signal.recorded() as sent:
        signal.send(None, pk=1)
        signal.send(None)
    with pytest.raises(AttributeError, match="saved was sent without 'kp'; it was sent with pk"):
        sent[0].kp  # noqa: B018
    with pytest.raises(AttributeError, match="it was sent with nothing"):
        sent[1].pk  # noqa: B018
    assert not hasattr(sent[0], "kp")


def test_one(signal):
    with signal.recorded() as sent:
        with pytest.raises(AssertionError, match="expected one send, got 0"):
            sent.one  # noqa: B018
        signal.send("a", pk=1)
        signal.send("b", pk=2)
    with pytest.raises(AssertionError, match=r"got 2: \[<saved: 'a', pk=1>, <saved: 'b', pk=2>\]"):
        sent.one  # noqa: B018


def test_without_receivers(signal):
    """Celery, and many others, only send where there is a receiver."""
    assert not signal.receivers
    with signal.recorded() as outer:
        with signal.recorded() as inner:
            assert signal.receivers
            assert signal.has_listeners()
            assert signal.send(None, pk=1) == []
        assert signal.receivers
        assert signal.send(None, pk=2) == []
    assert not signal.receivers
    assert [sent.pk for sent in outer] == [1, 2]
    assert [sent.pk for sent in inner] == [1]


def test_a_sender(fastsig, signal):
    with signal.recorded(sender="a") as sent, fastsig.recorded(signal, sender="b") as others:
        signal.send("a", pk=1)
        signal.send("b", pk=2)
        signal.send(None, pk=3)
    assert [each.pk for each in sent] == [1]
    assert [each.pk for each in others] == [2]


def test_several_signals(fastsig, make_signal):
    one, other = make_signal(name="one"), make_signal(name="other")
    with fastsig.recorded(one, other) as sent:
        one.send(1)
        other.send(2)
        one.send(3)
    assert [(each.signal, each.sender) for each in sent] == [(one, 1), (other, 2), (one, 3)]


def test_a_muted_signal(signal, called):
    with signal.muted(), signal.recorded() as sent:
        signal.send(None, pk=1)
    assert sent.one.responses == []
    with signal.recorded() as sent, signal.muted(receiver=called.first):
        signal.send(None, pk=1)
    assert [response for _, response in sent.one.responses] == ["second"]


def test_a_receiver_that_sends(signal):
    @signal.connect
    def again(pk):
        if pk:
            signal.send(None, pk=pk - 1)

    with signal.recorded() as sent:
        signal.send(None, pk=3)
    assert [each.pk for each in sent] == [3, 2, 1, 0]


def test_other_threads(signal):
    with signal.recorded() as sent:
        threads = [threading.Thread(target=signal.send, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(each.sender for each in sent) == list(range(20))


def test_a_send_that_raises(signal):
    def raises(pk):
        raise SystemExit(pk)

    signal.connect(lambda: 1, weak=False)
    signal.connect(raises)
    with signal.recorded() as sent, pytest.raises(SystemExit):
        signal.send(None, pk=1)
    assert type(sent.one.error) is SystemExit
    assert [response for _, response in sent.one.responses] == [1]


def test_what_the_caller_does_to_the_responses(signal, called):
    with signal.recorded() as sent:
        signal.send(None, pk=1).clear()
    assert len(sent.one.responses) == 2


def test_wrong_calls_are_not_sends(signal):
    with signal.recorded() as sent:
        for args in ((), (1, 2)):
            with pytest.raises(TypeError):
                signal.send(*args, pk=1)
    assert sent == []


def test_one_object_is_used_again(fastsig, signal):
    recorded = fastsig.recorded(signal)
    with recorded as outer, recorded as inner:
        signal.send(1)
    with recorded as later:
        signal.send(2)
    assert [len(each) for each in (outer, inner, later)] == [1, 1, 1]
    assert not signal.receivers


@pytest.mark.parametrize("late", [False, True], ids=["fastsig first", "fastsig last"])
def test_celerys_own(run, late):
    """A task that is published, and run, in a process without any receiver."""
    pytest.importorskip("celery.signals")
    first, last = "import fastsig.signals", "add.delay(1, 2), add.apply((1, 2))  # it is all made"
    run(
        f"""
        {first if not late else ""}
        from celery import Celery
        app = Celery(broker="memory://", set_as_current=False)

        @app.task(name="proj.add")
        def add(x, y):
            return x + y

        {last if late else ""}
        from fastsig.signals import task_sent, before_task_publish, task_prerun, task_success

        with task_sent.recorded(sender="proj.add") as sent:
            add.delay(1, 2)
        assert sent.one.task_id and sent.one.args == (1, 2), sent
        with before_task_publish.recorded(sender=add) as sent:
            add.delay(1, 2)
        assert sent.one.routing_key == "celery"
        with task_prerun.recorded(sender="proj.add") as prerun, task_success.recorded() as success:
            add.apply((1, 2))
        assert prerun.one.task == add and success.one.result == 3
        with task_success.recorded() as success, task_success.muted():
            add.apply((1, 2))
        assert success.one.result == 3
        with task_prerun.recorded(sender="proj.mul") as prerun:
            add.apply((1, 2))
        assert prerun == []
        assert not task_sent.receivers and not task_prerun.receivers
        """
    )
