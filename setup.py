"""Build fastsig: the metadata is in pyproject.toml, and what is compiled is here.

Without an environment variable the extensions are built where they can be; where they cannot, the
build is repeated without them, so that the wheel is tagged as the pure one that it is.
``FASTSIG_NO_EXTENSIONS=1`` builds none; ``FASTSIG_REQUIRE_EXTENSIONS=1`` makes a failure an error.
``FASTSIG_TRACE_LINES=1`` makes coverage see the lines of the extensions (`tools/variant.py`).
"""

import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

EXTENSIONS = [
    Extension(f"fastsig.engine._compiled.{name}", [f"src/fastsig/engine/{source}"])
    for name, source in (("table", "table.py"), ("send", "send.pyx"))
]

DIRECTIVES = {
    "language_level": 3,
    "freethreading_compatible": True,
    "auto_pickle": False,
    "autotestdict": False,
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
}


class BuildFailed(Exception):
    """The extensions cannot be built here."""


class BuildExtensions(build_ext):
    """The usual `build_ext`, whose failures can be told from other ones."""

    def run(self):
        """Build the extensions.

        Raises:
            BuildFailed: They cannot be built.
        """
        try:
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            raise BuildFailed(str(error)) from error


def switch(name):
    """Return whether the environment variable `name` is on."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        sys.exit(f"{name} must be 0 or 1, not {value!r}")
    return value == "1"


def translated():
    """Return the extensions, translated to C."""
    from Cython.Build import cythonize
    from Cython.Compiler.Errors import CompileError

    directives = DIRECTIVES | ({"linetrace": True} if switch("FASTSIG_TRACE_LINES") else {})
    try:
        return cythonize(
            EXTENSIONS,
            compiler_directives=directives,
            include_path=["src"],
            force=True,  # it does not see that table.py depends on its .pxd
        )
    except CompileError as error:
        raise BuildFailed(str(error)) from error


none = switch("FASTSIG_NO_EXTENSIONS")
# cibuildwheel builds for release: there, a wheel without the extensions must not come out.
required = switch("FASTSIG_REQUIRE_EXTENSIONS") or os.environ.get("CIBUILDWHEEL") == "1"
if none and required:
    sys.exit("FASTSIG_NO_EXTENSIONS and FASTSIG_REQUIRE_EXTENSIONS contradict each other")

if none or (sys.implementation.name != "cpython" and not required):
    setup()
else:
    try:
        setup(ext_modules=translated(), cmdclass={"build_ext": BuildExtensions})
    except (BuildFailed, ImportError) as error:
        if required:
            raise
        print(f"fastsig: building without the compiled core: {error}", file=sys.stderr)
        setup()
