"""The pytest plugin, in separate processes."""

import pytest

HEAD = """
import fastsig

saved = fastsig.Signal(name="saved")

@saved.connect
def fails(pk):
    if pk < 0:
        raise ValueError(pk)
    return pk
"""


@pytest.fixture
def run_tests(run, tmp_path):
    """Run tests of a user; return what pytest prints."""

    def run_tests(tests, ini="", status=0):
        (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
        (tmp_path / "test_saved.py").write_text(HEAD + tests)
        plugin = "[]" if is_installed() else "['-p', 'fastsig.pytest_plugin']"
        return run(
            f"""
            import sys, pytest
            options = {plugin}
            status = pytest.main(["-p", "no:cacheprovider", "-W", "error", *options])
            sys.exit(int(status) != {status})
            """,
            PY_COLORS="0",
        )

    return run_tests


def is_installed():
    from importlib.metadata import entry_points

    return any(each.value == "fastsig.pytest_plugin" for each in entry_points(group="pytest11"))


def test_record_signal(run_tests):
    output = run_tests(
        """
def test_it(record_signal):
    sent = record_signal(saved)
    some = record_signal(saved, sender="a")
    saved.send("a", pk=1)
    assert sent.one.pk == some.one.pk == 1
    saved.send("b", pk=2)
    assert len(sent) == 2 and len(some) == 1

def test_it_has_ended():
    assert len(saved.receivers) == 1
"""
    )
    assert "2 passed" in output


FAILING = """
def test_quiet():
    assert saved.send(None, pk=1)

def test_sends():
    responses = saved.send(None, pk=-1)
    assert type(responses[0][1]) is ValueError
"""


def test_errors_are_logged(run_tests):
    assert "2 passed" in run_tests(FAILING)
    assert "2 passed" in run_tests(FAILING, "fastsig_receiver_errors = log")


def test_errors_fail_the_test(run_tests):
    output = run_tests(FAILING, "fastsig_receiver_errors = raise", status=1)
    assert "1 failed, 1 passed" in output
    assert "raise ValueError(pk)" in output
    assert "ValueError: -1" in output


def test_what_is_not_logged_is_not_raised_again(run_tests):
    output = run_tests(
        """
import pytest

def test_it():
    strict = fastsig.Signal(on_error="raise")
    strict.connect(fails)
    with pytest.raises(ValueError):
        strict.send(None, pk=-1)

@pytest.mark.fastsig_receiver_errors("log")
def test_marked():
    saved.send(None, pk=-1)

@pytest.mark.xfail(strict=True)
def test_expected():
    saved.send(None, pk=-1)

def test_muted():
    with saved.muted():
        saved.send(None, pk=-1)
""",
        "fastsig_receiver_errors = raise",
    )
    assert "3 passed, 1 xfailed" in output


def test_a_test_that_fails_itself(run_tests):
    output = run_tests(
        """
def test_it():
    saved.send(None, pk=-1)
    assert not "itself"
""",
        "fastsig_receiver_errors = raise",
        status=1,
    )
    assert "assert not 'itself'" in output


def test_several_errors_and_fixtures(run_tests):
    output = run_tests(
        """
import pytest, unittest

@pytest.fixture
def sends():
    saved.send(None, pk=-5)

@pytest.fixture
def sends_later():
    yield
    saved.send(None, pk=-6)

def test_setup(sends):
    pass

def test_teardown(sends_later):
    pass

class TestCase(unittest.TestCase):
    def test_it(self):
        saved.send(None, pk=-1)
        saved.send(None, pk=-2)
""",
        "fastsig_receiver_errors = raise",
        status=1,
    )
    assert "1 failed, 1 passed, 2 errors" in output
    for error in ("ValueError: -5", "ValueError: -6", "ValueError: -1"):
        assert error in output


def test_celerys_signals(run_tests):
    pytest.importorskip("celery.signals")
    output = run_tests(
        """
from fastsig.signals import task_prerun, task_sent
from celery import Celery

app = Celery(broker="memory://", set_as_current=False)

@app.task(name="proj.add")
def add(x, y):
    return x + y

@task_prerun.connect
def broken():
    raise LookupError("broken")

def test_sent(record_signal):
    sent = record_signal(task_sent, sender="proj.add")
    add.delay(1, 2)
    assert sent.one.task_id

def test_run():
    assert add.apply((1, 2)).get() == 3
""",
        "fastsig_receiver_errors = raise",
        status=1,
    )
    assert "1 failed, 1 passed" in output
    assert "LookupError: broken" in output


@pytest.mark.parametrize("value", ["ignore", "collect"])
def test_bad_values(run_tests, value, capfd):
    run_tests(FAILING, f"fastsig_receiver_errors = {value}", status=4)
