"""``python -m fastsig`` tells what is installed; ``python -m fastsig demo`` shows it at work."""

from __future__ import annotations

import argparse
import platform
import sys

import fastsig
from fastsig.signal import switch


def core() -> str:
    """Return which core runs, and why."""
    if fastsig.compiled:
        return "compiled"
    if switch("FASTSIG_NO_EXTENSIONS"):
        return "pure Python (the compiled one is switched off: FASTSIG_NO_EXTENSIONS=1)"
    return "pure Python (the compiled one is missing in this installation)"


def dispatch() -> str:
    """Return whether Celery is there, and whether it sends its signals through fastsig."""
    import fastsig.signals  # noqa: PLC0415 (makes Celery dispatch through fastsig)

    if "celery" not in sys.modules and not _importable("celery"):
        return "not installed (python -m pip install 'fastsig[celery]')"
    import celery  # noqa: PLC0415

    from fastsig.celery import installed  # noqa: PLC0415

    through = "dispatches through fastsig" if installed() else "left alone: FASTSIG_CELERY=0"
    return f"{celery.__version__}, {through}"


def _importable(name: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415

    return find_spec(name) is not None


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m fastsig", description=__doc__)
    parser.add_argument(
        "command", nargs="?", choices=["info", "demo"], default="info", help="default: %(default)s"
    )
    if parser.parse_args(arguments).command == "demo":
        if not _importable("celery"):
            print("the demo needs Celery: python -m pip install 'fastsig[celery]'", file=sys.stderr)
            return 1
        from fastsig.demo import demo  # noqa: PLC0415

        return demo()
    print(f"fastsig  {fastsig.__version__}")
    print(f"python   {platform.python_implementation()} {platform.python_version()}")
    print(f"core     {core()}")
    print(f"celery   {dispatch()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
