"""Runs Django's own tests against a Django that dispatches through fastsig.

    python downstream/django_suite.py [--django 5.2] [--core compiled] [--wide] [LABEL ...]

Django's source distribution, a virtual environment with it and with fastsig: all of that goes to a
temporary folder.  The tests run once with Django as it is (stock), and then with each core of
fastsig, installed before `django.setup()` and after it (late).  Every test with another outcome
than with Django as it is is named; then everything runs again, in both, to tell a difference from a
test that is not sure of its outcome itself.  The exit status is 1 if there is a difference.
"""

import argparse
import json
import shutil
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from celery_suite import compare, environment, output, run, summary, variables

LABELS = (
    *("dispatch", "signals", "model_fields.test_imagefield", "auth_tests.test_signals"),
    *("m2m_signals", "delete", "delete_regress", "migrate_signals", "settings_tests", "cache"),
    *("contenttypes_tests", "defer_regress", "fixtures_regress", "generic_relations_regress"),
    *("multiple_database", "proxy_models", "test_runner", "test_client"),
)
"""What sends signals, and what connects to them."""

WIDE = (
    *("async", "asgi", "handlers", "requests_tests", "admin_views", "auth_tests"),
    *("model_inheritance", "model_fields", "utils_tests.test_autoreload", "migrations"),
    *("transaction_hooks", "transactions", "bulk_create", "get_or_create", "basic", "wsgi"),
    *("file_storage", "serializers", "mail", "view_tests", "test_utils", "apps"),
    *("check_framework", "prefetch_related", "model_forms", "sessions_tests", "generic_views"),
    "queries",
)
"""More, with --wide."""

NEEDED = ("argon2-cffi", "jinja2", "Pillow", "pytz", "tblib")
"""What some of the tests are skipped without."""

COMBINATIONS = {
    "compiled core, before setup": ("before", "0"),
    "compiled core, late": ("late", "0"),
    "pure core, before setup": ("before", "1"),
    "pure core, late": ("late", "1"),
}

RUNNER = '''
"""Runs Django's tests/runtests.py, and writes down the outcome of every test."""

import json
import os
import runpy
import sys
import unittest

import django
from django.test.runner import DiscoverRunner

WHEN = os.environ["SUITE_WHEN"]

OUTCOMES = ["passed", "skipped", "xfailed", "xpassed", "failed"]  # the last one that occurs counts

results = {}
setup = django.setup


def add(test, outcome, error=""):
    results[test.id()] = max(
        results.get(test.id(), ("passed", "")),
        (outcome, error),
        key=lambda result: OUTCOMES.index(result[0]),
    )


def make_result_class(there):
    """Return a class of results that writes down outcomes."""

    def note(method, outcome):
        def noting(self, test, *args):
            error = args[-1] if args and outcome == "failed" else None
            if method != "addSubTest" or error is not None:
                text = "" if error is None else f"{error[0].__name__}: {error[1]}"
                add(test, outcome, text.partition("\\n")[0])
            return getattr(super(Result, self), method)(test, *args)

        return noting

    Result = type("Result", (there,), {})
    for method, outcome in {
        "addSuccess": "passed",
        "addSkip": "skipped",
        "addExpectedFailure": "xfailed",
        "addUnexpectedSuccess": "xpassed",
        "addFailure": "failed",
        "addError": "failed",
        "addSubTest": "failed",
    }.items():
        setattr(Result, method, note(method, outcome))
    return Result


def get_result_class(self):
    """Return the class of results, of the outermost run: tests of the runner run others."""
    DiscoverRunner.get_resultclass = there
    return make_result_class(there(self) or unittest.TextTestResult)


there = DiscoverRunner.get_resultclass
DiscoverRunner.get_resultclass = get_result_class


def set_up(*args, **kwargs):
    setup(*args, **kwargs)
    if WHEN == "late":
        import fastsig.django

        fastsig.django.install()


def check():
    """Assert that the right Django is tested, and that it dispatches as it should."""
    assert django.__version__ == os.environ["SUITE_DJANGO"], django.__version__
    assert django.__file__.startswith(sys.prefix), django.__file__
    if WHEN == "stock":
        assert not [name for name in sys.modules if name.split(".")[0] == "fastsig"]
        return
    import fastsig.django
    from django.db.models.signals import post_init
    from django.dispatch import Signal

    assert fastsig.__file__.startswith(sys.prefix), fastsig.__file__
    assert fastsig.compiled is (os.environ["FASTSIG_NO_EXTENSIONS"] == "0")
    assert fastsig.django.installed()
    assert Signal.send is fastsig.engine.class_send
    assert fastsig.engine.find_engine(post_init) is vars(post_init)["_fastsig"]


django.setup = set_up
if WHEN == "before":
    import fastsig.django

    fastsig.django.install()
sys.argv[0] = "runtests.py"
sys.path.insert(0, os.getcwd())
try:
    runpy.run_path("runtests.py", run_name="__main__")
finally:
    check()
    with open(os.environ["SUITE_RESULTS"], "w") as file:
        json.dump(results, file)
'''


def fetch(series, folder):
    """Return Django's newest source distribution, and the folder that it is unpacked in."""
    command = ("pip", "download", "--no-deps", "--no-binary=django", f"--dest={folder}")
    run(sys.executable, "-m", *command, f"django=={series}.*")
    (archive,) = folder.glob("[dD]jango-*.tar.gz")
    shutil.unpack_archive(archive, folder, filter="data")
    return archive, folder / archive.name.removesuffix(".tar.gz")


def outcomes(python, unpacked, labels, when, pure):
    """Run the tests; return ``{test: (outcome, first line of the error)}``."""
    results = unpacked.parent / "results.json"
    results.unlink(missing_ok=True)
    runner = unpacked.parent / "suite_runner.py"
    runner.write_text(RUNNER)
    done = output(
        (python, runner, "--parallel=1", "--noinput", "-v0", *labels),
        cwd=unpacked / "tests",
        env={
            **variables(),
            "FASTSIG_DJANGO": "1",
            "FASTSIG_NO_EXTENSIONS": pure,
            "PYTHONDONTWRITEBYTECODE": "1",
            "SUITE_DJANGO": unpacked.name.partition("-")[2],
            "SUITE_RESULTS": str(results),
            "SUITE_WHEN": when,
        },
    )
    if not results.is_file():
        sys.exit(f"{done.stdout}\nthe tests did not run to their end")
    found = json.loads(results.read_text())
    if not found:
        sys.exit(f"{done.stdout}\nno test ran")
    return found


def main():
    """Run the tests as the command line asks; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    help_on_django = "or a series, for its newest release"
    parser.add_argument("--django", default="5.2", metavar="VERSION", help=help_on_django)
    parser.add_argument("--core", choices=("compiled", "pure"), help="default: both")
    parser.add_argument("--wide", action="store_true", help="run more of Django's tests")
    parser.add_argument("labels", nargs="*", metavar="LABEL", help="default: what uses signals")
    options = parser.parse_args()

    with TemporaryDirectory(prefix="django-suite-") as name:
        folder = Path(name).resolve()
        archive, unpacked = fetch(options.django, folder)
        python = environment(folder, archive, *NEEDED)
        labels = options.labels or (*LABELS, *(WIDE if options.wide else ()))
        run_tests = partial(outcomes, python, unpacked, labels)
        run_stock = partial(run_tests, "stock", "0")
        stock = [run_stock()]
        print(summary(f"{unpacked.name} as it is", stock[0]), flush=True)
        for test, (outcome, error) in stock[0].items():
            if outcome == "failed":
                print(f"    {test}: {error}", flush=True)
        changes = [
            compare(name, stock, run_stock, partial(run_tests, *how))
            for name, how in COMBINATIONS.items()
            if options.core is None or name.startswith(options.core)
        ]
    return int(any(changes))


if __name__ == "__main__":
    sys.exit(main())
