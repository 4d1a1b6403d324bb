"""``python -m fastsig``: show the installation, check an app, run a demo, measure a send."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib import import_module

import fastsig
from fastsig.engine.switches import switch

INSTALL = {
    "celery": "python -m pip install 'celery>=5.4'",
    "django": "python -m pip install 'django>=5.2'",
}


def core() -> str:
    """Return which core (build of the engine) is used, and why."""
    if fastsig.compiled:
        return "compiled"
    if switch("FASTSIG_NO_EXTENSIONS"):
        return "pure Python (the compiled one is switched off: FASTSIG_NO_EXTENSIONS=1)"
    return "pure Python (the compiled one is missing in this installation)"


def dispatch() -> str:
    """Return the version of Celery, and whether it dispatches through fastsig."""
    import fastsig.signals  # noqa: F401 - makes Celery dispatch through fastsig

    try:
        import celery

        from fastsig.celery import installed
    except ModuleNotFoundError:
        return f"not installed ({INSTALL['celery']})"
    through = "dispatches through fastsig" if installed() else "not changed: FASTSIG_CELERY=0"
    return f"{celery.__version__}, {through}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m fastsig")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("info", help="show what is installed (the default)")
    demos = commands.add_parser(
        "demo", help="start a real Celery worker, and show seven signals as they arrive"
    )
    demos.add_argument(
        "--django", action="store_true", help="show Django's rows per second, on sqlite, instead"
    )
    for name, text in (
        ("list", "list the signals of an app that have receivers, and where these are"),
        ("check", "report receivers of an app that can never run, or always fail"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("-A", "--app", required=True, help="the app, as for `celery -A`")
        command.add_argument("--json", action="store_true", help="print JSON")
    bench = commands.add_parser(
        "bench", help="measure a send on this machine, and compare it with other libraries"
    )
    bench.add_argument(
        "--seconds", type=float, default=9.0, help="how long to measure (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.command == "bench" and not options.seconds > 0:
        parser.error("--seconds must be more than 0")
    if options.command in ("list", "check"):
        from fastsig.commands import check, list_signals

        return (list_signals if options.command == "list" else check)(options.app, options.json)
    if options.command == "demo":
        return _demo("django" if options.django else "celery")
    print(f"fastsig  {fastsig.__version__}")
    print(f"python   {platform.python_implementation()} {platform.python_version()}")
    print(f"core     {core()}")
    if options.command == "bench":
        return _bench(options.seconds)
    print(f"celery   {dispatch()}")
    return 0


def _demo(host: str) -> int:
    try:
        import_module(host)
    except ModuleNotFoundError as error:
        if error.name != host:
            raise
        print(f"the demo needs {host.capitalize()}: {INSTALL[host]}", file=sys.stderr)
        return 1
    name = "demo" if host == "celery" else "demo_django"
    status: int = import_module(f"fastsig.command.{name}").demo()
    return status


def _bench(seconds: float) -> int:
    print(f"machine  {platform.platform()}, {os.cpu_count()} processors\n", flush=True)
    try:
        from fastsig.command.bench import bench

        bench(seconds)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
