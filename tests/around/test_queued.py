"""queued(): a receiver that publishes a task.  tests/celery/integration has a real worker."""

import pytest

pytest.importorskip("celery.signals")

START = """
import gc
import fastsig, fastsig.signals
from fastsig.celery import queued
from celery import Celery, shared_task
app = Celery(broker="memory://", set_as_current=False)
order_paid = fastsig.Signal(name="order_paid")
published = []

@fastsig.signals.before_task_publish.connect
def publish(sender, body, properties, headers):
    published.append((sender, body[1], headers.get("eta")))

@app.task(name="send_receipt")
def send_receipt(order, amount=0):
    pass

@app.task(name="bound", bind=True)
def bound(self, order):
    pass

@app.task(name="log_all")
def log_all(**kwargs):
    pass
"""


@pytest.fixture
def run_queued(run):
    import textwrap

    return lambda program: run(START + textwrap.dedent(program))


def test_each_send_publishes(run_queued):
    run_queued(
        """
        for task in (send_receipt, bound, log_all):
            order_paid.connect(queued(task))
        gc.collect()
        responses = order_paid.send("shop", order=7, other=8)
        assert published == [
            ("send_receipt", {"order": 7}, None),
            ("bound", {"order": 7}, None),
            ("log_all", {"order": 7, "other": 8}, None),
        ], published
        assert [type(response).__name__ for _, response in responses] == ["AsyncResult"] * 3
        assert repr(responses[0][0]) == f"queued({send_receipt!r})"
        """
    )


def test_options(run_queued):
    run_queued(
        """
        order_paid.connect(queued(send_receipt, countdown=5, queue="receipts"))
        order_paid.send("shop", order=7)
        assert published[0][2]
        for name in ("args", "kwargs"):
            try:
                queued(send_receipt, **{name: ()})
            except TypeError as error:
                assert name in str(error)
            else:
                assert False
        """
    )


def test_disconnecting(run_queued):
    run_queued(
        """
        order_paid.connect(queued(send_receipt, countdown=5))
        order_paid.connect(queued(send_receipt, countdown=5))
        order_paid.connect(queued(send_receipt))
        assert len(order_paid.receivers) == 2
        assert not order_paid.disconnect(queued(send_receipt, countdown=6))
        assert order_paid.disconnect(queued(send_receipt, countdown=5))
        assert order_paid.disconnect(queued(send_receipt))
        assert not order_paid.receivers
        """
    )


def test_what_cannot_be_published(run_queued):
    """It is an error of that receiver."""
    run_queued(
        """
        order_paid.connect(queued(send_receipt))
        last = lambda: "last"
        order_paid.connect(last)
        for named in ({"order": object()}, {"amount": 7}):
            (_, error), (_, response) = order_paid.send("shop", **named)
            assert isinstance(error, Exception) and response == "last"
        strict = fastsig.Signal()
        strict.connect(queued(send_receipt), on_error="raise")
        try:
            strict.send("shop", order=object())
        except Exception as error:
            assert "JSON" in str(error), error
        else:
            assert False
        """
    )


def test_a_shared_task(run_queued):
    """Connecting does not need an app."""
    run_queued(
        """
        @shared_task(name="shared")
        def shared(order):
            pass

        order_paid.connect(queued(shared))
        app.set_current()
        order_paid.send("shop", order=7)
        assert published == [("shared", {"order": 7}, None)]
        """
    )


def test_on_celerys_signals(run_queued):
    run_queued(
        """
        from fastsig.signals import after_task_publish, before_task_publish, task_sent, task_success

        @app.task(name="on_success")
        def on_success(result):
            pass

        @app.task(name="add")
        def add():
            return 3

        task_success.connect(queued(on_success), sender=add)
        add.apply()
        assert published == [("on_success", {"result": 3}, None)], published
        for signal in (before_task_publish, after_task_publish, task_sent):
            try:
                signal.connect(queued(log_all))
            except ValueError as error:
                assert "without end" in str(error)
            else:
                assert False
        """
    )


def test_muted_and_observed(run_queued):
    run_queued(
        """
        receipt = queued(send_receipt)
        order_paid.connect(receipt)
        with order_paid.muted(receiver=receipt):
            assert order_paid.send("shop", order=7) == []
        with fastsig.observe(lambda call: calls.append(call.receiver), [order_paid]):
            calls = []
            order_paid.send("shop", order=7)
        assert calls == [receipt] and len(published) == 1
        """
    )


def test_an_equal_one_stands_for_it(run_queued):
    run_queued(
        """
        order_paid.connect(queued(send_receipt, countdown=5))
        for options, sends in (({"countdown": 5}, 0), ({}, 1)):
            with order_paid.muted(receiver=queued(send_receipt, **options)):
                assert len(order_paid.send("shop", order=7)) == sends
        text = order_paid.explain(queued(send_receipt, countdown=5))
        assert text.startswith("called\\n"), text
        [connection] = order_paid.connections()
        assert connection.dispatch_uid is None
        text = order_paid.explain(queued(send_receipt))
        assert text.startswith("not called: queued(<@task: send_receipt of"), text
        assert text.endswith(" is not connected"), text
        """
    )


@pytest.mark.parametrize("thing", ["7", "print", "'send_receipt'", "None"])
def test_no_task(run_queued, thing):
    run_queued(
        f"""
        try:
            queued({thing})
        except TypeError as error:
            assert str(error).startswith("queued() takes a task, got"), error
        else:
            assert False
        """
    )


def test_a_broker_that_is_down(run_queued):
    """It is an error of that receiver, and of the sender if it says so."""
    pytest.importorskip("redis")
    run_queued(
        """
        app.conf.update(broker_url="redis://127.0.0.1:1/", task_publish_retry_policy={
            "max_retries": 1, "interval_start": 0, "interval_max": 0})
        from kombu.exceptions import OperationalError
        order_paid.connect(queued(send_receipt))
        order_paid.connect(last := lambda: "last")
        responses = [response for _, response in order_paid.send("shop", order=7)]
        assert type(responses[0]) is OperationalError and responses[1] == "last", responses
        strict = fastsig.Signal()
        strict.connect(queued(send_receipt), on_error="raise")
        try:
            strict.send("shop", order=7)
        except OperationalError:
            pass
        else:
            assert False
        """
    )
