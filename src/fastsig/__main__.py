"""``python -m fastsig`` tells what is installed; ``python -m fastsig demo`` shows it at work."""

from __future__ import annotations

import argparse
import platform
import sys

import fastsig
from fastsig.signal import switch

INSTALL = "python -m pip install 'fastsig[celery]'"


def core() -> str:
    """Return which core runs, and why."""
    if fastsig.compiled:
        return "compiled"
    if switch("FASTSIG_NO_EXTENSIONS"):
        return "pure Python (the compiled one is switched off: FASTSIG_NO_EXTENSIONS=1)"
    return "pure Python (the compiled one is missing in this installation)"


def dispatch() -> str:
    """Return whether Celery is there, and whether it sends its signals through fastsig."""
    # Makes Celery dispatch through fastsig.
    import fastsig.signals  # noqa: F401

    try:
        import celery

        from fastsig.celery import installed
    except ModuleNotFoundError:
        return f"not installed ({INSTALL})"
    through = "dispatches through fastsig" if installed() else "left alone: FASTSIG_CELERY=0"
    return f"{celery.__version__}, {through}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m fastsig", description=__doc__)
    parser.add_argument(
        "command", nargs="?", choices=["info", "demo"], default="info", help="default: %(default)s"
    )
    if parser.parse_args(arguments).command == "demo":
        try:
            import celery  # noqa: F401
        except ModuleNotFoundError as error:
            if error.name != "celery":
                raise
            print(f"the demo needs Celery: {INSTALL}", file=sys.stderr)
            return 1
        from fastsig.demo import demo

        return demo()
    print(f"fastsig  {fastsig.__version__}")
    print(f"python   {platform.python_implementation()} {platform.python_version()}")
    print(f"core     {core()}")
    print(f"celery   {dispatch()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
