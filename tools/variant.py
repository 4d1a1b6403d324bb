"""Build the package otherwise than it is shipped, and run something on it.

``python tools/variant.py NAME module arguments...`` builds a copy of it in build/NAME, with the
compiled core as the variant `NAME` wants it, and runs ``python -m module arguments...``.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "fastsig"
SANITIZERS = "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"
ASSERTIONS = "-O1", "-g", "-UNDEBUG"

# Of a process that a sanitizer ends, whose output pytest may have captured.
REPORT = ROOT / "build" / "sanitize" / "report"

# What the C compiler is told, and the environment in which the core then runs.
VARIANTS = {
    "sanitize": (
        (*ASSERTIONS, *SANITIZERS, "-fno-omit-frame-pointer"),
        {
            "PYTHONMALLOC": "malloc",
            # Not at the end of every process, for the interpreter's own leaks: see `leaks`.
            "ASAN_OPTIONS": f"detect_leaks=0:allocator_may_return_null=1:log_path={REPORT}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={REPORT}",
        },
    ),
    "leaks": (
        (*ASSERTIONS, *SANITIZERS, "-fno-omit-frame-pointer"),
        {
            "PYTHONMALLOC": "malloc",
            "ASAN_OPTIONS": "detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=20",
            "LSAN_OPTIONS": "report_objects=0:max_leaks=0:exitcode=0",
        },
    ),
    "fuzz": (
        (*ASSERTIONS, "-fsanitize=address,fuzzer-no-link"),
        {
            "CC": "clang",
            "PYTHONMALLOC": "malloc",
            # The interpreter, which is built without, shall stumble over what was freed, too.
            "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0:max_free_fill_size=4096",
        },
    ),
    "debug": (ASSERTIONS, {"PYTHONMALLOC": "debug", "PYTHONDEVMODE": "1"}),
    "refnanny": ((*ASSERTIONS, "-DCYTHON_REFNANNY=1"), {}),
    "coverage": (("-O1", "-DCYTHON_TRACE=1"), {"COVERAGE_CORE": "ctrace"}),
}


def build(name):
    """Build the package in build/NAME, unless it is there; return the folder."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    folder = ROOT / "build" / name
    package = folder / "fastsig"
    library = package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    built = library.stat().st_mtime if library.exists() else 0
    stale = built < max((SOURCE / "_core.pyx").stat().st_mtime, Path(__file__).stat().st_mtime)
    if stale:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        SOURCE, package, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.so", "*.c", "__py*")
    )
    if not stale:
        return folder

    flags = list(VARIANTS[name][0])
    os.environ.update({"CC": VARIANTS[name][1].get("CC", os.environ.get("CC", "cc"))})
    os.chdir(folder)
    extension = Extension(
        "fastsig._core",
        ["fastsig/_core.pyx"],
        extra_compile_args=flags,
        extra_link_args=[flag for flag in flags if flag in SANITIZERS],
    )
    modules = cythonize([extension], compiler_directives={"linetrace": name == "coverage"})
    command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.inplace = True
    command.ensure_finalized()
    command.run()
    os.chdir(ROOT)
    return folder


def libraries(name):
    """Return what is to be loaded first, for a core with sanitizers in a Python without."""
    if name == "fuzz":
        import atheris

        yield str(Path(atheris.path()) / "asan_with_fuzzer.so")
    if name not in ("sanitize", "leaks"):
        return
    compiler = os.environ.get("CC", "cc")
    for library in ("libasan.so", "libubsan.so"):
        command = [compiler, f"-print-file-name={library}"]
        yield subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def reports():
    return list(REPORT.parent.glob(f"{REPORT.name}.*"))


def faults(name, output):
    """Return what the instruments found, of what is no failure of the process by itself."""
    if name == "leaks":  # those that the core has no part in are the interpreter's own
        found = re.findall(r"^(?:Direct|Indirect) leak.*?(?:\n\n|\Z)", output, re.M | re.S)
        return [leak for leak in found if "fastsig/_core" in leak]
    if name == "sanitize":
        return [report.read_text(errors="replace") for report in reports()]
    if name == "refnanny":
        return re.findall(r"^.*REFNANNY.*$", output, re.M)
    return []


def main(name, *command):
    folder = build(name)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'tools'}",
        **VARIANTS[name][1],
    }
    if loaded := " ".join(libraries(name)):
        environment["LD_PRELOAD"] = loaded
    for report in reports():
        report.unlink()
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    output = []
    for line in process.stdout:
        output.append(line)
        if name != "leaks":
            sys.stdout.write(line)
    found = faults(name, "".join(output))
    print(*found, f"{name}: {len(found)} reports, exit status {process.wait()}", sep="\n")
    return process.returncode or bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
