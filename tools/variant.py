"""Build the package otherwise than it is shipped, and run something on it.

``python tools/variant.py NAME module arguments...`` builds a copy of it in build/NAME, with the
extensions as the variant `NAME` wants them, and runs ``python -m module arguments...``.  setup.py
builds; the compiler's flags, the libraries to load first and what counts as a fault are here.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
SETUP = ROOT / "setup.py"
LEFT_OUT = {".c", ".egg-info", ".html", ".pyc", ".pyd", ".so"}
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
    """Build the project in build/NAME, unless it is there; return the folder of the package."""
    folder = ROOT / "build" / name
    stamp = folder / "built"
    sources = [path for path in (SOURCE / "fastsig").rglob("*.*") if path.is_file()]
    sources = [path for path in sources if path.suffix not in LEFT_OUT]
    newest = max(path.stat().st_mtime for path in (*sources, SETUP, Path(__file__)))
    if stamp.exists() and stamp.stat().st_mtime > newest:
        return folder / "src"

    shutil.rmtree(folder, ignore_errors=True)
    left_out = shutil.ignore_patterns("__pycache__", *(f"*{suffix}" for suffix in LEFT_OUT))
    shutil.copytree(SOURCE, folder / "src", ignore=left_out)
    for file in ("LICENSE", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / file, folder)
    flags, settings = VARIANTS[name]
    environment = {
        **os.environ,
        "CC": settings.get("CC", os.environ.get("CC", "cc")),
        # These replace Python's own, which come first here, so that ours prevail.
        "CFLAGS": " ".join([sysconfig.get_config_var("CFLAGS"), *flags]),
        "LDFLAGS": " ".join(flag for flag in flags if flag in SANITIZERS),
        "FASTSIG_NO_EXTENSIONS": "0",
        "FASTSIG_REQUIRE_EXTENSIONS": "1",
        "FASTSIG_TRACE_LINES": "1" if name == "coverage" else "0",
    }
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    stamp.touch()
    return folder / "src"


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
        return [leak for leak in found if "fastsig/" in leak]
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
        # From elsewhere, Cython would take a traced line for one of the source in `ROOT`.
        cwd=folder.parent if name == "coverage" else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    output, shown = [], True
    for line in process.stdout:
        output.append(line)
        shown = shown and "LeakSanitizer" not in line  # the interpreter has leaks of its own
        if shown:
            sys.stdout.write(line)
    found = faults(name, "".join(output))
    print(*found, f"{name}: {len(found)} reports, exit status {process.wait()}", sep="\n")
    return process.returncode or bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
