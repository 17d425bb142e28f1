# Two commands do all the set-up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint check-format pytest bench clean help

help:
	@echo "make demo   solve and explain examples/drug_discovery.toml"
	@echo "make test   the whole gate: format, lint, types, layers, tests"
	@echo "make bench  the benchmarks: ratios measured in one run"
	@echo "make clean  remove the environment and all caches"

demo: $(VENV)/.installed
	$(BIN)/tradefl solve examples/drug_discovery.toml
	$(BIN)/tradefl explain examples/drug_discovery.toml --organization Alpha

test: lint pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

pytest: $(VENV)/.installed-dev
	$(BIN)/pytest -n auto

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# The demo needs the package alone; only the tests need the tools.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.installed

# A virtual environment that was cut off half-way has no pip and is made anew.
$(VENV)/bin/pip:
	rm -rf $(VENV)
	$(PYTHON) -c 'import sys; sys.exit("TradeFL needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
