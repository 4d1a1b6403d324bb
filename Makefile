# `make demo` and `make test` need python3, make and a C compiler; the rest is installed in .venv.
# Everything else is a session of noxfile.py: `make test` installs nox, `.venv/bin/nox --list`.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SOURCES = pyproject.toml setup.py $(shell find src -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

.PHONY: demo test lint docs bench clean

demo: $(VENV)/built
	$(BIN)/python -m fastsig demo

test: $(VENV)/built
	$(BIN)/python -m pytest $(ARGS)

lint docs bench: $(VENV)/built
	$(BIN)/nox -s $@ -- $(ARGS)

clean:
	rm -rf $(VENV) .nox build dist node_modules wheelhouse src/*.egg-info .hypothesis
	find src -name '*.c' -o -name '*.so' | xargs rm -f
	find . -name __pycache__ -prune -exec rm -rf {} +

# An editable install, with the extensions beside their source, so that tests can use both builds.
$(VENV)/built: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet nox \
		--group test --group integration --group peers --group recipes
	FASTSIG_NO_EXTENSIONS= FASTSIG_REQUIRE_EXTENSIONS=1 \
		$(BIN)/python -m pip install --quiet --editable '.[celery]'
	touch $@
