"""Build the distributions, check them, and try each way to install them: ``make wheels``.

    python tools/wheels.py [--quick] [INTERPRETER ...]

Without an interpreter named, it takes each CPython that can build here, and PyPy.  What comes out
is in ``dist``.  The packages that building and testing take are fetched first, into ``wheelhouse``;
from then on no index is asked.  ``--quick`` takes this interpreter only, builds nothing twice, and
runs the tests of the core on the wheels.
"""

import argparse
import functools
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
WHEELHOUSE = ROOT / "wheelhouse"
OFFLINE = ("--no-index", "--find-links")
PURE, COMPILED = "FASTSIG_NO_EXTENSIONS", "FASTSIG_REQUIRE_EXTENSIONS"
WAYS = ("binary wheel", "pure wheel", "sdist, compiler", "sdist, no compiler")
CORE_TESTS = ["tests/core"]
KINDS = {"cpython": "CPython", "pypy": "PyPy"}

ABOUT = """
import os, sys, sysconfig
print(sys.implementation.name, sys.version_info[1])
print("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")
print(os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
"""
INSTALLED = """
import importlib.metadata, fastsig
wheel = importlib.metadata.distribution("fastsig").read_text("WHEEL")
assert ("py3-none-any" in wheel) is not fastsig.compiled, wheel
print("compiled" if fastsig.compiled else "pure")
"""


class Interpreter:
    """A Python on this machine."""

    def __init__(self, command):
        self.command = command
        names, threads, headers = run(command, "-c", ABOUT, quiet=True).splitlines()
        kind, minor = names.split()
        self.name = f"{KINDS[kind]} 3.{minor}{threads}"
        self.compiles = kind == "cpython" and headers == "True"
        self.serves = int(minor) >= 10 and (self.compiles or kind == "pypy")

    def environment(self, folder):
        """Make a virtual environment in `folder`, with nothing in it; return its interpreter."""
        run(self.command, "-m", "venv", "--without-pip", folder, quiet=True)
        return folder / "bin" / "python"


def interpreters():
    """Return those of this machine that serve, one of each version."""
    names = [f"python3.{minor}{threads}" for minor in range(10, 20) for threads in ("", "t")]
    commands = list(filter(None, map(shutil.which, [*names, "pypy3"])))
    if shutil.which("pyenv"):
        for version in run("pyenv", "versions", "--bare", quiet=True).split():
            commands.append(run("pyenv", "prefix", version, quiet=True).strip() + "/bin/python")
    found = {}
    for command in commands:
        try:
            interpreter = Interpreter(command)
        except (Failed, KeyError, OSError):  # a shim of pyenv's, something else altogether
            continue
        if interpreter.serves:
            found.setdefault(interpreter.name, interpreter)
    return list(found.values())


class Failed(Exception):
    """A command exited with another status than 0."""


def run(*command, quiet=False, cwd=ROOT, **environment):
    """Run a command where no setting of this shell's matters; return what it printed."""
    if not quiet:
        words = [Path(word).name if os.path.isabs(word) else word for word in command]
        print("$", *words, flush=True)
    settings = ("CC", "CFLAGS", "CPPFLAGS", "FASTSIG_", "PIP_FIND_LINKS", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**kept, "PIP_NO_CACHE_DIR": "1", **environment},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise Failed(f"{done.stdout}\n{' '.join(map(str, command))}: status {done.returncode}")
    return done.stdout


def pip(python, *arguments, **environment):
    """Run this environment's pip for another one."""
    run(sys.executable, "-m", "pip", "--quiet", "--python", python, *arguments, **environment)


def copied(folder):
    """Copy what belongs to the project into `folder`; return it."""
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", quiet=True)
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def fetch(interpreter, work):
    """Put what building and testing take into `WHEELHOUSE`."""
    python = interpreter.environment(work / "fetch" / interpreter.name)
    wanted = ["--only-binary", ":all:", "--group", "test"]
    pip(python, "download", "--dest", WHEELHOUSE, *wanted)


def built(make, work, times):
    """Return the file that `make` puts into a folder; made again, its bytes must be the same."""
    files = []
    for number in range(times):
        folder = work / f"{number}"
        make(folder)
        files += folder.iterdir()
    if len({file.read_bytes() for file in files}) != 1:
        raise Failed(f"not the same bytes: {' '.join(map(str, files))}")
    return files[0]


def build(found, work, times):
    """Put the distributions into `DIST`."""
    epoch = {"SOURCE_DATE_EPOCH": run("git", "log", "-1", "--format=%ct", quiet=True).strip()}

    def make_source(folder):
        tree = copied(folder.with_suffix(".tree"))
        options = ["--sdist", "--no-isolation", "--outdir", folder]
        run(sys.executable, "-m", "build", *options, tree, **epoch)

    source = built(make_source, work / "source", times)
    wheels = []
    for interpreter in found:
        python = interpreter.environment(work / interpreter.name / "venv")
        pip(python, "install", *OFFLINE, WHEELHOUSE, "cython", "setuptools")

        def make_wheel(folder, core, python=python):
            options = ["--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", folder]
            pip(python, "wheel", *options, source, **epoch, **{core: "1"}, CPPFLAGS="-g0")

        for core in PURE, COMPILED:
            if interpreter.compiles if core == COMPILED else not wheels:
                make = functools.partial(make_wheel, core=core)
                wheels.append(built(make, work / interpreter.name / core, times))

    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    for path in source, wheels[0]:
        shutil.copy(path, DIST)
    for wheel in wheels[1:]:
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        run(sys.executable, "-m", "auditwheel", "repair", "-w", DIST, wheel, **epoch, PATH=tools)


def check():
    """Check what is in `DIST`."""
    run(sys.executable, ROOT / "tests" / "packaging" / "distributions.py", DIST)
    run(sys.executable, "-m", "twine", "check", "--strict", *DIST.iterdir())
    run(sys.executable, "-m", "check_wheel_contents", *DIST.glob("*.whl"))


def try_out(interpreter, way, work, tests):
    """Install fastsig in one way, without an index; run tests on it; return how that went."""
    folder = work / "install" / f"{interpreter.name} {way}"
    python = interpreter.environment(folder)
    alone = {"PATH": str(python.parent)}  # where there is no compiler
    if way == "binary wheel":
        links = DIST
    else:
        links = folder / "links"
        links.mkdir()
        kind = "*-none-any.whl" if way == "pure wheel" else "*.tar.gz"
        shutil.copy(next(DIST.glob(kind)), links)
    if way.startswith("sdist"):
        environment = {} if way == "sdist, compiler" else alone
        pip(
            python, "install", *OFFLINE, links, "--find-links", WHEELHOUSE, "fastsig", **environment
        )
    else:
        pip(python, "install", *OFFLINE, links, "fastsig", **alone)
    core = run(python, "-c", INSTALLED, quiet=True, cwd=folder, **alone).strip()
    wanted = "compiled" if way in ("binary wheel", "sdist, compiler") else "pure"
    if core != (wanted if interpreter.compiles else "pure"):
        raise Failed(f"{interpreter.name}, {way}: the {core} core was installed")

    pip(python, "install", *OFFLINE, WHEELHOUSE, "--group", "test")
    with tarfile.open(next(DIST.glob("*.tar.gz"))) as archive:
        archive.extractall(folder)
    [tree] = folder.glob("fastsig-*")
    shutil.rmtree(tree / "src")
    (tree / "setup.py").unlink()
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    if core == "pure":
        try:
            run(*pytest, "tests/core/test_sending.py", quiet=True, cwd=tree, **alone)
        except Failed:
            tests = ["--core", "pure", *tests]
        else:
            raise Failed("a missing compiled core went unnoticed")
    summary = run(*pytest, *tests, cwd=tree, **alone).splitlines()[-1].strip("= ")
    return f"| {interpreter.name} | {way} | {core} | {summary} |"


def main():
    """Build, check, install; print how the tests went; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one interpreter, fewer tests")
    parser.add_argument("interpreters", nargs="*")
    options = parser.parse_args()
    if options.quick:
        found = [Interpreter(sys.executable)]
    else:
        found = list(map(Interpreter, options.interpreters)) or interpreters()
    print("For", ", ".join(each.name for each in found), flush=True)
    rows = ["| interpreter | installed from | core | tests |", "|---|---|---|---|"]
    tests, ways = (CORE_TESTS, WAYS[:2]) if options.quick else ([], WAYS)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)

        def tried(interpreter, way):
            try:
                row = try_out(interpreter, way, work, tests)
            except Failed as failure:
                print(failure)
                row = f"| {interpreter.name} | {way} | | failed |"
            print(row, flush=True)
            return row

        for interpreter in found:
            fetch(interpreter, work)
        build(found, work, times=1 if options.quick else 2)
        check()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            tries = [
                pool.submit(tried, interpreter, way)
                for interpreter in found
                for way in ways
                if interpreter.compiles or way == "pure wheel"
            ]
        rows += [each.result() for each in tries]
    print("", *rows, sep="\n")
    return 1 if any(row.endswith("| failed |") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
