"""Building: a wheel is tagged as what it holds, with and without a compiler."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import distributions
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="the source distribution is not at hand"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("source") / "fastsig"
    left_out = shutil.ignore_patterns(
        *(".*", "__pycache__", "build", "dist", "wheelhouse"),
        *("*.so", "*.pyd", "*.c", "*.egg-info"),
    )
    return shutil.copytree(ROOT, tree, ignore=left_out)


def build(tree, folder, **environment):
    """Build a wheel; return what pip said, its name and the names of the files in it."""
    shutil.rmtree(tree / "build", ignore_errors=True)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--verbose"]
    names = (
        *("FASTSIG_NO_EXTENSIONS", "FASTSIG_REQUIRE_EXTENSIONS", "CIBUILDWHEEL"),
        *("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS"),
    )
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


def build_sdist(tree, folder, **environment):
    """Build a source distribution; return its path."""
    program = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tree,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        timeout=300,
    )
    return next(folder.glob("*.tar.gz"))


NO_COMPILER = {"CC": "no-such-compiler"}
compiler_is_told = pytest.mark.skipif(sys.platform == "win32", reason="CC means nothing there")


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="it is always pure here")
def test_with_a_compiler(tree, tmp_path):
    _, name, files = build(tree, tmp_path)
    assert "none-any" not in name
    assert sum(file.startswith("fastsig/_core.") for file in files) == 2
    assert not [file for file in files if file.endswith((".c", ".pyx"))]
    assert {"fastsig/py.typed", "fastsig/_core.pyi", "fastsig/_pure.py"} <= set(files)
    assert {file.partition("/")[0].partition("-")[0] for file in files} == {"fastsig"}


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="it is always pure here")
@pytest.mark.skipif(hasattr(sys, "gettotalrefcount"), reason="this Python is not optimized itself")
@pytest.mark.parametrize("build_of", ["user", "release"])
def test_extensions_are_optimized(tree, tmp_path, build_of):
    settings = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    if sys.platform == "win32":
        settings = settings["windows"]
    done, _, _ = build(tree, tmp_path, **(settings["environment"] if build_of == "release" else {}))
    commands = [
        set(line.split())
        for line in (done.stdout + done.stderr).splitlines()
        if re.search(r"\s[-/]c\s.*fastsig", line)
    ]
    assert commands, done.stderr
    for command in commands:
        assert command & {"-O2", "-O3", "/O2"}, command
        assert command & {"-DNDEBUG", "/DNDEBUG"}, command
        if build_of == "release" and sys.platform != "win32":
            assert "-g0" in command, command


@compiler_is_told
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="it is always pure here")
@pytest.mark.skipif(sys.version_info < (3, 13), reason="these headers know no Python without a GIL")
def test_compiles_without_a_gil(tree, tmp_path):
    """Compile what is for a free-threaded Python only, against the headers of any."""
    source = tmp_path / "_core.c"
    cython = [sys.executable, "-m", "cython", tree / "src/fastsig/_core.pyx", "-o", source]
    subprocess.run(cython, check=True, timeout=300)
    compiler = shlex.split(sysconfig.get_config_var("CC"))
    include = f"-I{sysconfig.get_path('include')}"
    errors = [f"-Werror={name}" for name in ("implicit-function-declaration", "int-conversion")]
    errors.append("-Werror=incompatible-pointer-types")
    done = subprocess.run(
        [*compiler, "-fsyntax-only", *errors, "-DPy_GIL_DISABLED=1", include, source],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@compiler_is_told
def test_without_a_compiler(tree, tmp_path):
    done, name, files = build(tree, tmp_path, **NO_COMPILER)
    assert name.endswith("-py3-none-any.whl")
    assert [file for file in files if "_core" in file] == ["fastsig/_core.pyi"]
    assert "building without the compiled core" in done.stdout + done.stderr


def test_switched_off(tree, tmp_path):
    _, name, _ = build(tree, tmp_path, FASTSIG_NO_EXTENSIONS="1")
    assert name.endswith("-py3-none-any.whl")


@compiler_is_told
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


def test_source_distribution(tree, tmp_path):
    path = build_sdist(tree, tmp_path)
    version = re.search('__version__ = "(.*)"', (tree / "src/fastsig/__init__.py").read_text())
    assert path.name == f"fastsig-{version[1]}.tar.gz"
    assert list(distributions.complaints(path)) == []
    (tree / "tests" / "_notes.py").touch()
    (tree / "src" / "fastsig" / "_core.c").touch()
    path = build_sdist(tree, tmp_path)
    (tree / "tests" / "_notes.py").unlink()
    assert "tests/_notes.py" in distributions.members(path)
    assert "src/fastsig/_core.c" not in distributions.members(path)


def test_source_distributions_are_the_same(tree, tmp_path):
    other = shutil.copytree(tree, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    os.chmod(other / "setup.py", 0o600)
    archives = []
    for name, place in (("one", tree), ("two", other)):
        (tmp_path / name).mkdir()
        path = build_sdist(place, tmp_path / name, SOURCE_DATE_EPOCH="1000000000")
        archives.append(path.read_bytes())
    assert archives[0] == archives[1]


def repacked(wheel, name, without=(), **files):
    """Copy a wheel under another name, without some files and with some more; return its path."""
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(wheel.with_name(name), "w") as new:
        for each in old.namelist():
            if each not in without:
                new.writestr(each, old.read(each))
        for each, content in files.items():
            new.writestr(f"fastsig/{each.replace('__', '.')}", content)
    return wheel.with_name(name)


BINARY = "fastsig-0.1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"


def test_what_would_not_be_published(tree, tmp_path):
    _, name, _ = build(tree, tmp_path, FASTSIG_NO_EXTENSIONS="1")
    pure = tmp_path / name
    extension = {"_core__cpython-311-x86_64-linux-gnu__so": ""}

    def complaints(name, without=(), **files):
        return list(distributions.complaints(repacked(pure, name, without, **files)))

    assert list(distributions.complaints(pure)) == []
    assert complaints(BINARY, **extension) == []
    assert complaints(BINARY) == ["should hold one compiled core for 311, and holds []"]
    assert len(complaints(BINARY.replace("311", "312"), **extension)) == 1
    assert len(complaints(BINARY.replace("-cp311-many", "-abi3-many"), **extension)) == 2
    assert len(complaints(BINARY.replace("manylinux2014", "linux"), **extension)) == 1
    assert complaints(BINARY, **extension, _core__pyx="") == ["holds fastsig/_core.pyx"]
    assert complaints("fastsig-2-py3-none-any.whl", **extension) != []
    assert complaints("fastsig-2-py3-none-any.whl", ["fastsig/py.typed"]) == [
        "lacks fastsig/py.typed"
    ]


def test_what_is_published_is_complete(tmp_path, capsys):
    assert distributions.main(["--complete", str(tmp_path)]) == 1
    missing = capsys.readouterr().out.splitlines()
    assert len(missing) == len(distributions.PUBLISHED) + 2
    assert "there is no wheel for cp314t-musllinux_aarch64" in missing


@pytest.mark.parametrize("platform", distributions.PLATFORMS)
def test_identifiers(platform):
    """cibuildwheel builds what we say that we publish."""
    pytest.importorskip("cibuildwheel")
    options = ["--platform", platform, "--archs", "all", "--print-build-identifiers"]
    done = subprocess.run(
        [sys.executable, "-m", "cibuildwheel", *options, str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) == {
        f"{python}-{tag}"
        for python in distributions.PYTHONS
        for tag in distributions.PLATFORMS[platform]
    }
