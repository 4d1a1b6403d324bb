"""The app, its system check and its command; installing, and what stays off."""

import ast
import importlib
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

django = pytest.importorskip("django")

MODELS = """
from django.db import models
from django.db.models.signals import post_delete, post_init, post_save
from django.dispatch import receiver
import fastsig.django

class Base(models.Model):
    class Meta:
        abstract = True

class Note(Base):
    text = models.TextField()

@receiver(post_save, sender=Note)
def saved(sender, instance, created, **kwargs):
    print("saved", instance.text)

@receiver(post_save, sender=Note)
def strict(sender, instance):
    pass

@receiver(post_init, sender=Base)
def never(**kwargs):
    pass

@receiver(post_init, sender=Note)
async def later(**kwargs):
    pass

@receiver([post_save, post_delete], sender=Note)
def misnamed(sender, created, raw=None, **kwargs):
    pass

@fastsig.django.receiver(post_delete, sender=Note)
def unsent(note):
    pass

@fastsig.django.receiver(post_save, sender=Base, subclasses=True, on_commit=True)
def committed(instance):
    pass
"""


@pytest.fixture
def project(environment, tmp_path):
    """Make a project with an app; return what runs its manage.py."""

    def manage(*arguments, status=0, **extra):
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**environment, "FASTSIG_DJANGO": "1", **extra},
            cwd=tmp_path / "site" if (tmp_path / "site").exists() else tmp_path,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    manage("-m", "django", "startproject", "site_of_notes", ".")
    manage("manage.py", "startapp", "notes")
    (tmp_path / "notes/models.py").write_text(MODELS)
    settings = tmp_path / "site_of_notes/settings.py"
    text = settings.read_text()
    settings.write_text(
        text.replace("INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "fastsig.django", "notes",')
        + "\nDEBUG = False\n"
    )
    manage.folder = tmp_path
    return manage


def test_a_project(project):
    assert "no issues" in project("manage.py", "check")
    project("manage.py", "makemigrations", "notes", "-v0")
    project("manage.py", "makemigrations", "--check")
    project("manage.py", "migrate", "-v0")
    (project.folder / "notes/tests.py").write_text("""
from django.db.models.signals import post_init, post_save
from django.test import TestCase
from django.contrib.auth.models import User
import fastsig.django
from notes.models import Note, strict

class Tests(TestCase):
    def test_installed(self):
        self.assertTrue(fastsig.django.installed())
        User.objects.create_user("somebody")
        self.assertIn("_fastsig", vars(post_init))
        with self.assertRaises(TypeError):
            Note.objects.create(text="a")
        post_save.disconnect(strict, sender=Note)
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            Note.objects.create(text="a")
        self.assertEqual(len(callbacks), 1)
        self.client.get("/admin/")
""")
    assert "OK" in project("manage.py", "test")


def test_the_command(project):
    out = project("manage.py", "fastsig", "list")
    assert "django.db.models.signals.post_save" in out
    assert "committed(instance)  notes/models.py:" in out
    assert "sender=<class 'notes.models.Note'>  weak" in out
    rows = json.loads(project("manage.py", "fastsig", "list", "--json"))
    assert {"signal", "process", "receivers"} == set(rows[0])
    out = project("manage.py", "fastsig", "check", status=1)
    lines = out.splitlines()
    assert lines[-1].endswith("problems, 1 hint"), out
    assert any("strict(sender, instance) is connected to" in line for line in lines)
    assert any("never(**kwargs)" in line and "abstract" in line for line in lines)
    assert any("hint: later(**kwargs) is a coroutine function" in line for line in lines)
    assert any(
        "misnamed(sender, created, raw, **kwargs): django.db.models.signals.post_delete sends no"
        " 'created'; it sends instance, origin, sender, using" in line
        for line in lines
    )
    assert any(
        "unsent(note): django.db.models.signals.post_delete sends no 'note'" in line
        for line in lines
    )
    assert sum(" sends no " in line for line in lines) == 2, out
    assert not any("committed" in line for line in lines)


def test_the_catalog_agrees_with_the_source_of_django():
    from fastsig.django.catalog import CATALOG

    sent = defaultdict(set)
    for path in Path(django.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                signal = ast.unparse(node.func.value).rpartition(".")[2]
                if node.func.attr in ("send", "asend"):
                    sent[signal].update(each.arg for each in node.keywords)
    for module, signals in CATALOG.items():
        if module == "django.tasks.signals" and django.VERSION < (6, 0):
            continue
        for name, arguments in signals.items():
            assert hasattr(importlib.import_module(module), name)
            passed_on = {"stdout", "plan", "apps"} if None in sent[name] else set()  # **kwargs
            assert sent[name] - {"sender", None} == {*arguments.split()} - passed_on, name


def test_off(project, core):
    assert "no issues" in project("manage.py", "check", FASTSIG_DJANGO="0")
    out = project("manage.py", "fastsig", "list", status=1, FASTSIG_DJANGO="0")
    assert "Django does not run on fastsig" in out
    out = project("manage.py", "check", FASTSIG_DJANGO="")
    assert ("fastsig.I001" in out) is (core == "pure"), out


def test_a_strange_django(project):
    (project.folder / "site_of_notes/__init__.py").write_text("""
from django.dispatch import Signal
there = Signal.send
Signal.send = lambda *args, **kwargs: there(*args, **kwargs)
""")
    out = project("manage.py", "check")
    assert "fastsig.W001" in out
    assert "something has patched django.dispatch.Signal.send" in out


def test_strange_entries(run):
    run(
        """
import django.dispatch.dispatcher as module
there = module.Signal.connect
def connect(self, *args, **kwargs):
    there(self, *args, **kwargs)
    self.receivers[:] = [(*entry, 1) for entry in self.receivers]
module.Signal.connect = connect
import fastsig.django
from fastsig.django.face import find_obstacle
fastsig.django.install()
assert not fastsig.django.installed()
assert find_obstacle() == "the entries of its receivers do not have the expected form"
assert module.Signal.send.__globals__ is vars(module)
""",
        FASTSIG_DJANGO="1",
    )


def test_install_and_uninstall(run_django):
    run_django("""
import weakref
from django.core.signals import setting_changed
from fastsig.engine import class_send
from django.dispatch import dispatcher

def receiver(**kwargs):
    return 1

fastsig.django.install()
post_save.connect(receiver)
assert [each[1] for each in post_save.send(Article)] == [1]
assert "_fastsig" in vars(post_save) and Signal.send is class_send
held = post_save.send
with fastsig.recorded(post_save):
    pass
for _ in range(2):
    fastsig.django.uninstall()
assert not fastsig.django.installed()
for name, value in vars(Signal).items():
    if callable(value) and name[0] != "_" or name in ("__init__", "_live_receivers"):
        assert value.__globals__ is vars(dispatcher), name
assert "__setattr__" not in vars(Signal) and "__getstate__" not in vars(Signal)
assert set(vars(post_save)) == set(vars(m2m_changed)) == set(vars(Signal()))
assert "send" not in vars(setting_changed)
assert type(post_save.receivers) is list and len(post_save.receivers) == 1
assert held(Article) == post_save.send(Article) == [(receiver, 1)]
fastsig.django.install()
assert fastsig.django.installed() and post_save.send(Article) == [(receiver, 1)]
assert post_save.disconnect(receiver) and held(Article) == []
""")


@pytest.mark.parametrize("first", ["celery", "django"])
def test_with_celery(run_django, first):
    pytest.importorskip("celery")
    lines = {
        "django": "fastsig.django.install()",
        "celery": "import fastsig.signals",
    }
    order = [first, *({*lines} - {first})]
    run_django(
        "fastsig.django.uninstall()\n"
        + "\n".join(lines[each] for each in order)
        + """
from celery import Celery
import fastsig.celery
from fastsig.signals import task_prerun
app = Celery("app", broker="memory://")
app.conf.task_always_eager = True
calls = []

@app.task
def save(title):
    Article.objects.create(title=title)

@task_prerun.connect
def started(sender, **kwargs):
    calls.append(sender.name)

def saved(signal, instance, **kwargs):
    calls.append((signal is post_save, instance.title))

post_save.connect(saved, sender=Article)
for title in "ab":
    save.delay(title)
assert calls == ["app.save", (True, "a"), "app.save", (True, "b")], calls
assert fastsig.celery.installed() and fastsig.django.installed()
with fastsig.muted(post_save, task_prerun):
    save.delay("c")
assert len(calls) == 4
fastsig.celery.uninstall()
save.delay("d")
assert len(calls) == 6 and fastsig.django.installed()
fastsig.celery.install()
fastsig.django.uninstall()
save.delay("e")
assert len(calls) == 8 and fastsig.celery.installed()
"""
    )


def test_imports_no_settings_and_nothing_else_imports_django(run):
    run(
        """
import sys
import fastsig, fastsig.seen, fastsig.watching, fastsig.commands
assert not [name for name in sys.modules if name.partition(".")[0] == "django"]
import fastsig.django
fastsig.django.install()
from django.conf import settings
from django.dispatch import Signal
signal = Signal()
signal.connect(len, weak=False)
assert "_fastsig" in vars(signal) and len(signal.receivers) == 1
assert not settings.configured
""",
        FASTSIG_DJANGO="1",
    )


def test_demo(environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fastsig", "demo", "--django"],
        env={**environment, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tell_readers(instance)         after the commit: 1" in done.stdout
    assert done.stdout.index("ends") < done.stdout.index("after the commit")
    assert done.stdout.count(" times") == 2
    assert list(tmp_path.iterdir()) == []
