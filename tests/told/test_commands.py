"""``python -m fastsig list`` and ``check``, as an operator uses them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("celery.signals")

MISTAKES = Path(__file__).with_name("mistakes")


@pytest.fixture
def command(environment):
    def command(*arguments, cwd=MISTAKES, **extra):
        return subprocess.run(
            [sys.executable, "-m", "fastsig", *arguments],
            env={**environment, **extra},
            cwd=cwd,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return command


def marks(word):
    """Return the places with a mark, of which the line with the decorator is the one reported."""
    text = (MISTAKES / "proj" / "handlers.py").read_text().splitlines()
    lines = [number for number, line in enumerate(text, 1) if f"# {word}" in line]
    return {
        f"proj/handlers.py:{line if text[line - 1].lstrip().startswith('@') else line - 1}"
        for line in lines
    }


def test_check_finds_the_ten_mistakes(command):
    done = command("check", "-A", "proj")
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert lines[-1] == "10 problems, 3 hints"
    places = [re.match(r"[^:]+:\d+", line)[0] for line in lines[:-1]]
    assert set(places[:10]) == marks("mistake")
    assert set(places[10:]) == marks("hint")
    assert all(line.partition(": ")[2].startswith("hint: ") for line in lines[10:-1])
    assert "no app here has a task of that name; did you mean 'proj.tasks.add'?" in done.stdout


def test_check_as_json(command):
    done = command("check", "-A", "proj.celery:app", "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 1
    assert [row["kind"] for row in rows] == ["never"] * 10 + ["hint"] * 3
    assert set(rows[0]) == {"kind", "where", "text"}


def test_list(command):
    done = command("list", "-A", "proj")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "task_success, sent in the process that runs the task" in lines
    assert re.search(
        r"^    on_add\(result, \*\*kwargs\)  proj/handlers.py:\d+  sender='proj.tasks.add'  weak$",
        done.stdout,
        re.MULTILINE,
    )
    assert "sender=Task, subclasses=True" in done.stdout


def test_list_as_json(command):
    done = command("list", "-A", "proj", "--json")
    rows = {row["signal"]: row for row in json.loads(done.stdout)}
    assert rows["task_received"]["process"] == "in the main process of a worker"
    [revoked] = rows["task_revoked"]["receivers"]
    assert revoked == {
        "receiver": "on_revoked(request, **kwargs)",
        "where": revoked["where"],
        "sender": None,
        "weak": True,
        "dispatch_uid": "'revoked'",
    }


def test_own_signals_are_listed(command, tmp_path):
    (tmp_path / "own.py").write_text(
        "from celery import Celery\nfrom fastsig import Signal\n"
        "app, saved = Celery('own', broker='memory://'), Signal()\n"
        "@saved.connect\ndef on_saved(pk): pass\n"
    )
    done = command("list", "-A", "own", cwd=tmp_path)
    assert done.stdout.splitlines()[-2:] == [
        "own.saved",
        "    on_saved(pk)  own.py:4  any sender  weak",
    ]
    done = command("check", "-A", "own", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "0 problems, 0 hints\n")


@pytest.mark.parametrize("name", ["list", "check"])
def test_without_an_app(command, name):
    done = command(name)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("required: -A/--app")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            "import no_such_module",
            "ModuleNotFoundError: No module named 'no_such_module' (bad.py:1)",
        ),
        ("1 +", "SyntaxError: invalid syntax (bad.py:1)"),
        ("\nraise KeyError('a')", "KeyError: 'a' (bad.py:2)"),
        ("raise SystemExit(3)", "SystemExit: 3 (bad.py:1)"),
        (None, "ModuleNotFoundError: No module named 'bad'"),
        (
            "from celery import Celery\napp = Celery('bad', include=['worse'])",
            "ModuleNotFoundError: No module named 'worse'",
        ),
        (
            "import json\njson.loads('{')",
            "JSONDecodeError: Expecting property name enclosed in double quotes:"
            " line 1 column 2 (char 1) (bad.py:2)",
        ),
    ],
)
@pytest.mark.parametrize("name", ["list", "check"])
def test_an_app_that_cannot_be_imported(command, tmp_path, name, source, wanted):
    if source is not None:
        (tmp_path / "bad.py").write_text(source)
    done = command(name, "-A", "bad", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"cannot import 'bad': {wanted}\n"


@pytest.mark.parametrize(
    ("app", "wanted"),
    [
        ("own", "'own' has no app: write its name, as in own:app"),
        ("own:ap", "'own' has no 'ap'"),
        ("own.ap", "cannot import 'own.ap': ModuleNotFoundError: No module named 'own.ap'; 'own'"),
        ("own:thing", "'own:thing' is no app, but of type 'int'"),
        ("own:Celery", "'own:Celery' is no app, but of type 'type'"),
        ("own:", "'own:' is no app, but of type 'module'"),
        ("onw", "cannot import 'onw': ModuleNotFoundError: No module named 'onw'"),
        ("", "-A needs the name of an app, such as proj or proj.celery:app"),
    ],
)
@pytest.mark.parametrize("name", ["list", "check"])
def test_an_app_that_is_not_there(command, tmp_path, name, app, wanted):
    (tmp_path / "own.py").write_text("from celery import Celery\nthing = 7\n")
    done = command(name, "-A", app, "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(wanted)
    assert done.stderr.count("\n") == 1


def test_where_an_error_is_names_nothing_that_is_installed(command, tmp_path, environment):
    """It may be below the folder of the project, as a virtual environment often is."""
    (tmp_path / "bad.py").write_text("import json\njson.loads('{')")
    path = os.pathsep.join(filter(None, [str(tmp_path), environment.get("PYTHONPATH")]))
    done = command("check", "-A", "bad", cwd=tmp_path.anchor, PYTHONPATH=path)
    path = str(tmp_path / "bad.py").removeprefix(tmp_path.anchor)
    assert done.stderr.endswith(f"(char 1) ({path}:2)\n")


def test_a_short_name_of_a_task(command, tmp_path):
    (tmp_path / "own.py").write_text(
        "from celery import Celery\nfrom fastsig.signals import task_success\n"
        "app = Celery('own', broker='memory://')\n"
        "@app.task\ndef add(): pass\n"
        "@task_success.connect(sender='add')\ndef on_add(sender): pass\n"
        "class Handler:\n"
        "    def __init__(self): task_success.connect(self.on_success)\n"
        "    def on_success(self, sender): pass\n"
        "Handler()\n"
    )
    done = command("check", "-A", "own", cwd=tmp_path)
    first, second, last = done.stdout.splitlines()
    assert first == (
        "own.py:6: on_add(sender): task_success for sender='add':"
        " no app here has a task of that name; did you mean 'own.add'?"
    )
    name = "Handler.on_success" if sys.version_info >= (3, 11) else "on_success"
    assert second.startswith(f"own.py:10: {name} was dropped by task_success: ")
    assert last == "2 problems, 0 hints"


@pytest.mark.parametrize("name", ["list", "check"])
def test_where_celery_is_not_adopted(command, tmp_path, name):
    (tmp_path / "own.py").write_text(
        "from celery import Celery\napp = Celery('own', broker='memory://')\n"
    )
    done = command(name, "-A", "own", cwd=tmp_path, FASTSIG_CELERY="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Celery is left alone (FASTSIG_CELERY=0)")


def test_what_the_app_prints_is_not_in_the_output(command, tmp_path):
    (tmp_path / "own.py").write_text(
        "from celery import Celery\nprint('importing')\n"
        "app = Celery('own', broker='memory://')\n"
        "app.on_after_finalize.connect(lambda **kwargs: print('finalized'), weak=False)\n"
    )
    done = command("list", "-A", "own", "--json", cwd=tmp_path)
    assert [row["signal"] for row in json.loads(done.stdout)] == ["app.on_after_finalize"]
    assert done.stderr == "importing\nfinalized\n"


def test_what_celery_imports_is_imported(command, tmp_path):
    """By the settings `include` and `imports`, and as tasks of other packages; all forms of -A."""
    handler = "from fastsig.signals import task_success\n"
    for name in ("included", "imported", "other/tasks"):
        path = tmp_path / "proj" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(f"{handler}@task_success.connect\ndef {path.stem}(sender): pass\n")
    (tmp_path / "proj" / "celery.py").write_text(
        "from celery import Celery\n"
        "app = Celery('proj', broker='memory://', include=['proj.included'])\n"
        "app.conf.imports = ['proj.imported']\n"
        "app.autodiscover_tasks(['proj.other'])\n"
    )
    for form in ("proj", "proj.celery", "proj.celery:app", "proj.celery.app"):
        done = command("list", "-A", form, "--json", cwd=tmp_path)
        rows = {row["signal"]: row["receivers"] for row in json.loads(done.stdout)}
        assert {each["receiver"] for each in rows["task_success"]} == {
            *("included(sender)", "imported(sender)", "tasks(sender)")
        }
