# `make demo` and `make test` need python3, make and a C compiler; the rest is installed in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SOURCES = src/fastsig/_core.pyx setup.py pyproject.toml

.PHONY: demo test lint wheels wasm bench bench-quick guard clean

demo: $(VENV)/built
	$(BIN)/python -m fastsig demo

test: $(VENV)/built
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/built
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PATH="$(BIN):$$PATH" pyright
	PATH="$(BIN):$$PATH" pyright --verifytypes fastsig --ignoreexternal
	PATH="$(BIN):$$PATH" cython-lint src
	$(BIN)/python tests/stubs.py
	$(BIN)/validate-pyproject pyproject.toml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --persona pedantic --quiet .github

# For each CPython here a wheel, checked, installed without an index and tested; ARGS=--quick for
# one of them.
wheels: $(VENV)/built
	$(BIN)/python tests/wheels.py $(ARGS)

# The tests of the core on the pure wheel in WebAssembly, with Pyodide from npm.
wasm: $(VENV)/built
	rm -rf build/wasm
	npm install --no-save --no-fund --no-audit pyodide
	$(BIN)/python -m pip download --quiet --dest build/wasm --only-binary :all: \
		--platform any --implementation py --abi none hypothesis pytest
	FASTSIG_REQUIRE_EXTENSIONS= FASTSIG_NO_EXTENSIONS=1 $(BIN)/python -m pip wheel --quiet \
		--no-build-isolation --no-deps --wheel-dir build/wasm .
	node tests/wasm.mjs build/wasm

# The figures, the chart and which targets hold; the results are in bench-results.
bench: $(VENV)/benched
	$(BIN)/python benchmarks/run.py

bench-quick: $(VENV)/benched
	$(BIN)/python benchmarks/run.py --quick

# Fails if sending or connecting has become clearly slower.
guard: $(VENV)/built
	$(BIN)/python benchmarks/guard.py

clean:
	rm -rf $(VENV) build dist node_modules wheelhouse src/*.egg-info src/fastsig/*.c src/fastsig/*.so .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --group test --group lint --group wheels
	touch $@

$(VENV)/benched: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

# Editable, and with the compiled core beside its source, so that both cores are at hand.
$(VENV)/built: $(VENV)/installed $(SOURCES)
	FASTSIG_NO_EXTENSIONS= FASTSIG_REQUIRE_EXTENSIONS=1 \
		$(BIN)/python -m pip install --quiet --editable '.[celery]'
	touch $@
