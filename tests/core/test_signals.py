"""The declared signals, without Celery: their names, arguments and documentation."""

import ast
import importlib
import inspect
import pydoc
import re
import subprocess
import sys
from itertools import pairwise

import pytest

SEVEN = {
    "task_sent": {"task_id", "task", "args", "kwargs", "eta", "taskset"},
    "task_prerun": {"task_id", "task", "args", "kwargs"},
    "task_postrun": {"task_id", "task", "args", "kwargs", "retval"},
    "worker_init": set(),
    "worker_ready": set(),
    "worker_process_init": set(),
    "worker_shutdown": set(),
}


@pytest.fixture
def signals(fastsig):
    return importlib.import_module("fastsig.signals")


@pytest.fixture
def docs(signals):
    """The string that follows each assignment, by the name that is assigned."""
    body = ast.parse(inspect.getsource(signals)).body
    return {
        statement.target.id: following.value.value
        for statement, following in pairwise(body)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
    }


def test_the_seven(signals):
    for name, arguments in SEVEN.items():
        signal = getattr(signals, name)
        assert signal.name == name
        assert signal.providing_args == arguments


def test_all_is_complete(fastsig, signals):
    declared = {name for name, value in vars(signals).items() if isinstance(value, fastsig.Signal)}
    assert set(signals.__all__) == declared
    assert signals.__all__ == sorted(signals.__all__)
    assert len(declared) == 34
    assert all(getattr(signals, name).name == name for name in declared)


def test_the_same_as_celerys(signals):
    celerys = pytest.importorskip("celery.signals")
    kind = importlib.import_module("celery.utils.dispatch").Signal
    declared = {name: value for name, value in vars(celerys).items() if isinstance(value, kind)}
    assert set(signals.__all__) == set(declared)
    newer = {"task_success": {"runtime"}} if sys.modules["celery"].VERSION < (5, 7) else {}
    for name, signal in declared.items():
        mine = getattr(signals, name)
        arguments = mine.providing_args - newer.get(name, set())
        assert (mine.name, arguments, mine.use_caching) == (
            signal.name,
            signal.providing_args,
            signal.use_caching,
        )


def test_each_is_documented(signals, docs):
    assert set(signals.__all__) <= docs.keys()
    for name in signals.__all__:
        text = docs[name]
        assert text.startswith("Sent ")
        assert re.search(r"process|worker|app", text), name
        assert "The sender is " in text, name
        arguments = set(re.findall(r"^    (\w+): ", text, re.MULTILINE))
        assert getattr(signals, name).providing_args <= arguments, name


def test_help_names_every_signal_and_argument(signals):
    text = pydoc.plain(pydoc.render_doc(signals))
    for name in signals.__all__:
        assert len(re.findall(rf"\b{name}\b", text)) >= 2, name
        for argument in getattr(signals, name).providing_args:
            assert re.search(rf"\b{argument}\b", text), (name, argument)


def test_any_framework_may_send_them(signals):
    @signals.task_sent.connect(sender="mine")
    def receiver(task_id, eta):
        return task_id, eta

    try:
        assert signals.task_sent.send("mine", task_id=1, task="mine", eta=2) == [(receiver, (1, 2))]
    finally:
        signals.task_sent.disconnect(receiver, sender="mine")


@pytest.mark.not_refnanny
def test_without_celery(environment):
    """Where Celery is not installed, importing the signals works, and does not look further."""
    program = """
import sys
sys.modules["celery"] = None  # as if it were not installed
import fastsig.signals
assert "kombu" not in sys.modules and "fastsig.celery" not in sys.modules
assert "inspect" not in sys.modules
"""
    subprocess.run([sys.executable, "-S", "-c", program], env=with_path(environment), check=True)


def test_a_broken_celery_is_not_hidden(environment, tmp_path):
    (tmp_path / "celery").mkdir()
    (tmp_path / "celery" / "__init__.py").write_text("import no_such_module")
    environment = with_path(environment, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "import fastsig.signals"],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no_such_module" in done.stderr


def with_path(environment, *folders):
    """Return an environment whose Python finds fastsig, also without site-packages."""
    package = importlib.import_module("fastsig").__path__[0]
    path = [str(folder) for folder in folders] + [package.removesuffix("fastsig").rstrip("/\\")]
    return {**environment, "PYTHONPATH": (";" if sys.platform == "win32" else ":").join(path)}


@pytest.mark.parametrize(
    "name", ["FASTSIG_NO_EXTENSIONS", "FASTSIG_REQUIRE_EXTENSIONS", "FASTSIG_CELERY"]
)
@pytest.mark.parametrize("value", ["yes", "2", " "])
def test_senseless_environment_variable(environment, name, value):
    done = subprocess.run(
        [sys.executable, "-c", "import fastsig.signals"],
        env={**environment, name: value},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"{name} must be 0 or 1, not {value!r}" in done.stderr


def test_contradicting_environment_variables(environment):
    done = subprocess.run(
        [sys.executable, "-c", "import fastsig"],
        env={**environment, "FASTSIG_NO_EXTENSIONS": "1", "FASTSIG_REQUIRE_EXTENSIONS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "contradict" in done.stderr


def test_a_missing_core_is_an_error_if_it_is_required(environment):
    program = "import sys; sys.modules['fastsig._core'] = None; import fastsig"
    environment = {**environment, "FASTSIG_NO_EXTENSIONS": "0"}
    for required, status in (("1", 1), ("0", 0)):
        done = subprocess.run(
            [sys.executable, "-c", f"{program}; assert not fastsig.compiled"],
            env={**environment, "FASTSIG_REQUIRE_EXTENSIONS": required},
            check=False,
            capture_output=True,
        )
        assert done.returncode == status
