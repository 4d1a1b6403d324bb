"""Django's signals behave as with Django alone: see `django_programs`."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("django")

HERE = Path(__file__).parent
NAMES = [
    each.name
    for each in ast.parse((HERE / "django_programs.py").read_text()).body
    if isinstance(each, ast.FunctionDef)
    and any(isinstance(mark, ast.Name) and mark.id == "program" for mark in each.decorator_list)
]

outputs = {}


@pytest.fixture
def outcomes(environment, core):
    """Return what the programs return in a mode."""

    def outcomes(mode):
        key = mode, core if mode != "stock" else None
        if key not in outputs:
            done = subprocess.run(
                [sys.executable, "django_programs.py", mode],
                env={**environment, "FASTSIG_DJANGO": "1"},
                cwd=HERE,
                check=False,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert "Exception ignored" not in done.stderr, done.stderr
            outputs[key] = json.loads(done.stdout)
        return outputs[key]

    return outcomes


@pytest.mark.parametrize("mode", ["before", "late"])
@pytest.mark.parametrize("name", NAMES)
def test_as_with_django_alone(outcomes, name, mode):
    stock = outcomes("stock")[name]
    assert not stock.startswith("raised"), stock
    assert outcomes(mode)[name] == stock
