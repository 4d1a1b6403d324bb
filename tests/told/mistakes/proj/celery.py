"""An app whose handlers have ten deliberate mistakes: see `handlers`."""

from celery import Celery

app = Celery("proj", broker="memory://", include=["proj.tasks", "proj.handlers"])
