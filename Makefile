# `make demo` and `make test` need python3, make and a C compiler; the rest is installed in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SOURCES = src/fastsig/_core.pyx setup.py pyproject.toml

SOAK = tests/test_model.py tests/test_interruptions.py tests/test_scenarios.py

.PHONY: demo test soak lint bench bench-quick guard clean

demo: $(VENV)/built
	$(BIN)/python -m fastsig demo

test: $(VENV)/built
	$(BIN)/python -m pytest $(ARGS)

# For MINUTES the model; every interruption; for MINUTES threads, forks and signals of the OS.
MINUTES ?= 10
soak: $(VENV)/built
	FASTSIG_TEST_MINUTES=$(MINUTES) $(BIN)/python -m pytest $(SOAK) $(ARGS)

lint: $(VENV)/built
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PATH="$(BIN):$$PATH" cython-lint src
	$(BIN)/python tests/stubs.py

# The figures, the chart and which targets hold; the results are in bench-results.
bench: $(VENV)/benched
	$(BIN)/python benchmarks/run.py

bench-quick: $(VENV)/benched
	$(BIN)/python benchmarks/run.py --quick

# Fails if sending or connecting has become clearly slower.
guard: $(VENV)/built
	$(BIN)/python benchmarks/guard.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info src/fastsig/*.c src/fastsig/*.so .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --group test --group lint
	touch $@

$(VENV)/benched: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

# Editable, and with the compiled core beside its source, so that both cores are at hand.
$(VENV)/built: $(VENV)/installed $(SOURCES)
	FASTSIG_NO_EXTENSIONS= FASTSIG_REQUIRE_EXTENSIONS=1 \
		$(BIN)/python -m pip install --quiet --editable '.[celery]'
	touch $@
