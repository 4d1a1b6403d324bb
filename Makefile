# `make demo` and `make test` need python3, make and a C compiler; the rest is installed in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SOURCES = src/fastsig/_core.pyx setup.py pyproject.toml

SOAK = $(addprefix tests/stress/test_,interruptions.py model.py scenarios.py)

.PHONY: demo test integration load soak lint wheels wasm celery-versions celery-suite neighbours \
	bench bench-quick docs guard sanitize coverage fuzz growth clean

demo: $(VENV)/built
	$(BIN)/python -m fastsig demo

test: $(VENV)/built
	$(BIN)/python -m pytest $(ARGS)

# Real Celery processes on a Redis server, which must be installed; CHILDREN=400 forks more of them.
integration: $(VENV)/built
	$(BIN)/python -m pytest tests/celery/integration $(ARGS)

# A worker under load: does it lose a signal, does it grow, and what does dispatch cost?
load: $(VENV)/built
	$(BIN)/python downstream/load.py $(MINUTES)

# Every interruption; for MINUTES (10) each the model, and threads, forks and signals of the OS.
soak: $(VENV)/built
	FASTSIG_TEST_MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest $(SOAK) $(ARGS)

lint: $(VENV)/linters
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PATH="$(BIN):$$PATH" pyright
	PATH="$(BIN):$$PATH" pyright --verifytypes fastsig --ignoreexternal
	PATH="$(BIN):$$PATH" cython-lint src
	$(BIN)/python tools/stubs.py
	$(BIN)/validate-pyproject pyproject.toml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.readthedocs .readthedocs.yaml
	$(BIN)/zizmor --offline --persona pedantic --quiet .github

# The documentation, into build/docs; its reference can be taken from either core.
SPHINX = $(BIN)/python -m sphinx -W --keep-going -n -q -E -d build/doctrees docs
docs: $(VENV)/documenters
	rm -rf build/docs
	FASTSIG_REQUIRE_EXTENSIONS= FASTSIG_NO_EXTENSIONS=1 $(SPHINX) build/docs -b dummy
	FASTSIG_NO_EXTENSIONS= FASTSIG_REQUIRE_EXTENSIONS=1 $(SPHINX) build/docs

# For each CPython here a wheel, checked, installed without an index and tested; ARGS=--quick for
# one of them.
wheels: $(VENV)/builders
	$(BIN)/python tools/wheels.py $(ARGS)

# The tests of the core on the pure wheel in WebAssembly, with Pyodide from npm.
wasm: $(VENV)/built
	rm -rf build/wasm
	npm install --no-save --no-fund --no-audit pyodide
	$(BIN)/python -m pip download --quiet --dest build/wasm --only-binary :all: \
		--platform any --implementation py --abi none hypothesis pytest
	FASTSIG_REQUIRE_EXTENSIONS= FASTSIG_NO_EXTENSIONS=1 $(BIN)/python -m pip wheel --quiet \
		--no-build-isolation --no-deps --wheel-dir build/wasm .
	node tools/wasm.mjs build/wasm

# What is about Celery, with the newest release of each series, in an environment of its own.
SERIES ?= 5.4 5.5 5.6 5.7
CELERY_TESTS = tests/celery tests/core/test_signals.py
celery-versions: $(SERIES:%=celery-%)

celery-%:
	$(MAKE) VENV=.venv-celery-$* .venv-celery-$*/built
	.venv-celery-$*/bin/python -m pip install --quiet 'celery==$*.*'
	.venv-celery-$*/bin/python -m pytest $(CELERY_TESTS) $(ARGS)

# Celery's own tests, with and without fastsig; CELERY is a version, or a series: its newest.
CELERY ?= 5.7
celery-suite:
	$(PYTHON) downstream/celery_suite.py --celery $(CELERY)

# Packages that hook into Celery's signals, with Celery as it is and with fastsig.
neighbours:
	$(MAKE) VENV=.venv-neighbours .venv-neighbours/built
	.venv-neighbours/bin/python -m pip install --quiet --group neighbours
	.venv-neighbours/bin/python -m pytest $(ARGS) downstream/neighbours.py

# The figures, the chart and which targets hold; the results are in bench-results.
bench: $(VENV)/benched
	$(BIN)/python benchmarks/run.py

bench-quick: $(VENV)/benched
	$(BIN)/python benchmarks/run.py --quick

# Fails if sending or connecting has become clearly slower.
guard: $(VENV)/built
	$(BIN)/python benchmarks/guard.py

# What needs no worker.  Under AddressSanitizer no `id` is soon used again and no block is counted,
# as some tests need it, above all of what goes wrong with the peers.
CORE_TESTS = tests/core $(addprefix tests/stress/test_,interruptions.py model.py peers.py scenarios.py)
REUSE = not fresh_senders_after_a_dead_one and not deaths_that_nobody_tells_of \
	and not goes_wrong
VARIANT = $(BIN)/python tools/variant.py

# The compiled core under AddressSanitizer and UndefinedBehaviorSanitizer, without memory, with its
# leaks and references counted, and with Python's debugging memory allocator.  What counts the
# references is Cython's, which `test_without_celery` hides, and which may collect between reading a
# field and counting it.
sanitize: $(VENV)/built
	$(VARIANT) sanitize pytest -q --core compiled -k "$(REUSE)" $(CORE_TESTS)
	$(VARIANT) sanitize pytest -q --core compiled tests/stress/test_no_memory.py
	$(VARIANT) debug pytest -q --core compiled -k "$(REUSE)" $(CORE_TESTS)
	$(VARIANT) refnanny pytest -q -s --core compiled \
		-k "$(REUSE) and not without_celery and not Collection" $(CORE_TESTS)
	$(VARIANT) leaks pytest -q -s --core compiled tests/core/test_sending.py tests/core/test_table.py \
		-k "$(REUSE)"

# Lines and branches of both cores; it fails if fewer of them are covered than were.  The tests run
# file by file, for a traced core does not always survive to be imported often.  Interruptions and
# other threads come in at traced lines: of a traced core, also where nothing can come in between
# at the one that is shipped.
COVERAGE_TESTS = $(wildcard tests/core/test_*.py) tests/stress/test_model.py tests/stress/test_peers.py
coverage: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group coverage
	rm -f build/coverage/data*
	for file in $(COVERAGE_TESTS); do \
		$(VARIANT) coverage coverage run --parallel-mode -m pytest -q \
			-k "$(REUSE) and not test_threads" $$file || exit 1; \
	done
	cd build/coverage && ../../$(BIN)/coverage combine --rcfile ../../pyproject.toml \
		--data-file data -q .
	PYTHONPATH=build/coverage $(BIN)/coverage report --fail-under=97
	$(BIN)/python tools/branches.py build/coverage/data 16

# Needs clang.  For how many seconds: make fuzz SECONDS=1800
SECONDS = 60
fuzz: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group fuzz
	mkdir -p build/corpus
	$(VARIANT) fuzz fuzz $(SECONDS) build/corpus

# References, blocks and memory over a million of everything.
growth: $(VENV)/built
	FASTSIG_TEST_TIMES=1000000 $(BIN)/python -m pytest -q tests/stress/test_growth.py

clean:
	rm -rf $(VENV) build dist node_modules wheelhouse src/*.egg-info src/fastsig/*.c src/fastsig/*.so .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --group test --group integration --group peers
	touch $@

$(VENV)/linters: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group lint
	touch $@

$(VENV)/documenters: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

$(VENV)/builders: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group wheels
	touch $@

$(VENV)/benched: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

# Editable, and with the compiled core beside its source, so that both cores are at hand.
$(VENV)/built: $(VENV)/installed $(SOURCES)
	FASTSIG_NO_EXTENSIONS= FASTSIG_REQUIRE_EXTENSIONS=1 \
		$(BIN)/python -m pip install --quiet --editable '.[celery]'
	touch $@
