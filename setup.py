"""Build fastsig: the metadata is in pyproject.toml, the choice of a core is here.

Without an environment variable the compiled core is built where it can be; where it cannot, the
build is repeated without it, so that what comes out is tagged as the pure wheel that it is.
``FASTSIG_NO_EXTENSIONS=1`` builds none; ``FASTSIG_REQUIRE_EXTENSIONS=1`` makes a failure an error.
With ``SOURCE_DATE_EPOCH`` the same tree makes the same bytes.
"""

import gzip
import os
import sys
import tarfile

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
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


class SourceArchive(sdist):
    """The usual `sdist`, but that it tells nothing of who made it when, if that is asked for."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **owner):
        """Make the archive of `base_dir`; return its name."""
        if format != "gztar" or "SOURCE_DATE_EPOCH" not in os.environ:
            return super().make_archive(base_name, format, root_dir, base_dir, **owner)
        seconds = int(os.environ["SOURCE_DATE_EPOCH"])

        def anonymous(member):
            member.mtime = seconds
            member.mode = 0o755 if member.isdir() else 0o644
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            return member

        name = f"{base_name}.tar.gz"
        with (
            open(name, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=seconds) as stream,
            tarfile.open(fileobj=stream, mode="w") as archive,
        ):
            archive.add(base_dir, filter=anonymous)
        return name


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

commands = {"build_ext": BuildCore, "sdist": SourceArchive}
if none or (sys.implementation.name != "cpython" and not required):
    setup(cmdclass=commands)
else:
    try:
        setup(ext_modules=extensions(), cmdclass=commands)
    except (BuildFailed, ImportError) as error:
        if required:
            raise
        print(f"fastsig: building without the compiled core: {error}", file=sys.stderr)
        setup(cmdclass=commands)
