"""Sending by one of many senders that receivers are connected to."""

from collections.abc import Callable
from typing import Any

import cases
import pytest
from cases import Contender, Task
from peers import LIBRARIES

pytestmark = pytest.mark.benchmark(max_time=0.1, min_rounds=20, disable_gc=True)

SENDERS = [
    pytest.param(contender, count, kind, id=f"{kind.__name__}-{count}-{contender.name}")
    for kind in (type, Task, str)
    for count in (1, 2, 100, 10_000)
    for contender in LIBRARIES
    if kind in contender.senders and count <= contender.most
]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(("contender", "count", "kind"), SENDERS)
def test_send_by_one_of_many(
    benchmark: Callable[..., Any], contender: Contender, count: int, kind: type, known: bool
) -> None:
    known_or_not = "one" if known else "none"
    benchmark.group = f"send by {known_or_not} of {count} senders ({kind.__name__.lower()})"
    benchmark(cases.sending_to_one(contender, count, kind, known).call())
