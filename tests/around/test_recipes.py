"""The recipes of docs/watching.md with the real packages, and factory_boy's muting."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "watching.md"


def recipe(package):
    """Return the recipe that imports a package."""
    if not PAGE.exists():
        pytest.skip("a source distribution has no docs")
    blocks = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    [found] = [block for block in blocks if package in block]
    return found


SEND = """
saved = fastsig.Signal(name="saved")

@saved.connect
def works(): pass

@saved.connect
def fails(): raise ValueError("on purpose")
"""


def test_opentelemetry(run):
    pytest.importorskip("opentelemetry.sdk")
    run(
        recipe("opentelemetry")
        + SEND
        + """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
with trace.get_tracer("test").start_as_current_span("request") as request:
    saved.send(None)
first, second, outer = exporter.get_finished_spans()
assert [first.name, second.name, outer.name] == ["saved works", "saved fails", "request"]
for span in (first, second):
    assert span.parent.span_id == outer.context.span_id
    assert outer.start_time - 1e6 <= span.start_time <= span.end_time <= outer.end_time
assert first.status.is_unset and second.status.status_code is trace.StatusCode.ERROR
assert second.events[0].attributes["exception.message"] == "on purpose"
"""
    )


def test_prometheus(run):
    pytest.importorskip("prometheus_client")
    output = run(
        recipe("prometheus")
        + SEND
        + """
from prometheus_client import generate_latest
for _ in range(3):
    saved.send(None)
print(generate_latest().decode())
"""
    )
    for receiver, failed in (("works", "False"), ("fails", "True")):
        labels = f'failed="{failed}",receiver="{receiver}",signal="saved"'
        assert f"signal_receiver_seconds_count{{{labels}}} 3.0" in output


def test_factory_boy(run):
    """What it does to Django's signals, it can do to adopted ones."""
    pytest.importorskip("factory")
    pytest.importorskip("django")
    pytest.importorskip("celery.signals")
    run(
        """
        import warnings
        warnings.simplefilter("ignore")
        import fastsig.signals
        from celery.utils.dispatch import Signal
        from factory.django import mute_signals

        saved = Signal(name="saved")
        def receiver(**kwargs): return 1
        saved.connect(receiver)

        @mute_signals(saved)
        def quiet():
            return saved.send(None)

        assert quiet() == []
        with mute_signals(saved), saved.muted():
            saved.connect(lambda **kwargs: 2, weak=False)
        assert [response for _, response in saved.send(None)] == [1, 2]
        """
    )
