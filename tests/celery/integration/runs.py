"""Which workers are run, and what depends on the version of Celery."""

from itertools import product

import celery

CELERY = tuple(map(int, celery.__version__.split(".")[:2]))
BEFORE_57 = CELERY < (5, 7)

BROKERS = ("redis", "filesystem")
POOLS = ("prefork", "threads", "solo", "gevent", "eventlet")
TERMINATES = (
    ("prefork", "gevent", "eventlet") if CELERY >= (5, 5) else ("prefork", "eventlet")
)  # the pools that can terminate a task
WORKERS = [f"{broker} {pool}" for broker, pool in product(BROKERS, POOLS)]
