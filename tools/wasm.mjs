// The tests of the core in WebAssembly, on the wheels in a folder: node tools/wasm.mjs FOLDER

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";

const pyodide = await loadPyodide();
pyodide.mountNodeFS("/project", dirname(dirname(fileURLToPath(import.meta.url))));
pyodide.mountNodeFS("/wheels", resolve(process.argv[2]));
process.exitCode = pyodide.runPython(`
import os, pathlib, shutil, site, sys, zipfile

for wheel in pathlib.Path("/wheels").glob("*.whl"):
    zipfile.ZipFile(wheel).extractall(site.getsitepackages()[0])
shutil.copytree("/project/tests/core", "/suite/tests/core")
for name in ("conftest", "cores"):
    shutil.copy(f"/project/tests/{name}.py", "/suite/tests")
shutil.copy("/project/pyproject.toml", "/suite")
os.chdir("/suite")

import pytest

print("Python", sys.version, sys.platform)
int(pytest.main(["-q", "--core=pure", "-m", "not threads", "tests/core"]))
`);
