"""What is published, and what must be in it: ``python tests/packaging/distributions.py FOLDER``.

Exit 1 if a distribution in the folder holds too much or too little, or is not tagged as what it
holds; with ``--complete`` also if one of them is missing.
"""

import re
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

PYTHONS = ("cp310", "cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t")
ARCHITECTURES = ("x86_64", "aarch64", "armv7l", "ppc64le", "riscv64", "s390x")
PLATFORMS = {
    "linux": [f"{libc}_{arch}" for libc in ("manylinux", "musllinux") for arch in ARCHITECTURES],
    "macos": ["macosx_x86_64", "macosx_arm64"],
    "windows": ["win_amd64", "win_arm64"],
}
PUBLISHED = {
    f"{python}-{platform}"
    for platforms in PLATFORMS.values()
    for platform in platforms
    for python in PYTHONS
}

SOURCES = (
    *("CHANGELOG.md", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md"),
    *("pyproject.toml", "setup.cfg", "setup.py"),
    *("src/fastsig/*.py", "src/fastsig/py.typed", "src/fastsig/_core.pyi", "src/fastsig/_core.pyx"),
    *("src/fastsig.egg-info/*.txt", "src/fastsig.egg-info/PKG-INFO"),
    *("tests/*.py", "tests/*/*.py"),
)
PURE = ("fastsig/*.py", "fastsig/py.typed", "fastsig/_core.pyi", "fastsig-*.dist-info/*")
EXTENSION = re.compile(r"fastsig/_core\.[^.]+\.(pyd|so)")


def identifier(wheel):
    """Return cibuildwheel's name for a wheel, None if it has none."""
    _, _, python, abi, platform = wheel.name.removesuffix(".whl").split("-")
    platform = re.sub(r"^([a-z]+)(\d+|_\d+_\d+)_", r"\1_", platform.split(".")[0])
    return f"{abi}-{platform}" if python == abi.removesuffix("t") else None


def members(path):
    """Return the names of the files in a distribution."""
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            return [each.name.partition("/")[2] for each in archive if not each.isdir()]
    return [each for each in zipfile.ZipFile(path).namelist() if not each.endswith("/")]


def complaints(path):
    """Yield what is wrong with a distribution."""
    held = members(path)
    if path.name.endswith(".tar.gz"):
        allowed = SOURCES
        needed = {"src/fastsig/_core.pyx", "tests/conftest.py", "tests/core/test_sending.py"}
    else:
        allowed = PURE
        needed = {"fastsig/_pure.py", "fastsig/_core.pyi", "fastsig/py.typed"}
        if not path.name.endswith("-py3-none-any.whl"):
            extensions = [each for each in held if EXTENSION.fullmatch(each)]
            allowed = (*PURE, *extensions)
            if identifier(path) not in PUBLISHED:
                yield "is tagged as nothing that is published"
            abi = path.name.split("-")[3].removeprefix("cp")
            if len(extensions) != 1 or not re.search(rf"\.(cp|cpython-){abi}-", extensions[0]):
                yield f"should hold one compiled core for {abi}, and holds {extensions}"
    for member in held:
        if not any(fnmatch(member, pattern) for pattern in allowed):
            yield f"holds {member}"
    for member in sorted(needed - set(held)):
        yield f"lacks {member}"


def main(arguments):
    """Check the folder; return the exit status."""
    paths = sorted(Path(arguments[-1]).iterdir())
    wrong = [f"{path.name} {complaint}" for path in paths for complaint in complaints(path)]
    if "--complete" in arguments:
        wheels = [path for path in paths if path.suffix == ".whl"]
        missing = PUBLISHED - {identifier(path) for path in wheels if "none-any" not in path.name}
        wrong += [f"there is no wheel for {each}" for each in sorted(missing)]
        names = " ".join(path.name for path in paths)
        wrong += [
            f"there is no {kind}" for kind in ("none-any.whl", ".tar.gz") if kind not in names
        ]
    print(*wrong or [f"{len(paths)} distributions hold what they should"], sep="\n")
    return 1 if wrong or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
