"""Building: a wheel has the right tag, with and without a compiler."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

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


def version_of(tree):
    text = (tree / "src" / "fastsig" / "__init__.py").read_text()
    return re.search('__version__ = "(.*)"', text)[1]


def build_sdist(tree, folder):
    """Build a source distribution; return its path."""
    program = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tree,
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
    assert name.startswith(f"fastsig_signals-{version_of(tree)}-cp")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert {file for file in files if file.endswith((".so", ".pyd"))} == {
        f"fastsig/engine/_compiled/{name}{suffix}" for name in ("send", "table")
    }
    assert not [file for file in files if file.endswith((".c", ".h", ".pxd", ".pyx"))]
    sources = [path for path in (tree / "src").rglob("*") if path.suffix in (".py", ".typed")]
    assert {path.relative_to(tree / "src").as_posix() for path in sources} <= set(files)
    folders = {file.partition("/")[0].partition("-")[0] for file in files}
    assert folders == {"fastsig", "fastsig_signals"}


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
    engine = tree / "src" / "fastsig" / "engine"
    sources = []
    for path in (engine / "send.pyx", engine / "table.py"):
        sources.append(tmp_path / f"{path.stem}.c")
        module = f"fastsig.engine._compiled.{path.stem}"
        options = ["-3", "-I", tree / "src", "--module-name", module, "-o", sources[-1]]
        subprocess.run([sys.executable, "-m", "cython", *options, path], check=True, timeout=300)
    compiler = shlex.split(sysconfig.get_config_var("CC"))
    include = f"-I{sysconfig.get_path('include')}", f"-I{engine}"
    errors = [f"-Werror={name}" for name in ("implicit-function-declaration", "int-conversion")]
    errors.append("-Werror=incompatible-pointer-types")
    done = subprocess.run(
        [*compiler, "-fsyntax-only", *errors, "-DPy_GIL_DISABLED=1", *include, *sources],
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
    assert not [file for file in files if file.endswith((".so", ".pyd"))]
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
    (tree / "tests" / "_notes.py").touch()
    (tree / "src" / "fastsig" / "engine" / "leftover.c").touch()
    path = build_sdist(tree, tmp_path)
    assert path.name == f"fastsig_signals-{version_of(tree)}.tar.gz"
    with tarfile.open(path) as archive:
        files = {each.name.partition("/")[2] for each in archive}
    sources = [*(tree / "src").rglob("*.py*"), *tree.glob("tests/**/*.py")]
    sources += [*(tree / "src").rglob("*.pxd"), *(tree / "src").rglob("*.h")]
    assert {path.relative_to(tree).as_posix() for path in sources} <= files
    assert {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "setup.py"} <= files
    assert not [file for file in files if file.endswith((".c", ".so", ".pyd"))]


@pytest.mark.skipif(not (ROOT / "tools").exists(), reason="a source distribution has no tools")
def test_readme_on_a_package_index(tmp_path):
    """There, relative links and images lead nowhere."""
    shutil.copy(ROOT / "README.md", tmp_path)
    program = [sys.executable, ROOT / "tools" / "readme.py", "https://example.org/a/b", "v1"]
    subprocess.run(program, cwd=tmp_path, check=True)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    assert not [link for link in links if not link.startswith(("https:", "#"))]
    assert "](https://example.org/a/b/raw/v1/benchmarks/chart.svg)" in text
    assert "](https://example.org/a/b/blob/v1/docs/guarantees.md)" in text
