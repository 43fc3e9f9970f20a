# The README's two commands are `make demo` and `make test`; both install into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow lint types clean

demo: $(STAMP)
	$(BIN)/bitgate demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

# torch first and by its exact version: a range would fetch the newest build, with gigabytes of GPU libraries.
$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard src/bitgate/csrc/*) \
		$(wildcard src/bitgate/ops/csrc/*) $(wildcard src/bitgate/runtime/*.c) \
		$(wildcard src/bitgate/runtime/csrc/*)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(shell grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf build demo src/*.egg-info src/bitgate/*.so
