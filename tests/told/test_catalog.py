"""The catalog agrees with the source of the installed Celery.

``FASTSIG_TEST_CELERY`` may name the folder of another version's package.
"""

import ast
import os
import re
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest

from fastsig.catalog import CATALOG, OF_AN_APP, PROCESSES, SENDERS

if find_spec("celery") is None:
    pytest.skip("needs Celery", allow_module_level=True)

SOURCE = Path(
    os.environ.get("FASTSIG_TEST_CELERY") or find_spec("celery").submodule_search_locations[0]
)
VERSION = tuple(
    map(
        int,
        re.search(r"__version__ = '(\d+)\.(\d+)", (SOURCE / "__init__.py").read_text()).groups(),
    )
)

SENT_AS = {
    "send_before_publish": "before_task_publish",
    "send_after_publish": "after_task_publish",
    "send_task_sent": "task_sent",
    "send_prerun": "task_prerun",
    "send_postrun": "task_postrun",
    "send_success": "task_success",
    "send_revoked": "task_revoked",
    "send_retry": "task_retry",
    "_quick_apply_sig": "eventlet_pool_apply",
}
KINDS = {
    "name": {"name"},
    "task": {"task", "self.task"},
    "hostname": {
        "self.hostname",
        "worker.hostname",
        "hostname",
        "initargs[1]",
        "_process_hostname",
    },
    "app": {"self", "self.app"},
    "command": {"f", "fun"},
    "consumer": {"self", "consumer"},
    "none": {"None"},
}


def sends():
    """Yield ``(signal, sender, names)`` for each send in the source."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            parts = called.split(".")
            name = parts[-2] if parts[-1] == "send" and len(parts) > 1 else SENT_AS.get(parts[-1])
            if name is None or not (name in CATALOG or f"app.{name}" in OF_AN_APP):
                continue
            named = {each.arg: each.value for each in node.keywords}
            sender = named.pop("sender", None) or node.args[0]
            yield name, ast.unparse(sender), tuple(named)


def entry_of(name):
    return CATALOG.get(name) or OF_AN_APP[f"app.{name}"]


def test_every_signal_is_there():
    declared = re.findall(r"^(\w+) = Signal\(", (SOURCE / "signals.py").read_text(), re.MULTILINE)
    assert sorted(declared) == sorted(CATALOG)
    assert len(CATALOG) == 34
    found = {name for name, _, _ in sends()}
    # Its heart holds the signal's `send` under another name.
    assert found == {*CATALOG, *(name[4:] for name in OF_AN_APP)} - {"heartbeat_sent"}


def test_arguments():
    sent = defaultdict(set)
    for name, _, arguments in sends():
        sent[name].update(arguments)
    for name, arguments in sent.items():
        entry = entry_of(name)
        known = {each for each in entry.arguments if entry.since.get(each, (0, 0)) <= VERSION}
        assert known == arguments, name


def test_senders():
    for name, sender, _ in sends():
        entry = entry_of(name)
        kind = entry.sender if entry.sender_since <= VERSION else "none"
        assert sender in KINDS.get(kind, {"self"}), (name, sender)


def test_kinds():
    for entry in (*CATALOG.values(), *OF_AN_APP.values()):
        assert entry.sender in SENDERS
        assert entry.process in PROCESSES


def test_the_documentation_says_the_same():
    text = (Path(__file__).parents[2] / "src/fastsig/signals.py").read_text()
    for name, entry in CATALOG.items():
        if name in ("task_sent",):
            continue
        documented = text.partition(f"\n{name}: SignalProtocol")[2].partition('"""')[2]
        documented = documented.partition('"""')[0]
        assert set(re.findall(r"^    (\w+): ", documented, re.MULTILINE)) == {*entry.arguments}, (
            name
        )
