"""``python -m fastsig bench``, and the fixture `benchmark_send`."""

import contextlib
import importlib
import json
import re
import signal as os_signal
import subprocess
import sys
import textwrap
import time

import pytest

LIBRARIES = {
    "Celery": "celery",
    "Django": "django",
    "Blinker": "blinker",
    "PyDispatcher": "pydispatch",
    "Psygnal": "psygnal",
    "Pyee": "pyee",
    "DustRiven": "dust_riven",
}
ROW = re.compile(r"(?P<who>\S.*?) {2,}(?P<figures>[\d.,]*\d( +[\d.,]*\d){4,9})")
# PyPy still compiles when the short measurements of these tests are over.
COMPARES = sys.implementation.name == "cpython"

HIDE = """
import runpy, sys

class Hidden:
    def find_spec(self, name, path, target=None):
        if name in {}:
            raise ModuleNotFoundError("hidden", name=name)

sys.meta_path.insert(0, Hidden())
"""
COMMAND = """
sys.argv[1:] = ["bench", "--seconds", "0.2"]
runpy.run_module("fastsig", run_name="__main__")
"""


@pytest.fixture
def bench(run):
    """Run the command; without those libraries, and after another program."""

    def bench(without=LIBRARIES, before=""):
        blocked = [LIBRARIES[name] for name in without]
        output = run(f"{HIDE.format(blocked)}\n{before}\n{COMMAND}")
        assert max(map(len, output.splitlines())) <= 100
        return output

    return bench


def rows(output, reads=False):
    """Return the rows of the table of receivers that do not read their ``**kw``, or that do."""
    table = output.partition("Receivers that read ")[2 * reads]
    found = [ROW.fullmatch(line) for line in table.splitlines()]
    return {
        match["who"]: [float(figure.replace(",", "")) for figure in match["figures"].split()]
        for match in found
        if match
    }


def agrees(ratio, a, b):
    """Tell whether a ratio is that of two figures, which are rounded to nanoseconds as it is."""
    least, most = 0.99 * ratio - 0.005, 1.01 * ratio + 0.005
    return least * (b - 0.5) <= a + 0.5 and a - 0.5 <= most * (b + 0.5)


def settled(measure, check):
    """Check what was measured; what noise makes of it is measured again, up to twice.

    These measurements are so short that one interruption can turn the order of two of them.
    """
    for _ in range(2):
        found = measure()
        with contextlib.suppress(AssertionError):
            return check(found)
    return check(measure())


def check(figures):
    ours, loop = figures["fastsig"], figures["hand-written loop"]
    ratios = zip(figures["fastsig / loop"], ours[:5], loop[:5], strict=True)
    assert all(agrees(*each) for each in ratios), figures
    for who in figures.keys() - {"fastsig / loop"}:
        ns, times = figures[who][:5], figures[who][5:]
        assert all(agrees(*each) for each in zip(times, ns, ours[:5], strict=True)), figures
        assert not COMPARES or ns[1] < ns[2] < ns[3] < ns[4], figures
    return figures


def test_without_other_libraries(bench, core):
    def shown(output):
        for reads in (False, True):
            names = set(check(rows(output, reads)))
            assert names == {"fastsig", "hand-written loop", "fastsig / loop"}
        return output

    output = settled(bench, shown)
    assert f"Not installed: {', '.join(LIBRARIES)}." in output
    assert re.search(rf"^core +{'compiled' if core == 'compiled' else 'pure Python'}", output, re.M)
    assert re.search(r"^machine +\S.*, \d+ processors$", output, re.M)
    assert re.search(r"^Noise \(.*\): loop \d+%, fastsig / loop \d+%\.", output, re.M)


def test_beside_celery(bench):
    pytest.importorskip("celery.signals")
    celery = importlib.import_module("celery")
    name = f"Celery {celery.__version__}"

    def is_faster(figures):
        assert set(check(figures)) == {"fastsig", "hand-written loop", "fastsig / loop", name}
        assert not COMPARES or min(figures[name][6:]) > 1, figures

    settled(lambda: rows(bench([each for each in LIBRARIES if each != "Celery"])), is_faster)


STAND_IN = """
import sys, types
module = sys.modules["blinker"] = types.ModuleType("blinker")
class Signal:
    def __init__(self): self.receivers = []
    def connect(self, receiver): self.receivers.append(receiver)
    def send(self, sender, **named):
        return [(each, each(sender, **named)) for each in self.receivers]
module.Signal = Signal
"""


def test_what_is_there_but_was_not_installed(bench):
    without = [name for name in LIBRARIES if name != "Blinker"]
    before = STAND_IN + (
        "from importlib import metadata\n"
        "def missing(name): raise metadata.PackageNotFoundError(name)\nmetadata.version = missing"
    )
    assert "blinker" in settled(lambda: rows(bench(without, before)), check)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("del module.Signal", "ImportError: cannot import name 'Signal'"),
        ("del Signal.send", "AttributeError: 'Signal' object has no attribute 'send'"),
        ("Signal.send = lambda *args, **kwargs: 1 / 0", "ZeroDivisionError: division by zero"),
        ("Signal.send = lambda *args, **kwargs: []", "AssertionError: 0 calls instead of 1"),
    ],
)
def test_a_library_that_is_broken_is_left_out(bench, fault, told):
    without = [name for name in LIBRARIES if name != "Blinker"]

    def is_left_out(output):
        assert f"Left out: Blinker, {told}" in output
        assert "Blinker" not in re.search("Not installed: .*", output)[0]
        assert set(check(rows(output))) == {"fastsig", "hand-written loop", "fastsig / loop"}

    settled(lambda: bench(without, STAND_IN + fault), is_left_out)


def test_a_library_that_lacks_what_it_needs_is_not_called_missing(bench):
    without = [name for name in LIBRARIES if name != "Blinker"]
    output = bench(
        without,
        "sys.modules['blinker'] = type(sys)('blinker')\n"
        "def fails(name): raise ModuleNotFoundError('No module named x', name='x')\n"
        "sys.modules['blinker'].__getattr__ = fails",
    )
    assert "Left out: Blinker, ModuleNotFoundError: No module named x" in output


@pytest.mark.parametrize("seconds", ["some", "-1", "0", "nan"])
def test_seconds_that_are_none(run, seconds):
    run(f"""
        from fastsig.__main__ import main
        try:
            main(["bench", "--seconds={seconds}"])
        except SystemExit as error:
            assert error.code == 2
        else:
            raise AssertionError("it was accepted")
    """)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent")
def test_interrupt(environment):
    command = [sys.executable, "-u", "-m", "fastsig", "bench", "--seconds", "60"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("machine"):
            break
    time.sleep(1)
    process.send_signal(os_signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted\n")


class TestFixture:
    CONFTEST = "from fastsig.pytest_plugin import benchmark_send\n"
    TEST = """
        import pytest

        class Owner:
            def method(self, order, **kwargs):
                return order + 1

        def everything(**kwargs):
            del kwargs["signal"]
            return kwargs

        def trimmed(order):
            return order

        owner = Owner()

        def test_receivers(benchmark_send, benchmark):
            receivers = [everything, trimmed, owner.method, trimmed]
            responses = benchmark_send(receivers, sender="shop", order=7, send=8, receivers_0=9)
            assert responses == [
                (everything, {"sender": "shop", "order": 7, "send": 8, "receivers_0": 9}),
                (trimmed, 7),
                (owner.method, 8),
                (trimmed, 7),
            ]

        def test_errors(benchmark_send):
            def fails(**kwargs):
                raise LookupError("as always")

            with pytest.raises(LookupError, match="as always"):
                benchmark_send([fails])
            with pytest.raises(TypeError, match="must be callable"):
                benchmark_send(["fails"])
            assert benchmark_send([]) == []
    """

    @pytest.fixture
    def pytest_run(self, run, tmp_path):
        """Run pytest on these files; return what it found, by the names of the tests."""
        pytest.importorskip("pytest_benchmark")
        (tmp_path / "conftest.py").write_text(self.CONFTEST)
        (tmp_path / "test_mine.py").write_text(textwrap.dedent(self.TEST))

        def pytest_run(*options):
            options = ["-W", "error", "-p", "no:cacheprovider", *options]
            options += ["--benchmark-json", "found.json"]
            run(f"import pytest, sys; sys.exit(pytest.main({options}))")
            found = tmp_path / "found.json"
            return {
                each["name"]: each
                for each in (json.loads(found.read_text())["benchmarks"] if found.exists() else [])
            }

        return pytest_run

    def test_measuring(self, pytest_run, core):
        settled(pytest_run, lambda found: self.check(found, core))

    def check(self, found, core):
        assert set(found) == {"test_receivers", "test_errors"}
        info = found["test_receivers"]["extra_info"]
        assert info["core"] == core
        assert info["receivers"] == 4
        assert info["overhead"] == pytest.approx(info["send"] - info["by_hand"])
        assert info["ratio"] == pytest.approx(info["send"] / info["by_hand"])
        # What pytest-benchmark found is in seconds, and has the call of a function on top.
        least = found["test_receivers"]["stats"]["min"] * 1e9
        assert 0.5 * info["send"] < least < 2 * info["send"] + 200
        assert found["test_errors"]["extra_info"]["receivers"] == 0
        assert found["test_errors"]["extra_info"]["send"] < info["send"]

    def test_where_benchmarks_are_disabled(self, pytest_run):
        assert pytest_run("--benchmark-disable") == {}
