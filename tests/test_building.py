"""Building: a wheel is tagged as what it holds, with and without a compiler."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="the source distribution is not at hand"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("source") / "fastsig"
    left_out = shutil.ignore_patterns(".*", "build", "*.so", "*.pyd", "*.c", "*.egg-info", "tests")
    return shutil.copytree(ROOT, tree, ignore=left_out)


def build(tree, folder, **environment):
    """Build a wheel; return what pip said, its name and the names of the files in it."""
    shutil.rmtree(tree / "build", ignore_errors=True)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--verbose"]
    names = ("FASTSIG_NO_EXTENSIONS", "FASTSIG_REQUIRE_EXTENSIONS", "CIBUILDWHEEL", "CC")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(tree)],
        env={**{k: v for k, v in os.environ.items() if k not in names}, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        return done, None, []
    return done, wheels[0].name, zipfile.ZipFile(wheels[0]).namelist()


NO_COMPILER = {"CC": "no-such-compiler"}


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="it is always pure here")
def test_with_a_compiler(tree, tmp_path):
    _, name, files = build(tree, tmp_path)
    assert "none-any" not in name
    assert sum(file.startswith("fastsig/_core.") for file in files) == 2
    assert not [file for file in files if file.endswith((".c", ".pyx"))]
    assert {"fastsig/py.typed", "fastsig/_core.pyi", "fastsig/_pure.py"} <= set(files)
    assert {file.partition("/")[0].partition("-")[0] for file in files} == {"fastsig"}


def test_without_a_compiler(tree, tmp_path):
    done, name, files = build(tree, tmp_path, **NO_COMPILER)
    assert name.endswith("-py3-none-any.whl")
    assert [file for file in files if "_core" in file] == ["fastsig/_core.pyi"]
    assert "building without the compiled core" in done.stdout + done.stderr


def test_switched_off(tree, tmp_path):
    _, name, _ = build(tree, tmp_path, FASTSIG_NO_EXTENSIONS="1")
    assert name.endswith("-py3-none-any.whl")


@pytest.mark.parametrize("name", ["FASTSIG_REQUIRE_EXTENSIONS", "CIBUILDWHEEL"])
def test_required(tree, tmp_path, name):
    done, wheel, _ = build(tree, tmp_path, **NO_COMPILER, **{name: "1"})
    assert done.returncode != 0
    assert wheel is None


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"FASTSIG_NO_EXTENSIONS": "maybe"}, "FASTSIG_NO_EXTENSIONS must be 0 or 1, not 'maybe'"),
        ({"FASTSIG_NO_EXTENSIONS": "1", "FASTSIG_REQUIRE_EXTENSIONS": "1"}, "contradict"),
    ],
)
def test_senseless_environment(tree, tmp_path, environment, message):
    done, wheel, _ = build(tree, tmp_path, **environment)
    assert done.returncode != 0
    assert wheel is None
    assert message in done.stdout + done.stderr
