"""Django as it is beside Django on fastsig: what a row, a save and a request cost.

    python benchmarks/models.py [--quick] [--only STATE ...] [--chart FILE] [--json FILE]

Each state is measured in processes of its own, Django's and fastsig's in turn.  What is shown is
the fastest run of each, and their ratio.  Trust the ratios: both were measured at the same time.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

STATES = {
    "no receivers": "",
    "receivers of another model": "",
    "one own receiver of post_init": "",
    "three own receivers of post_init": "",
    "three own receivers of post_save": "",
    "one receiver of post_save, any model": "",
    "1,000 receivers of other models": "",
    "django-simple-history": "simple_history",
    "django-auditlog": "auditlog",
    "django-dirtyfields": "dirtyfields",
}
"""The states of the signals, with the package that each needs."""

ROWS = 200
HOWS = "Django", "fastsig"
SHORT = 0.001
RUNS = 150


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two processes each, not six")
    parser.add_argument("--only", nargs="*", help="these states only")
    parser.add_argument("--chart", type=Path, help="draw rows per second here (needs matplotlib)")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    tables = {}
    print_head()
    for state, package in STATES.items():
        if (options.only and state not in options.only) or (package and not find_spec(package)):
            continue
        tables[state] = measure(state, 2 if options.quick else 6)
        print_row(state, tables[state])
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1) + "\n")
    if options.chart:
        draw(tables, options.chart)


def measure(state: str, times: int) -> dict[str, dict[str, float]]:
    """Return the fastest nanoseconds of each case, with Django and with fastsig."""
    found: dict[str, dict[str, float]] = {how: {} for how in HOWS}
    for _ in range(times):
        for how in HOWS:
            command = [sys.executable, __file__, "--measure", how, state]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            for case, ns in json.loads(done.stdout).items():
                found[how][case] = min(ns, found[how].get(case, ns))
    return found


def print_head() -> None:
    import django

    import fastsig

    build = "compiled" if fastsig.compiled else "pure"
    versions = f"Python {sys.version.split()[0]}, Django {django.__version__}"
    print(f"{versions}, {build}; ns with Django -> with fastsig (ratio)\n", flush=True)
    print("| | Model() | from_db | list(qs), per row | save | WSGI request | test client |")
    print("|---|---|---|---|---|---|---|", flush=True)


def print_row(state: str, table: dict[str, dict[str, float]]) -> None:
    cells = [
        f"{ns:,.0f} -> {table['fastsig'][case]:,.0f} ({ns / table['fastsig'][case]:.2f})"
        for case, ns in table["Django"].items()
    ]
    print(f"| {state} | {' | '.join(cells)} |", flush=True)


def draw(tables: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw how many rows a second are loaded."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "fastsig"
    from matplotlib import pyplot as plt

    states = list(reversed(tables))
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(states) + 1.2), layout="constrained")
    for offset, how, color in ((0.2, "Django", "#9aa5b1"), (-0.2, "fastsig", "#2f7d5b")):
        values = [1e9 / tables[state][how]["list(qs)"] / 1000 for state in states]
        places = [place + offset for place in range(len(states))]
        bars = axes.barh(places, values, 0.38, label=how, color=color)
        axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    axes.set_yticks(range(len(states)), states)
    axes.set_xlabel("thousand rows per second, list(queryset) from sqlite: more is better")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None})


# In a process of its own


def run_cases(how: str, state: str) -> None:
    """Measure every case in a state, and print the nanoseconds as JSON."""
    from django.conf import settings

    apps = {"django-simple-history": "simple_history", "django-auditlog": "auditlog"}
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=[
            *("django.contrib.auth", "django.contrib.contenttypes"),
            *([apps[state]] if state in apps else []),
        ],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[],
        ROOT_URLCONF=__name__,
        SECRET_KEY="x",
        USE_TZ=True,
    )
    if how == "fastsig":
        import fastsig.django

        fastsig.django.install()
        assert fastsig.django.installed()
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    Row, kept = make_models(state)
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Row)
        if hasattr(Row, "history"):
            editor.create_model(Row.history.model)
    Row.objects.bulk_create([Row(number=i) for i in range(ROWS)])
    found = {}
    for name, (function, divisor) in make_cases(Row).items():
        found[name] = fastest(function) / divisor
    print(json.dumps(found))
    del kept


def fastest(function: Callable[[], object]) -> float:
    """Return the nanoseconds of a call in the fastest of many short runs.

    They are short so that some are not interrupted, whatever else the machine does.
    """
    count = 1
    while count_time(function, count) < SHORT:
        count *= 2
    gc.collect()
    return min(count_time(function, count) for _ in range(RUNS)) / count * 1e9


def count_time(function: Callable[[], object], count: int) -> float:
    """Return the seconds of so many calls."""
    started = time.perf_counter()
    for _ in range(count):
        function()
    return time.perf_counter() - started


def make_models(state: str) -> tuple[Any, list[Any]]:
    """Return a model whose signals are in a state, and the receivers to keep."""
    from django.db import models
    from django.db.models import signals

    bases: list[Any] = [models.Model]
    fields: dict[str, Any] = {}
    if state == "django-dirtyfields":
        from dirtyfields import DirtyFieldsMixin

        bases.insert(0, DirtyFieldsMixin)
    if state == "django-simple-history":
        from simple_history.models import HistoricalRecords

        fields["history"] = HistoricalRecords()

    # Of an app that is installed: simple-history looks for it.
    meta = type("Meta", (), {"app_label": "contenttypes"})
    Row: Any = type(
        "Row",
        tuple(bases),
        {
            "number": models.IntegerField(default=0),
            "text": models.CharField(max_length=20, default="x"),
            "Meta": meta,
            "__module__": __name__,
            **fields,
        },
    )
    Other = type("Other", (models.Model,), {"Meta": meta, "__module__": __name__})
    if state == "django-auditlog":
        from auditlog.registry import auditlog

        auditlog.register(Row)

    def receiver() -> Any:
        def receive(sender: Any, instance: Any, **kwargs: Any) -> None:
            pass

        kept.append(receive)
        return receive

    kept: list[Any] = []
    if state == "receivers of another model":
        for name in ("pre_init", "post_init", "pre_save", "post_save"):
            getattr(signals, name).connect(receiver(), sender=Other)
    elif "own" in state:
        signal = signals.post_save if "post_save" in state else signals.post_init
        for _ in range(3 if "three" in state else 1):
            signal.connect(receiver(), sender=Row)
    elif "any model" in state:
        signals.post_save.connect(receiver())
    elif "1,000" in state:
        for signal in (signals.pre_init, signals.post_init, signals.post_save):
            for _ in range(1000):
                signal.connect(receiver(), sender=Other)
    return Row, kept


def make_cases(Row: Any) -> dict[str, tuple[Callable[[], object], int]]:
    """Return what is measured: a function, and the rows in a call."""
    from django.core.wsgi import get_wsgi_application
    from django.test import Client
    from django.test.utils import setup_test_environment

    setup_test_environment()
    application = get_wsgi_application()
    client = Client()
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.errors": sys.stderr,
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
    }
    names = [field.attname for field in Row._meta.concrete_fields]
    row = Row.objects.order_by("pk")[0]

    def request() -> None:
        application(dict(environ), lambda *args: None).close()

    return {
        "Model()": (Row, 1),
        "from_db": (lambda: Row.from_db("default", names, (1, 2, "y")), 1),
        "list(qs)": (lambda: list(Row.objects.all()), ROWS),
        "save": (row.save, 1),
        "wsgi": (request, 1),
        "client": (lambda: client.get("/"), 1),
    }


def view(request: Any) -> Any:
    """Answer a request."""
    from django.http import HttpResponse

    return HttpResponse(b"ok")


class Urls(list[Any]):
    """The patterns of the URLs, made when they are needed."""

    def __init__(self) -> None:
        from django.urls import path

        super().__init__([path("", view)])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        urlpatterns = Urls()
        run_cases(*sys.argv[2:])
    else:
        main()
