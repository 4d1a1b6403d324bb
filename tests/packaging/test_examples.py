"""The examples, links and commands in the READMEs, the documentation and the docstrings."""

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.exists()
]
ALL = [*PAGES, *(path for path in sorted(ROOT.glob("*.md")) if path not in PAGES)]
in_repository = pytest.mark.skipif(
    not (ROOT / "docs").exists(), reason="a source distribution has no docs"
)


def titled(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")], ids=titled
)
def test_examples(page, run):
    pytest.importorskip("celery.signals")
    run(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from examples import main
        sys.exit(main({str(page)!r}))
        """
    )


@in_repository
def test_example_of_a_benchmark(run, core, tmp_path):
    """The one of the fixture, with receivers that do enough to hide what a send costs."""
    pytest.importorskip("pytest_benchmark")
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    conftest, test = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_orders.py").write_text(test)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "receivers.py").write_text(
        "def count_order(order): return sum(range(5_000))\n"
        "def mail_invoice(**kwargs): return sum(range(5_000))\n"
    )
    run("import pytest, sys; sys.exit(pytest.main(['-W', 'error', '-p', 'no:cacheprovider']))")


@in_repository
@pytest.mark.skipif(sys.platform == "win32", reason="its commands are for a POSIX shell")
def test_tutorial(tmp_path):
    """Every file is written and every command run, in the order of the page."""
    pytest.importorskip("celery.signals")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "FASTSIG_CELERY": "1"}
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    text = text.replace("core     compiled", "core     ...")
    ran = 0
    for prose, kind, block in re.findall(r"([^`].*?)^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        if kind == "py":
            (tmp_path / re.findall(r"`(\w+\.py)`", prose)[-1]).write_text(block)
        if kind != "console":
            continue
        for shown in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, expected = re.fullmatch(r"([^\n]*(?:\n> [^\n]*)*)\n(.*)", shown, re.S).groups()
            if "venv" in command or "pip" in command:
                continue
            output = run_command(command.replace("\n> ", "\n"), environment, tmp_path)
            if " worker " in command:
                expected += "..."
            fits = doctest.OutputChecker().check_output(expected, output, doctest.ELLIPSIS)
            assert fits, f"{command}\n{output}"
            ran += 1
    assert ran == 9


def run_command(command, environment, folder):
    """Return what a command prints; stop a worker when it has run a task."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}" if " worker " in command else command],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    timer = Timer(60, process.kill)
    timer.start()
    try:
        with process:
            output = ""
            for line in process.stdout:
                output += line
                if "succeeded in" in line:
                    process.terminate()
            return output
    finally:
        timer.cancel()


def test_docstring(fastsig):
    assert doctest.testmod(fastsig) == (0, 4)


@in_repository
def test_every_signal_is_in_the_reference(fastsig):
    text = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")
    named = re.findall(r"autodata:: (\w+)", text)
    signals = importlib.import_module("fastsig.signals")
    declared = re.findall(r"^(\w+): SignalProtocol", inspect.getsource(signals), re.MULTILINE)
    assert sorted(named) == sorted(declared)
    assert set(signals.__all__) <= set(declared)


@in_repository
@pytest.mark.parametrize("page", ALL, ids=titled)
def test_links(page):
    """Sphinx checks those between the pages of docs; this the rest of them, too."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if target.startswith(("http:", "https:")):
            continue
        path = page.parent / target if target else page
        assert path.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
            assert anchor in anchors, link


@in_repository
def test_commands_exist():
    targets = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.M)[1].split()
    session = r'^@nox\.session(?:\(name="([a-z-]+)")?.*\n(?:@.*\n)*def (\w+)'
    names = re.findall(session, (ROOT / "noxfile.py").read_text(), re.M)
    known = {"make": targets, "nox -s": [name or function for name, function in names]}
    command = r"(?:`|^ {4})(make|nox -s) ([a-z]+(?:-[a-z]+)*)"
    for page in ALL:
        for program, name in re.findall(command, page.read_text(encoding="utf-8"), re.M):
            assert name in known[program], page
