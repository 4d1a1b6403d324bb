"""Senders by name, on Celery's own signals, for a task that runs eagerly."""

import pytest

pytest.importorskip("celery.signals")

ORDERS = {
    "fastsig first": "import fastsig.signals\nimport celery.signals",
    "Celery first": "import celery.signals\nimport celery.app.trace\nimport fastsig.signals",
}

PROGRAM = """
{imports}
from celery import Celery, Task, shared_task
from celery.signals import *
from celery.signals import task_sent

@shared_task
def early(): pass
early_seen = []
task_success.connect(lambda sender, **kw: early_seen.append(sender.name), sender=early, weak=False)
import celery._state
assert celery._state.default_app is None and celery._state._tls.current_app is None

app = Celery("proj", broker="memory://", backend="cache+memory://")

class BaseTask(Task):
    abstract = True

@app.task(name="proj.add", base=BaseTask)
def add(x): return x
@app.task(name="proj.fail", base=BaseTask)
def fail(): raise ValueError
@app.task(name="proj.again", base=BaseTask, bind=True)
def again(self): raise self.retry(countdown=0)
@app.task(name="proj.other")
def other(): pass

run = [(task_prerun, add), (task_postrun, add), (task_success, add), (task_failure, fail),
       (task_retry, again)]
publish = [(before_task_publish, add), (after_task_publish, add), (task_sent, add)]
seen, keep = set(), []
for signal, task in run + publish:
    ways = dict(name=dict(sender=task.name), task=dict(sender=task),
                list=dict(senders=["no.such", task.name, task]))
    if (signal, task) in run:
        ways["class"] = dict(sender=BaseTask, subclasses=True)
    ways["not"] = dict(senders=[other, "proj.none"])
    for way, how in ways.items():
        def receiver(signal, sender, way=way, **kwargs):
            seen.add((signal.name, way))
        keep.append(receiver)
        signal.connect(receiver, **how)
        if way != "not":
            assert signal.has_listeners(task) and signal.has_listeners(task.name) or way == "class"

add.apply((1,)), fail.apply(), again.apply(), add.delay(1)
wanted = set()
for signal, task in run:
    wanted |= {{(signal.name, way) for way in ("name", "task", "list", "class")}}
for signal, task in publish:
    wanted |= {{(signal.name, way) for way in ("name", "task", "list")}}
assert seen == wanted, seen ^ wanted

app.finalize()
assert early_seen == []
early.apply()
assert len(early_seen) == 1, early_seen
second = Celery("second", broker="memory://", backend="cache+memory://")
second.finalize()
second.set_current()
second.tasks[early.name].apply()
assert len(early_seen) == 2, early_seen  # their names differ: those of __main__ are the app's
"""


@pytest.mark.parametrize("order", ORDERS)
def test_each_signal_of_a_task(run, order):
    run(PROGRAM.format(imports=ORDERS[order]))


@pytest.mark.parametrize("held", ["add", "'proj.add'"])
def test_what_was_connected_before_fastsig(run, held):
    run(
        f"""
        from celery import Celery
        from celery.signals import task_sent, task_success
        app = Celery("proj", broker="memory://", backend="cache+memory://")
        @app.task(name="proj.add")
        def add(x): return x
        app.finalize()
        seen = []
        def receiver(signal, **kwargs): seen.append(signal.name)
        task_success.connect(receiver, sender={held})
        task_sent.connect(receiver, sender={held})
        import fastsig.signals
        add.delay(1), add.apply((1,))
        assert seen == ["task_sent", "task_success"], seen
        """
    )


def test_a_signal_that_is_left_to_celery(run):
    run(
        """
        import fastsig.signals
        from celery.utils.dispatch import Signal
        class Mine(Signal):
            def _connect_signal(self, *args):
                return super()._connect_signal(*args)
        mine = Mine(name="mine")
        def receiver(**kwargs): return 1
        mine.connect(receiver, senders=["a", "b"])
        assert len(mine.send("a")) == len(mine.send("b")) == 1 and mine.send("c") == []
        try:
            mine.connect(receiver, sender=int, subclasses=True)
        except TypeError as error:
            assert "subclasses" in str(error)
        else:
            raise AssertionError
        """
    )
