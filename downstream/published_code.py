"""Published code that uses Celery's signals, and its own tests, with only the imports changed.

    python downstream/published_code.py [--pure]

fetches releases of packages from PyPI, runs those of their tests that have to do with signals,
changes the lines that import signals from ``celery`` so that they import them from ``fastsig``,
and runs the same tests again: each must have the same outcome, and pass unless it is known to
fail with Celery's own signals.  Prints a line for each package; the exit code is 1 if anything is
not as it must be.  Nothing is left behind.

The script is also the pytest plugin that notes the outcomes and whose signals were in use.
"""

import argparse
import ast
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CELERY = "celery==5.7.0"


class Package(typing.NamedTuple):
    """A release on PyPI, how to run its tests, and which ones fail with Celery's signals too."""

    name: str
    version: str
    requirements: list[str]
    arguments: list[str]
    failing: tuple[str, ...] = ()


PACKAGES = [
    Package(
        "opentelemetry-instrumentation-celery",
        "0.66b1",
        [
            "opentelemetry-instrumentation==0.66b1",
            "opentelemetry-semantic-conventions==0.66b1",
            "opentelemetry-test-utils==0.66b1",
        ],
        ["tests"],
    ),
    Package(
        "Flask-CeleryExt",
        "0.4.1",
        ["Flask<2.2", "Werkzeug<2.2", "msgpack", "pytest-mock", "redis"],
        ["tests"],
    ),
    Package(
        "invenio-celery",
        "1.3.1",
        # It still uses pkg_resources.
        ["Flask-CeleryExt==0.5.1", "invenio-base", "msgpack", "redis", "setuptools<81"],
        ["tests"],
    ),
    Package(
        "raven",
        "6.10.0",
        ["exam", "mock", "pytz"],
        # Its conftest.py is for an older pytest.  It wants the root logger without handlers.
        ["--noconftest", "-p", "no:logging", "tests/contrib/test_celery.py"],
        # It expects the exception that the task raised; since 4.1 billiard wraps it in another.
        ("tests/contrib/test_celery.py::CeleryTestCase::test_ignore_expected",),
    ),
]

outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report):
    """Note the outcome of a test: that of the call, or of what went wrong around it."""
    if report.when == "call" or report.outcome != "passed":
        outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish():
    """Write down what was noted."""
    report = {"outcomes": outcomes, "signals": signals_in_use()}
    Path(os.environ["PUBLISHED_CODE_REPORT"]).write_text(json.dumps(report), encoding="utf-8")


def signals_in_use():
    """Return whose signals Celery has: "celery", or the core of fastsig, "compiled" or "pure"."""
    # Not by importing it: that would let Celery dispatch through fastsig.  The plugin for pytest
    # imports only the package.
    if "fastsig.signals" not in sys.modules:
        return "celery"
    fastsig, ours = sys.modules["fastsig"], sys.modules["fastsig.signals"]
    theirs = sys.modules["celery.signals"]
    for name in theirs.__all__:
        signal = getattr(theirs, name)
        if signal is not getattr(ours, name) or "_fastsig" not in vars(signal):
            return f"{name} is not adopted"
    return "compiled" if fastsig.compiled else "pure"


def run(*command, **options):
    """Run a command that must succeed; show what it says only if it does not."""
    process = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        **options,
    )
    if process.returncode:
        sys.exit(f"{process.stdout}\n{' '.join(map(str, command))} failed")


def make_environment(folder):
    """Make a virtual environment; return its Python."""
    run(sys.executable, "-m", "venv", folder)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def pip(python, command, *arguments):
    """Run pip in an environment; a fastsig that is built must have the compiled core."""
    run(
        *(python, "-m", "pip", "--disable-pip-version-check", command, *arguments),
        env=environment(FASTSIG_REQUIRE_EXTENSIONS="1"),
    )


def environment(**variables):
    """Return the environment variables without those that are for pytest or for fastsig."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FASTSIG_", "PYTEST_", "PYTHON"))
    }
    return {**kept, **variables}


def build_fastsig(folder):
    """Build a wheel from a copy of the repository, which is left as it is."""
    ignored = shutil.ignore_patterns(
        ".*", "build", "dist", "*.egg-info", "__pycache__", "*.c", "*.so"
    )
    shutil.copytree(ROOT, folder / "fastsig", ignore=ignored)
    python = make_environment(folder / "venv")
    pip(python, "wheel", "--no-deps", "--wheel-dir", folder, folder / "fastsig")
    [wheel] = folder.glob("*.whl")
    return wheel


def unpack(archive, folder):
    """Unpack a source distribution; return the one folder that is in it."""
    shutil.unpack_archive(archive, folder, filter="data")
    [tree] = folder.iterdir()
    return tree


def change_imports(tree):
    """Let all Python files import signals from fastsig; return how many lines were changed."""
    changed = 0
    for path in sorted(tree.rglob("*.py")):
        source = path.read_bytes()
        if b"celery" not in source or b"signals" not in source:
            continue
        lines = source.splitlines(keepends=True)
        imports = [node for node in ast.walk(ast.parse(source)) if imports_signals(node)]
        for node in imports:
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line.replace(b"from celery", b"from fastsig", 1)
        if imports:
            path.write_bytes(b"".join(lines))
            changed += len(imports)
    return changed


def imports_signals(node):
    """Return whether a statement imports Celery's signals, and nothing else."""
    return isinstance(node, ast.ImportFrom) and (
        node.module == "celery.signals"
        or (node.module == "celery" and [alias.name for alias in node.names] == ["signals"])
    )


def run_tests(python, tree, arguments, variables):
    """Install a package and run its tests; return what the plugin wrote, and what pytest did."""
    pip(python, "install", "--no-deps", "--force-reinstall", tree)
    plugin = tree.parent / "plugin"
    plugin.mkdir()
    shutil.copy(__file__, plugin / "published_code.py")
    report = plugin / "report.json"
    variables = environment(PUBLISHED_CODE_REPORT=str(report), PYTHONPATH=str(plugin), **variables)
    process = subprocess.run(
        # Their own options ask for coverage and for checks of the style.
        [python, "-m", "pytest", "-p", "published_code", "-o", "addopts=", *arguments],
        cwd=tree,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    if not report.exists():
        sys.exit(f"{process.stdout}\npytest wrote no report")
    return json.loads(report.read_text(encoding="utf-8")), process.stdout


def counted(outcomes):
    """Return how many tests had which outcome, as a text."""
    counts = collections.Counter(outcomes.values())
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()) or "none"


def failing(outcomes):
    """Return the tests that failed."""
    return {test for test, outcome in outcomes.items() if outcome == "failed"}


def check(package, wheel, folder, core):
    """Run the tests of a package before and after; print the result and return whether it is good.

    Arguments:
        package: The package.
        wheel: The wheel of fastsig.
        folder: An empty folder.
        core: The core that is to be in use, "compiled" or "pure".
    """
    python = make_environment(folder / "venv")
    pip(python, "install", wheel, CELERY, "pytest", *package.requirements)
    release = f"{package.name}=={package.version}"
    pip(
        *(python, "download", "--no-deps", "--no-binary", package.name),
        *("--dest", folder / "release", release),
    )
    [archive] = (folder / "release").iterdir()

    variables = {"FASTSIG_NO_EXTENSIONS": "1"} if core == "pure" else {}
    tree = unpack(archive, folder / "before")
    before, output_before = run_tests(python, tree, package.arguments, variables)
    tree = unpack(archive, folder / "after")
    changed = change_imports(tree)
    after, output_after = run_tests(python, tree, package.arguments, variables)

    print(
        f"{package.name} {package.version}: import lines changed: {changed};"
        f" before: {counted(before['outcomes'])} ({before['signals']});"
        f" after: {counted(after['outcomes'])} ({after['signals']})",
        flush=True,
    )
    good = (
        changed > 0
        and "passed" in before["outcomes"].values()
        and before["outcomes"] == after["outcomes"]
        and failing(before["outcomes"]) == set(package.failing)
        and (before["signals"], after["signals"]) == ("celery", core)
    )
    if not good:
        print(output_before, output_after, sep="\n", flush=True)
    return good


def main():
    """Check all the packages; return the exit code."""
    parser = argparse.ArgumentParser(description="Run published code on fastsig's signals.")
    parser.add_argument("--pure", action="store_true", help="use the core in pure Python")
    core = "pure" if parser.parse_args().pure else "compiled"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "build").mkdir()
        wheel = build_fastsig(folder / "build")
        results = []
        for package in PACKAGES:
            (folder / package.name).mkdir()
            results.append(check(package, wheel, folder / package.name, core))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
