"""Ten mistakes, each marked with its number, and three hints; what has no mark is right."""

from fastsig import signals
from proj.celery import app
from proj.tasks import add, mul


@signals.task_prerun.connect  # mistake 1: misspelt
def on_prerun(taks_id, **kwargs):
    pass


@signals.task_postrun.connect  # mistake 2: it is retval
def on_postrun(task_id, result):
    pass


@signals.task_success.connect(sender="proj.tasks.ad")  # mistake 3: no such task
def on_success(sender, **kwargs):
    pass


@signals.worker_ready.connect  # mistake 4: nobody awaits it
async def on_ready(sender, **kwargs):
    pass


@signals.task_received.connect(sender="proj.tasks.add")  # mistake 5: its sender is the consumer
def on_received(request, **kwargs):
    pass


@signals.task_failure.connect(sender=mul)  # mistake 6: a function, no task
def on_failure(exception, **kwargs):
    pass


@signals.task_retry.connect(sender=app.Task)  # mistake 7: without subclasses=True
def on_retry(reason, **kwargs):
    pass


def connect_later():
    @signals.worker_process_init.connect  # mistake 8: nothing refers to it
    def on_process_init(**kwargs):
        pass


connect_later()


@signals.setup_logging.connect(sender="celery@host")  # mistake 9: its sender is None
def on_setup_logging(loglevel, **kwargs):
    pass


@signals.task_revoked.connect(dispatch_uid="revoked")
def on_revoked(request, **kwargs):
    pass


@signals.task_revoked.connect(dispatch_uid="revoked")  # mistake 10: the same dispatch_uid
def on_revoked_too(request, **kwargs):
    pass


@signals.task_postrun.connect  # hint: result is always None
def with_default(task_id, result=None, **kwargs):
    pass


@signals.task_failure.connect(sender="proj.tasks.add")
def on_add_failure(task_id, exception, **kwargs):
    pass


@signals.task_success.connect(senders=["proj.tasks.add", add])
def on_add(result, **kwargs):
    pass


@signals.task_retry.connect(sender=app.Task, subclasses=True)
def on_any_retry(reason, **kwargs):
    pass


@signals.after_task_publish.connect(sender="other.service.task")  # hint: no app here has it
def on_publish(headers, body, **kwargs):
    pass


@signals.celeryd_init.connect(sender="celery@host")
def on_init(conf=None, **kwargs):
    pass


@signals.worker_init.connect
def on_worker_init(sender, spare=1, **kwargs):  # hint: spare is always 1
    pass
