"""Build fastsig: the metadata is in pyproject.toml, the choice of a core is here.

Without an environment variable the compiled core is built where it can be; where it cannot, the
build is repeated without it, so that what comes out is tagged as the pure wheel that it is.
``FASTSIG_NO_EXTENSIONS=1`` builds none; ``FASTSIG_REQUIRE_EXTENSIONS=1`` makes a failure an error.
"""

import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError


class BuildFailed(Exception):
    """The compiled core cannot be built here."""


class BuildCore(build_ext):
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


def extensions():
    """Return the compiled core, translated to C."""
    from Cython.Build import cythonize
    from Cython.Compiler.Errors import CompileError

    try:
        return cythonize([Extension("fastsig._core", ["src/fastsig/_core.pyx"])])
    except CompileError as error:
        raise BuildFailed(str(error)) from error


none = switch("FASTSIG_NO_EXTENSIONS")
# cibuildwheel builds for release: there, a wheel without the core must not come out.
required = switch("FASTSIG_REQUIRE_EXTENSIONS") or os.environ.get("CIBUILDWHEEL") == "1"
if none and required:
    sys.exit("FASTSIG_NO_EXTENSIONS and FASTSIG_REQUIRE_EXTENSIONS contradict each other")

if none or (sys.implementation.name != "cpython" and not required):
    setup()
else:
    try:
        setup(ext_modules=extensions(), cmdclass={"build_ext": BuildCore})
    except (BuildFailed, ImportError) as error:
        if required:
            raise
        print(f"fastsig: building without the compiled core: {error}", file=sys.stderr)
        setup()
