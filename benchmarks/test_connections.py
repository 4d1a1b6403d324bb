"""Connecting, disconnecting, receivers that die, what a connection takes, and importing.

The bytes that a connection takes are in the ``extra_info`` of `test_connect`.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cases
import pytest
from cases import FASTSIG, PURE, Contender
from costs import Prepare
from peers import CELERY, LIBRARIES
from receivers import alike

Benchmark = Callable[..., Any]

CONNECTIONS = [
    pytest.param(contender, count, id=f"{count}-{contender.name}")
    for count in (100, 1_000, 10_000, 100_000)
    for contender in LIBRARIES
    if count <= contender.most
]


def prepared(benchmark: Benchmark, prepare: Prepare) -> None:
    """Time what `prepare` returns, anew in each of three rounds."""
    benchmark.pedantic(lambda action: action(), setup=lambda: ((prepare(),), {}), rounds=3)


@pytest.mark.parametrize(("contender", "count"), CONNECTIONS)
def test_connect(benchmark: Benchmark, contender: Contender, count: int) -> None:
    benchmark.group = f"connect {count} receivers"
    benchmark.extra_info["bytes per connection"] = cases.memory(contender, min(count, 1_000))
    prepared(benchmark, cases.connecting(contender, alike(count)))


@pytest.mark.parametrize(("contender", "count"), CONNECTIONS)
def test_disconnect(benchmark: Benchmark, contender: Contender, count: int) -> None:
    benchmark.group = f"disconnect {cases.SOME} of {count} receivers"
    prepared(benchmark, cases.disconnecting(contender, alike(count)))


@pytest.mark.parametrize("contender", [each for each in LIBRARIES if each.weak], ids=repr)
def test_ten_thousand_die(benchmark: Benchmark, contender: Contender) -> None:
    benchmark.group = "ten thousand receivers die, and a send"
    prepared(benchmark, cases.dying(contender, 10_000))


@pytest.mark.parametrize(
    ("module", "environment"),
    [
        pytest.param("fastsig.signals", cases.core_switches(FASTSIG.compiled), id=FASTSIG.name),
        pytest.param("fastsig.signals", cases.core_switches(PURE.compiled), id=PURE.name),
        pytest.param("celery.signals", {}, id=CELERY.name),
        pytest.param("weakref", {}, id="nothing but weakref"),
    ],
)
def test_import(benchmark: Benchmark, module: str, environment: dict[str, str]) -> None:
    benchmark.group = "start Python and import"
    benchmark.pedantic(
        subprocess.run,
        ([sys.executable, "-c", f"import {module}"],),
        {"check": True, "env": {**os.environ, "FASTSIG_CELERY": "0", **environment}},
        rounds=10,
    )
