"""Celery's signals in `fastsig.signals`: names, arguments, documentation, identity."""

import ast
import importlib
import inspect
import pydoc
import re
import subprocess
import sys
import textwrap
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


NOT_IN_ALL = {"import_modules", "task_sent", "user_preload_options"}  # nor in Celery's

HIDE_CELERY = "import sys; sys.modules['celery'] = None  # as if it were not installed\n"


@pytest.fixture
def signals(fastsig):
    return importlib.import_module("fastsig.signals")


@pytest.fixture
def names(signals):
    """The names of all signals, by what they are annotated with."""
    return {name for name, kind in signals.__annotations__.items() if kind == "SignalProtocol"}


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


def test_all_is_complete(signals, names):
    """It names what Celery's `__all__` names."""
    assert len(names) == 34
    assert set(signals.__all__) == names - NOT_IN_ALL
    assert names >= NOT_IN_ALL
    assert signals.__all__ == sorted(signals.__all__)
    assert all(getattr(signals, name).name == name for name in names)


def test_protocol(run, names):
    pytest.importorskip("celery.signals")
    run(
        f"""
        import fastsig.signals
        from fastsig.protocol import SignalProtocol
        for name in {sorted(names)!r}:
            assert isinstance(getattr(fastsig.signals, name), SignalProtocol), name
        """
    )


def test_of_a_signal_of_ones_own(signal):
    protocol = importlib.import_module("fastsig.protocol").SignalProtocol
    assert isinstance(signal, protocol)
    assert not isinstance(object(), protocol)


@pytest.mark.parametrize("switch", ["0", "1"])
@pytest.mark.parametrize(
    "order", ["fastsig.signals, celery.signals", "celery.signals, fastsig.signals"]
)
def test_they_are_celerys_own(run, switch, order):
    pytest.importorskip("celery.signals")
    program = f"""
        import {order}
        from celery.utils.dispatch import Signal

        celerys, signals = celery.signals, fastsig.signals
        declared = {{name for name, value in vars(celerys).items() if isinstance(value, Signal)}}
        assert len(declared) == 34
        assert sorted(signals.__all__) == sorted(celerys.__all__)
        for name in declared:
            assert getattr(signals, name) is getattr(celerys, name), name
            assert type(getattr(signals, name)) is Signal, name
    """
    run(program, FASTSIG_CELERY=switch)


def test_the_same_as_celerys(run, names):
    """What is declared for where Celery is missing differs in nothing from Celery's."""
    celerys = pytest.importorskip("celery.signals")
    program = """
        import fastsig.signals
        from fastsig import Signal

        print({
            name: (value.name, value.providing_args, value.use_caching)
            for name, value in vars(fastsig.signals).items()
            if type(value) is Signal
        })
    """
    declared = ast.literal_eval(run(HIDE_CELERY + textwrap.dedent(program)).replace("set()", "()"))
    assert declared.keys() == names
    newer = {"task_success": {"runtime"}} if sys.modules["celery"].VERSION < (5, 7) else {}
    for name, (own_name, arguments, use_caching) in declared.items():
        signal = vars(celerys)[name]
        assert (own_name, set(arguments) - newer.get(name, set()), use_caching) == (
            signal.name,
            signal.providing_args,
            signal.use_caching,
        )


def test_each_is_documented(signals, names, docs):
    assert names <= docs.keys()
    for name in names:
        text = docs[name]
        assert text.startswith("Sent ")
        assert re.search(r"process|worker|app", text), name
        assert "The sender is " in text, name
        arguments = set(re.findall(r"^    (\w+): ", text, re.MULTILINE))
        assert getattr(signals, name).providing_args <= arguments, name


def test_help_names_every_signal_and_argument(signals, names):
    text = pydoc.plain(pydoc.render_doc(signals))
    for name in names:
        times = 1 if name in NOT_IN_ALL else 2  # in the docstring, and as data
        assert len(re.findall(rf"\b{name}\b", text)) >= times, name
        for argument in getattr(signals, name).providing_args:
            assert re.search(rf"\b{argument}\b", text), (name, argument)


def test_any_framework_may_send_them(run):
    program = """
        from fastsig.signals import task_sent

        @task_sent.connect(sender="mine")
        def receiver(task_id, eta):
            return task_id, eta

        responses = task_sent.send("mine", task_id=1, task="mine", eta=2)
        assert responses == [(receiver, (1, 2))]
        assert task_sent.send("other", task_id=1, task="other", eta=2) == []
    """
    run(HIDE_CELERY + textwrap.dedent(program))


@pytest.mark.not_refnanny  # that build needs Cython, from site-packages
def test_without_celery(environment):
    """Where Celery is not installed, importing the signals works, and does not look further."""
    program = f"""{HIDE_CELERY}
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
    environment = {**environment, "FASTSIG_NO_EXTENSIONS": "0"}
    for missing in ("", ".send", ".table"):
        hide = f"import sys; sys.modules['fastsig.engine._compiled{missing}'] = None"
        for required, status in (("1", 1), ("0", 0)):
            done = subprocess.run(
                [sys.executable, "-c", f"{hide}; import fastsig; assert not fastsig.compiled"],
                env={**environment, "FASTSIG_REQUIRE_EXTENSIONS": required},
                check=False,
                capture_output=True,
            )
            assert done.returncode == status, (missing, required)
