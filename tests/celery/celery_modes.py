"""Programs that use Celery's signals, and what they print with Celery alone and with fastsig.

A program is a function with the decorator `program`, in a test file.  It is run in a process of its
own, in several modes:

- ``stock``: without fastsig;
- ``before``: fastsig is imported first;
- ``after``: fastsig is imported after Celery; where the function has a ``yield``, at that point;
- ``off``: as ``after``, with ``FASTSIG_CELERY=0``; Celery's own code runs.

``yield`` gives the module of the signals: ``celery.signals``, or with fastsig ``fastsig.signals``.
What it prints, and then the `repr` of what it returns, is what a user observes.
"""

import contextlib
import difflib
import importlib.metadata
import importlib.util
import inspect
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

PATIENCE = 60

# Imported before the programs run, so that each of them need not wait for it.
CELERY = (
    "celery.app.amqp",
    "celery.app.builtins",
    "celery.app.log",
    "celery.app.trace",
    "celery.backends.cache",
    "celery.canvas",
    "celery.concurrency.solo",
    "celery.loaders.app",
    "celery.signals",
    "celery.worker.request",
    "kombu.transport.memory",
    "unittest.mock",
)


def program(
    function=None, *, alone=False, needs=(), since=None, differs=None, expects=None, undecided=None
):
    """Mark a function as a program.

    Arguments:
        function: The program.
        alone: It starts without anything of Celery's imported.
        needs: The packages that it imports, besides Celery.
        since: The version of Celery with which its output is right.
        differs: What it prints with fastsig, where that is not what it prints without.  A dict
            with a core or a mode as key, if it is not the same in all.
        expects: What it prints with fastsig, whatever it prints without (which may depend on
            versions).
        undecided: Why it may print something else, until that is decided.
    """

    def mark(function):
        function.alone, function.needs = alone, needs
        function.since, function.differs = since, differs
        function.expects, function.undecided = expects, undecided
        return function

    return mark if function is None else mark(function)


def programs(module):
    """Return the programs in the namespace of a module, by name."""
    return {name: value for name, value in module.items() if hasattr(value, "differs")}


# ---- for the programs


def one(**kwargs):
    return 1


def names(sender=None, signal=None, **kwargs):
    return sorted(kwargs)


def shown(responses):
    """Return responses without addresses."""
    return [
        (getattr(receiver, "__name__", type(receiver).__name__), value)
        for receiver, value in responses
    ]


OURS = {"asend", "connected", "connections", "explain", "muted", "recorded"}
"""The methods that fastsig adds to Celery's class."""


def signature_of(method):
    """Return the signature of a method, without the keyword-only options that fastsig adds."""
    signature = inspect.signature(method, eval_str=True)
    kept = [each for each in signature.parameters.values() if each.kind is not each.KEYWORD_ONLY]
    return signature.replace(parameters=kept)


def make_app(name="app"):
    from celery import Celery

    return Celery(name, broker="memory://", backend="cache+memory://", set_as_current=False)


def attempt(call, *args, **kwargs):
    """Return the result of a call, or the type of what it raised."""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return type(error).__name__


# ---- in the process of a program


def perform(function, mode):
    """Run a program in a process of its own; return what it printed."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            result = follow(function, mode)
        except BaseException as error:
            traceback.print_exc()
            print(f"\nraised {type(error).__name__}: {error}")
        else:
            if result is not None:
                print(repr(result))
    loaded = any(name.partition(".")[0] == "fastsig" for name in sys.modules)
    assert loaded is (mode != "stock")
    return {"out": stdout.getvalue(), "err": stderr.getvalue()}


def follow(function, mode):
    """Run a program, and import fastsig where its mode says; return what it returns."""
    if not inspect.isgeneratorfunction(function):
        if mode in ("after", "off"):
            importlib.import_module("celery.signals")
            arrive()
        return function()
    steps = function()
    next(steps)
    signals = importlib.import_module("celery.signals") if mode == "stock" else arrive()
    try:
        steps.send(signals)
    except StopIteration as stop:
        return stop.value
    raise AssertionError(f"{function.__name__} yields more than once")


def arrive():
    """Import fastsig, as a user does; return its signals."""
    signals = importlib.import_module("fastsig.signals")
    face = sys.modules.get("fastsig.celery")
    on = face is not None and face.installed()
    assert on is (os.environ["FASTSIG_CELERY"] != "0"), "installed" if on else "not installed"
    return signals


def serve(mode, module):
    """Run the programs whose names come in, each in a fork of this process; answer in JSON."""
    for name in CELERY:
        importlib.import_module(name)
    functions = vars(importlib.import_module(module))
    print("ready", flush=True)
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            import signal as os_signals

            os.close(reading)
            os_signals.alarm(PATIENCE)
            found = perform(functions[line.strip()], mode)
            with open(writing, "w") as file:
                json.dump(found, file)
            os._exit(0)
        os.close(writing)
        with open(reading) as file:
            found = file.read()
        _, status = os.waitpid(child, 0)
        print(found or json.dumps({"out": f"ended with {status}", "err": ""}), flush=True)


# ---- in the process of the tests


class Observer:
    """Runs programs, in processes that it keeps until it is closed."""

    def __init__(self):
        self.servers, self.seen = {}, {}

    def observe(self, function, mode, environment):
        """Return what a program prints, and what it writes to stderr."""
        if mode == "off":
            environment = {**environment, "FASTSIG_CELERY": "0"}
        core = environment["FASTSIG_NO_EXTENSIONS"] if mode != "stock" else None
        key = function.__module__, function.__name__, mode, core
        if key not in self.seen:
            if function.alone or not hasattr(os, "fork"):
                command = [*self._command(function, mode), function.__name__]
                done = subprocess.run(
                    command,
                    env=environment,
                    check=False,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                )
                assert done.returncode == 0, done.stdout + done.stderr
                answer = done.stdout
            else:
                server = self._server(function, mode, core, environment)
                server.stdin.write(function.__name__ + "\n")
                server.stdin.flush()
                answer = server.stdout.readline()
            self.seen[key] = json.loads(answer)
        return self.seen[key]

    def _command(self, function, mode):
        return [sys.executable, str(Path(__file__)), mode, function.__module__]

    def _server(self, function, mode, core, environment):
        key = function.__module__, mode, core
        if key not in self.servers:
            server = self.servers[key] = subprocess.Popen(
                self._command(function, mode),
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert server.stdout.readline() == "ready\n"
        return self.servers[key]

    def close(self):
        for server in self.servers.values():
            server.stdin.close()
            server.stdout.close()
            server.wait(PATIENCE)


def missing(function):
    """Return why a program cannot run here, if it cannot."""
    for package in function.needs:
        if importlib.util.find_spec(package) is None:
            return f"needs {package}"
    installed = tuple(map(int, importlib.metadata.version("celery").split(".")[:2]))
    if function.since and installed < function.since:
        return f"Celery {installed[0]}.{installed[1]} has another rule"
    return ""


def difference(observer, function, mode, core, environment):
    """Return what is wrong with what a program prints with fastsig; nothing if it is right."""
    expected = function.expects if mode != "off" else None
    if expected is None:
        stock = observer.observe(function, "stock", environment)
        raised = any(line.startswith("raised ") for line in stock["out"].splitlines())
        if not stock["out"] or (raised and not function.expects):
            return f"{function.__name__} with Celery alone:\n{stock['out']}{stock['err']}"
        expected = function.differs if mode != "off" else None
        if isinstance(expected, dict):
            expected = expected.get(core, expected.get(mode))
        if expected is None:
            expected = stock["out"]
        elif stock["out"].strip() == expected.strip():
            return f"{function.__name__} does not differ any more:\n{expected}"
    found = observer.observe(function, mode, environment)
    lines = [each.strip().splitlines() for each in (expected, found["out"])]
    if lines[0] == lines[1]:
        return ""
    diff = difflib.unified_diff(*lines, "expected", "with fastsig", lineterm="", n=9)
    return "\n".join([f"{function.__name__}, {mode}, {core}", *diff, found["err"]])


def main():
    mode, module, *names = sys.argv[1:]
    if mode == "before":
        arrive()
    if not names:
        serve(mode, module)
    for name in names:
        print(json.dumps(perform(vars(importlib.import_module(module))[name], mode)))


if __name__ == "__main__":
    # The test files import this by its name.
    importlib.import_module("celery_modes").main()
