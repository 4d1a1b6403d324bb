"""Sessions that need more time, other packages or other Pythons than `make test`.

``.venv/bin/nox --list`` shows them, and ``nox -s soak -- 60`` runs one with an argument.  Each has
a separate environment in .nox, which is reused.  Pythons that are not installed are skipped.
"""

import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "docs", "test"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
RELEASE = PYPROJECT["tool"]["cibuildwheel"]
if sys.platform == "win32":
    RELEASE |= RELEASE["windows"]
PURE = {"FASTSIG_NO_EXTENSIONS": "1", "FASTSIG_REQUIRE_EXTENSIONS": "0"}
COMPILED = {"FASTSIG_NO_EXTENSIONS": "0", "FASTSIG_REQUIRE_EXTENSIONS": "1"}


def install(session, *groups):
    """Install groups of dependencies, and the project, editable and with both builds."""
    session.install(*nox.project.dependency_groups(PYPROJECT, *groups))
    pypy = str(session.python).startswith("pypy")
    session.install("--editable", ".[celery]", env=PURE if pypy else COMPILED)


def pytest(session, *arguments, **environment):
    """Run pytest with these arguments, the arguments after ``--``, and this environment."""
    session.run("python", "-m", "pytest", *arguments, *session.posargs, env=environment)


# Every change must pass these


@nox.session(python=[*PYTHONS, "3.14t", "3.15t", "pypy3.11"], tags=["pythons"])
def test(session):
    """Run the suite on each installed Python."""
    install(session, "test", "peers", "recipes")
    pytest(session, *(["--core=pure"] if session.python.startswith("pypy") else []))


@nox.session
def lint(session):
    """Check format, types, Cython, metadata and workflows."""
    install(session, "lint", "test")
    run = session.run
    run("ruff", "format", "--check")
    run("ruff", "check")
    run("mypy")
    run("pyright")
    for public in ("signal", "signals", "protocol", "pytest_plugin"):
        run("pyright", "--verifytypes", f"fastsig.{public}", "--ignoreexternal")
    run("cython-lint", "src", "benchmarks")
    run("validate-pyproject", "pyproject.toml")
    run("check-manifest")
    workflows = map(str, Path(".github/workflows").glob("*.yml"))
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")
    run("check-jsonschema", "--builtin-schema", "vendor.readthedocs", ".readthedocs.yaml")
    run("zizmor", "--offline", "--persona", "pedantic", "--quiet", ".github")


@nox.session
def docs(session):
    """Build the documentation into build/docs, and check that both builds document the same."""
    install(session, "docs")
    shutil.rmtree("build/docs", ignore_errors=True)
    sphinx = ("python", "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-E")
    folders = ("-d", "build/doctrees", "docs", "build/docs")
    session.run(*sphinx, "-b", "dummy", *folders, env=PURE)
    session.run(*sphinx, *folders, env=COMPILED)


@nox.session(python=PYTHONS)
def wheels(session):
    """Build wheels as for a release, check them, compare their speed, and test them."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "test", "wheels"))
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder)
    session.run("python", "-m", "build", "--sdist", "--outdir", folder)
    [source] = folder.glob("*.tar.gz")

    def wheel(name, environment):
        session.run(
            *("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / name, source),
            env=environment,
        )
        [path] = (folder / name).glob("*.whl")
        return path

    pure = wheel("pure", PURE)
    plain = wheel("plain", COMPILED)
    released = wheel("released", RELEASE["environment"])
    if sys.platform == "linux":
        session.run("python", "-m", "auditwheel", "repair", "-w", folder / "repaired", released)
        [released] = (folder / "repaired").glob("*.whl")
    session.run("twine", "check", "--strict", source, pure, released)
    session.run("check-wheel-contents", pure, released)
    session.run("python", "tools/wheel_speed.py", released, plain)
    for path, core in ((released, "compiled"), (pure, "pure")):
        session.install("--force-reinstall", "--no-deps", path)
        pytest(session, "tests/core", f"--core={core}")


# Celery, Django, and packages that build on them


@nox.session
def integration(session):
    """Run every signal through real workers: five pools, two brokers (needs redis-server)."""
    install(session, "test", "integration")
    pytest(session, "tests/celery/integration")


@nox.session
def load(session):
    """Put a worker under load for five minutes: nox -s load -- MINUTES (needs redis-server)."""
    install(session, "integration")
    session.run("python", "downstream/load.py", *session.posargs)


@nox.session(name="celery-versions")
@nox.parametrize("celery", [nox.param(each, id=each) for each in ("5.4", "5.5", "5.6", "5.7")])
def celery_versions(session, celery):
    """Run all tests about Celery on each of its minor versions (needs redis-server)."""
    install(session, "test", "integration")
    session.install(f"celery=={celery}.*")
    pytest(session, "tests/celery", "tests/around", "tests/told", "tests/core/test_signals.py")


@nox.session(name="celery-suite", venv_backend="none")
def celery_suite(session):
    """Run Celery's own tests with and without fastsig: nox -s celery-suite -- --celery 5.6."""
    session.run(sys.executable, "downstream/celery_suite.py", *session.posargs)


@nox.session(name="django-suite", venv_backend="none")
def django_suite(session):
    """Run Django's own tests with and without fastsig: nox -s django-suite -- --django 6.0."""
    session.run(sys.executable, "downstream/django_suite.py", *session.posargs)


@nox.session
def neighbours(session):
    """Run packages that hook into Celery's signals, without and with fastsig."""
    install(session, "test", "neighbours")
    # The fixtures are those of tests/conftest.py.
    pytest(session, "-p", "conftest", "downstream/neighbours.py", PYTHONPATH="tests")


@nox.session(name="published-code", venv_backend="none")
def published_code(session):
    """Run the tests of published packages after changing their import lines."""
    session.run(sys.executable, "downstream/published_code.py", *session.posargs)


# Speed


@nox.session
def bench(session):
    """Write figures, chart and targets to bench-results: nox -s bench -- --quick."""
    install(session, "bench")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(name="bench-django")
def bench_django(session):
    """Measure Django as it is and on fastsig: nox -s bench-django -- --quick."""
    install(session, "bench")
    session.run("python", "benchmarks/models.py", *session.posargs)


@nox.session
def guard(session):
    """Fail if sending or connecting has become clearly slower."""
    install(session, "bench")
    session.run("python", "benchmarks/guard.py")


# Slow tests


@nox.session
def soak(session):
    """Run tests/stress for ten minutes for each part: nox -s soak -- MINUTES."""
    install(session, "test", "peers")
    minutes, *arguments = session.posargs or ["10"]
    environment = {"FASTSIG_TEST_MINUTES": minutes}
    session.run("python", "-m", "pytest", "tests/stress", *arguments, env=environment)


@nox.session
def growth(session):
    """Count references, blocks and memory over a million of each operation."""
    install(session, "test")
    pytest(session, "tests/stress/test_growth.py", FASTSIG_TEST_TIMES="1000000")


# Instrumented builds of the extensions, which tools/variant.py makes

REUSE = "not id_reuse and not other_library"
NAMES = ("model", "peers", "interruptions", "scenarios")
STRESS = [Path(f"tests/stress/test_{name}.py") for name in NAMES]


def variant(session, name, *command):
    """Run a command on an instrumented build."""
    session.run("python", "tools/variant.py", name, *command)


@nox.session
def sanitize(session):
    """Find memory errors: sanitizers, debugging allocator, leaks, reference counts."""
    install(session, "test", "peers")
    core = ("pytest", "-q", "--core=compiled")
    suite = ("tests/core", *STRESS)
    variant(session, "sanitize", *core, "-m", REUSE, *suite)
    variant(session, "sanitize", *core, "tests/stress/test_no_memory.py")
    variant(session, "debug", *core, "-m", REUSE, *suite)
    variant(session, "refnanny", *core, "-s", "-m", f"{REUSE} and not not_refnanny", *suite)
    leaking = ("tests/core/test_sending.py", "tests/core/test_table.py")
    variant(session, "leaks", *core, "-s", "-m", REUSE, *leaking)


@nox.session
def coverage(session):
    """Fail if less than 97 % of the lines and branches of both builds are covered."""
    install(session, "test", "peers", "coverage")
    folder = Path("build/coverage")
    for old in folder.glob("data*"):
        old.unlink()
    session.env["COVERAGE_FILE"] = "data"
    # One process for each file, because a traced build may crash if it is imported many times.
    rooms = [Path("tests") / room for room in ("core", "told", "around")]
    files = [file for room in rooms for file in sorted(room.glob("test_*.py"))]
    for file in map(Path.resolve, [*files, Path("tests/celery/test_celery.py"), *STRESS[:2]]):
        command = ("coverage", "run", "--parallel-mode", "-m", "pytest", "-q")
        variant(session, "coverage", *command, "-m", f"{REUSE} and not not_traced", str(file))
    with session.chdir(folder):
        session.run("coverage", "combine", "-q", ".")
        session.run("coverage", "report", "--fail-under=97", env={"PYTHONPATH": "src"})


@nox.session
def fuzz(session):
    """Fuzz the compiled engine for a minute: nox -s fuzz -- SECONDS (needs clang)."""
    install(session, "test", "fuzz")
    Path("build/corpus").mkdir(parents=True, exist_ok=True)
    [seconds] = session.posargs or ["60"]
    variant(session, "fuzz", "fuzz", seconds, "build/corpus")


@nox.session
def wasm(session):
    """Run the tests of the engine in WebAssembly, with Pyodide (needs npm)."""
    folder = "build/wasm"
    shutil.rmtree(folder, ignore_errors=True)
    packages = ["install", "--no-save", "--no-fund", "--no-audit", "pyodide"]
    session.run(shutil.which("npm") or "npm", *packages, external=True)
    foreign = ("--platform=any", "--implementation=py", "--abi=none", "--only-binary=:all:")
    pip = ("python", "-m", "pip")
    session.run(*pip, "download", "--dest", folder, *foreign, "hypothesis", "pytest")
    session.run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, ".", env=PURE)
    session.run("node", "tools/wasm.mjs", folder, external=True)
