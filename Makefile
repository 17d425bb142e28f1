# Two commands do all the set-up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The contract tests run longer in CI: 10,000 inputs a fuzz test instead of 1,000.
FUZZ := $(if $(CI),test:ci,test)

# The tests need one version of torch, whose wheel is small where it is built for CPUs alone.
TORCH := torch==2.13.0

# The figures whose every row is kept: they take an hour.
TRAINING := fig2 fig12-accuracy fig13 fig14 fig15

.PHONY: demo test test-full lint pytest contracts contracts-test contracts-prove bench reproduction compensation docs clean help

help:
	@echo "make demo   solve, train, settle and audit examples/drug_discovery.toml; the report is in build/demo"
	@echo "make test   the whole gate: format, lint, types, layers, contracts, tests"
	@echo "make test-full  the gate and every large count: slow tests, 10,000 inputs a fuzz test, mutants; hours"
	@echo "make contracts  only the contract: lint, build, tests, coverage, gas, analysis, proofs"
	@echo "make reproduction DATA=folder  the paper's figures, trainings included: an hour"
	@echo "make compensation  the study of the efficient rule: a few minutes"
	@echo "make bench  the benchmarks: ratios measured in one run"
	@echo "make docs   the documentation site, in build/site"
	@echo "make clean  remove the environment and all caches"

demo: $(VENV)/.installed
	mkdir -p build
	$(BIN)/tradefl run examples/drug_discovery.toml --data digits --output build/demo

test: lint contracts pytest

# Every count in full: what the gate only samples.
test-full: lint contracts/node_modules/.installed contracts/.venv/.installed $(VENV)/.installed-dev
	$(MAKE) contracts CI=1
	cd contracts && npm run --silent mutate
	$(BIN)/pytest -n auto -m "slow or not slow"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests benchmarks docs/hooks
	$(BIN)/ruff check src tests benchmarks docs/hooks
	$(BIN)/mypy
	$(BIN)/lint-imports

# Some tests settle on anvil, which comes with the contract's toolchain.
pytest: $(VENV)/.installed-dev contracts/node_modules/.installed
	$(BIN)/pytest -n auto

contracts: contracts-test contracts-prove

contracts-test: contracts/node_modules/.installed contracts/.venv/.installed
	cd contracts && npm run --silent build
	cd contracts && npm run --silent lint
	cd contracts && npm run --silent artifact:check
	cd contracts && npm run --silent $(FUZZ)
	cd contracts && npm run --silent coverage
	cd contracts && npm run --silent snapshot:check
	cd contracts && PYTHON_BIN=.venv/bin npm run --silent analyse

contracts-prove: contracts/node_modules/.installed contracts/.venv/.installed
	cd contracts && PYTHON_BIN=.venv/bin npm run --silent prove

# Everything that docs/explanation/reproduction.md shows; DATA is the folder of the image data sets.
reproduction: $(VENV)/.installed-dev
	$(BIN)/tradefl reproduce all --out build/reproduction --data-dir "$(DATA)"
	cp build/reproduction/*.svg build/reproduction/*.summary.csv build/reproduction/scorecard.* docs/reproduction
	for figure in $(TRAINING); do cp build/reproduction/$$figure.csv docs/reproduction; done

# Everything that docs/explanation/efficient-compensation.md shows; the figures share their rows.
compensation: $(VENV)/.installed-dev
	$(BIN)/tradefl reproduce compensation --seeds 200 --out build/compensation
	mkdir -p docs/compensation
	cp build/compensation/*.svg build/compensation/*.summary.csv docs/compensation
	cp build/compensation/gains.csv docs/compensation/study.csv
	$(BIN)/python -m tests.docs.study_tables

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# Every warning ends it, and nothing is fetched. The variable stops a notice of its theme's makers.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The demo needs the package, something to train on, a chain to settle on and what draws the report; only the tests
# need the tools.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --editable '.[charts,federation,settlement]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --editable '.[dev]' $(TORCH)
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

# A virtual environment that was cut off half-way has no pip and is made anew.
$(VENV)/bin/pip:
	rm -rf $(VENV)
	$(PYTHON) -c 'import sys; sys.exit("TradeFL needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

contracts/node_modules/.installed: contracts/package-lock.json
	@node --version 2>/dev/null | grep -qE '^v(2[0-9]|[3-9][0-9])' \
		|| { echo "the contract's tests need Node.js 20 or newer" >&2; exit 1; }
	cd contracts && npm ci --no-audit --no-fund --loglevel=error
	touch $@

# Analysis tools pin what they need: an environment of their own leaves the package's alone.
contracts/.venv/.installed: contracts/requirements-analysis.txt
	rm -rf contracts/.venv
	$(PYTHON) -m venv contracts/.venv
	contracts/.venv/bin/pip install --quiet --requirement contracts/requirements-analysis.txt
	touch $@

clean:
	rm -rf contracts/node_modules contracts/.venv contracts/out contracts/cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
