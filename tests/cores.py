"""The two cores, and how to load the package on one of them."""

import importlib
import os
import sys
import sysconfig

CORES = ("compiled", "pure")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def load(core):
    """Import fastsig anew, on the given core; return the package."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "fastsig"]:
        del sys.modules[name]
    os.environ["FASTSIG_CELERY"] = "0"  # tests that are about Celery run in other processes
    for name, core_of in (("NO", "pure"), ("REQUIRE", "compiled")):
        os.environ[f"FASTSIG_{name}_EXTENSIONS"] = "1" if core == core_of else "0"
    package = importlib.import_module("fastsig")
    assert package.compiled is (core == "compiled")
    return package
