"""Hold ``_core.pyi`` against both cores, with mypy's stubtest; exit 1 if one differs.

A stub is for the module of its name.  That the core in plain Python has the same interface is
seen only with a copy of the stub under that module's name.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "fastsig"


def stubtest(module, folder):
    """Compare a module of the copy of the package in `folder` with its stub."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "MYPYPATH": str(folder)}
    print(f"stubtest {module}", flush=True)
    options = ["--ignore-missing-stub", "--ignore-disjoint-bases", "--concise"]
    return subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", module, *options],
        env={**environment, "FASTSIG_CELERY": "0"},
        cwd=folder,
        check=False,
    ).returncode


def main():
    """Compare both cores; return the exit status."""
    with tempfile.TemporaryDirectory() as name:
        package = Path(name) / "fastsig"
        shutil.copytree(PACKAGE, package)
        shutil.copy(package / "_core.pyi", package / "_pure.pyi")
        return max([stubtest(f"fastsig.{core}", Path(name)) for core in ("_core", "_pure")])


if __name__ == "__main__":
    sys.exit(main())
