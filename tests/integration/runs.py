"""Which workers are run."""

from itertools import product

BROKERS = ("redis", "filesystem")
POOLS = ("prefork", "threads", "solo", "gevent", "eventlet")
TERMINATES = ("prefork", "gevent", "eventlet")  # the pools that can terminate a task
WORKERS = [f"{broker} {pool}" for broker, pool in product(BROKERS, POOLS)]
