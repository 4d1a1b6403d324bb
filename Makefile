# `make demo` and `make test` need python3, make and a C compiler; the rest is installed in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SOURCES = src/fastsig/_core.pyx setup.py pyproject.toml

.PHONY: demo test lint bench bench-quick guard sanitize coverage fuzz growth clean

demo: $(VENV)/built
	$(BIN)/python -m fastsig demo

test: $(VENV)/built
	$(BIN)/python -m pytest $(ARGS)

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

# What needs no worker.  Under AddressSanitizer no `id` is soon used again, as two tests need it.
CORE_TESTS = $(filter-out $(addprefix tests/test_,building.py celery.py command.py growth.py \
	no_memory.py),$(wildcard tests/test_*.py))
REUSE = not fresh_senders_after_a_dead_one and not deaths_that_nobody_tells_of
VARIANT = $(BIN)/python tests/variant.py

# The compiled core under AddressSanitizer and UndefinedBehaviorSanitizer, without memory, with its
# leaks and references counted, and with Python's debugging memory allocator.
sanitize: $(VENV)/built
	$(VARIANT) sanitize pytest -q --core compiled -k "$(REUSE)" $(CORE_TESTS)
	$(VARIANT) sanitize pytest -q --core compiled tests/test_no_memory.py
	$(VARIANT) debug pytest -q --core compiled -k "$(REUSE)" $(CORE_TESTS)
	$(VARIANT) refnanny pytest -q -s --core compiled -k "$(REUSE)" $(CORE_TESTS)
	$(VARIANT) leaks pytest -q -s --core compiled tests/test_sending.py tests/test_table.py \
		-k "$(REUSE)"

# Lines and branches of both cores; the tests run file by file, for a traced core does not always
# survive to be imported often.
coverage: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group coverage
	for file in $(CORE_TESTS); do \
		$(VARIANT) coverage coverage run --parallel-mode -m pytest -q -k "$(REUSE)" $$file \
			|| exit 1; \
	done
	cd build/coverage && ../../$(BIN)/coverage combine --rcfile ../../pyproject.toml -q .
	PYTHONPATH=build/coverage $(BIN)/coverage report
	$(BIN)/python tests/branches.py build/coverage/data

# Needs clang.  For how many seconds: make fuzz SECONDS=1800
SECONDS = 60
fuzz: $(VENV)/built
	$(BIN)/python -m pip install --quiet --group fuzz
	mkdir -p build/corpus
	FASTSIG_TEST_ONLY_CRASHES=1 \
		$(VARIANT) fuzz fuzz $(SECONDS) build/corpus

# References, blocks and memory over a million of everything.
growth: $(VENV)/built
	FASTSIG_TEST_TIMES=1000000 $(BIN)/python -m pytest -q tests/test_growth.py

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
