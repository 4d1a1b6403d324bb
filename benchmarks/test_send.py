"""Sending: every shape of receiver, every way to call, and every library beside fastsig.

What is timed is a function that holds the call, the same for all; a hand-written loop stands in
that function itself.
"""

from collections.abc import Callable
from typing import Any

import cases
import pytest
from cases import HELD, IMPORTED, KEYWORDS, LOCAL, LOOP, MAPPING, POSITIONAL, Contender
from peers import CELERY, LIBRARIES
from receivers import NAMED, RAISES, SHAPES, TRIMMED

from fastsig.command.bench import COUNTS

pytestmark = pytest.mark.benchmark(max_time=0.1, min_rounds=20, disable_gc=True)

Benchmark = Callable[..., Any]

KINDS = {False: "unread", True: "read"}

SENDS = [
    pytest.param(
        contender, shape, count, reads, id=f"{shape}-{KINDS[reads]}-{count}-{contender.name}"
    )
    for shape in [*SHAPES, TRIMMED]
    for reads in (KINDS if shape != TRIMMED else (False,))
    for count in COUNTS
    for contender in [*cases.yardsticks(count), *LIBRARIES]
    if shape not in contender.refuses
]

FLEXIBLE = [LOOP, *(contender for contender in LIBRARIES if contender.flexible)]


@pytest.mark.parametrize(("contender", "shape", "count", "reads"), SENDS)
def test_send(
    benchmark: Benchmark, contender: Contender, shape: str, count: int, reads: bool
) -> None:
    benchmark.group = f"send to {count} receivers ({shape}, {KINDS[reads]})"
    benchmark(cases.sending(contender, shape, count, reads=reads).call())


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("site", [HELD, LOCAL, IMPORTED])
@pytest.mark.parametrize("contender", [*cases.OURS, CELERY], ids=repr)
def test_call_sites(benchmark: Benchmark, contender: Contender, site: str, count: int) -> None:
    benchmark.group = f"send to {count} receivers, {site}"
    benchmark(cases.sending(contender, NAMED, count, site=site).call())


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("contender", FLEXIBLE, ids=repr)
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(KEYWORDS, id="keyword sender"),
        pytest.param(POSITIONAL, id="positional sender"),
        pytest.param(MAPPING, id="mapping"),
    ],
)
def test_ways_to_call(
    benchmark: Benchmark, contender: Contender, arguments: str, count: int
) -> None:
    benchmark.group = f"send({arguments}) to {count} receivers"
    benchmark(cases.sending(contender, NAMED, count, arguments).call())


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("contender", FLEXIBLE, ids=repr)
def test_five_sends_from_five_call_sites(
    benchmark: Benchmark, contender: Contender, count: int
) -> None:
    benchmark.group = f"five sends from five call sites to {count} receivers"
    benchmark(cases.from_sites(cases.sending(contender, NAMED, count)).call())


@pytest.mark.parametrize(
    "contender", [each for each in LIBRARIES if RAISES not in each.refuses], ids=repr
)
def test_send_to_a_receiver_that_raises(benchmark: Benchmark, contender: Contender) -> None:
    benchmark.group = "send to a receiver that raises"
    with cases.quiet():
        benchmark(cases.sending(contender, RAISES, 1).call())
