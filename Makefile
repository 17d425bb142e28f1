# Two commands do all the set-up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Prints how long each part takes; `make test` ends with a table of them.
TIMED := .ci/timed
CONTRACTS := cd contracts && PYTHON_BIN=.venv/bin

# The tests need one version of torch, whose wheel is small where it is built for CPUs alone.
TORCH := torch==2.13.0

# The figures whose every row is kept: they take an hour.
TRAINING := fig2 fig12-accuracy fig13 fig14 fig15

# What constraints.txt is made of: every extra, on every system, without the addresses of this machine's index.
LOCK := --universal --all-extras --strip-extras --no-annotate --no-header --no-emit-index-url --python-version 3.11

.PHONY: demo test test-full test-oldest test-newest lock lint pytest contracts contracts-build prove bench reproduction compensation stability-study docs clean help

help:
	@echo "make demo   solve, train, settle and audit examples/drug_discovery.toml; the report is in build/demo"
	@echo "make test   the whole gate: format, lint, types, layers, contracts, tests; prints the time of each"
	@echo "make test-full  the gate and every large count: slow tests, 10,000 inputs a fuzz test, mutants; hours"
	@echo "make contracts  only the contract: lint, build, tests, coverage, gas, analysis; proofs where they are due"
	@echo "make prove  the contract's tests at full depth and all proofs, always; records them in contracts/full-run.json"
	@echo "make test-oldest, make test-newest  the core's tests with the oldest and the newest releases that it allows"
	@echo "make lock   write constraints.txt: the versions that demo and test install"
	@echo "make reproduction DATA=folder  the paper's figures, trainings included: an hour"
	@echo "make compensation  the study of the efficient rule: a few minutes"
	@echo "make bench  the benchmarks: ratios measured in one run"
	@echo "make docs   the documentation site, in build/site"
	@echo "make clean  remove the environment and all caches"

demo: $(VENV)/.installed
	mkdir -p build
	$(BIN)/tradefl run examples/drug_discovery.toml --data digits --output build/demo

# Contract and package are tested side by side: each leaves processors idle for a while. Their output is mixed line by line.
test:
	@rm -f build/times
	@status=0; \
	$(MAKE) --no-print-directory lint && \
	$(MAKE) --no-print-directory --jobs=2 --output-sync=line contracts pytest || status=$$?; \
	$(TIMED) --table; exit $$status

# Every count in full: what the gate only samples.
test-full: lint contracts/node_modules/.installed contracts/.venv/.installed $(VENV)/.installed-dev
	$(MAKE) contracts
	$(MAKE) prove
	cd contracts && npm run --silent mutate
	$(BIN)/pytest -n auto -m "slow or not slow"
	$(MAKE) test-oldest test-newest

lint: $(VENV)/.installed-dev
	$(TIMED) format $(BIN)/ruff format --check src tests benchmarks docs/hooks
	$(TIMED) lint $(BIN)/ruff check src tests benchmarks docs/hooks
	$(TIMED) types $(BIN)/mypy
	$(TIMED) layers $(BIN)/lint-imports

# Some tests settle on anvil, which comes with the contract's toolchain. Without the installed files of the contract no test
# begins, but the contract's build is not waited for: the package ships the compiled contracts.
pytest: $(VENV)/.installed-dev contracts/node_modules/.installed
	$(TIMED) pytest $(BIN)/pytest -n auto

# Compiled once: tests, gas figures and proofs use the same build. The tests run at full depth, and the proofs at all, where
# contracts/full-run.json does not record them for these sources.
contracts: contracts-build
	$(TIMED) contracts:lint sh -c "$(CONTRACTS) npm run --silent lint"
	$(TIMED) contracts:tests sh -c "$(CONTRACTS) node tools/full.mjs --gate tests"
	$(TIMED) contracts:invariants sh -c "$(CONTRACTS) node tools/full.mjs --gate invariants"
	$(TIMED) contracts:coverage sh -c "$(CONTRACTS) npm run --silent coverage"
	$(TIMED) contracts:gas sh -c "$(CONTRACTS) npm run --silent snapshot:check"
	$(TIMED) contracts:analysis sh -c "$(CONTRACTS) npm run --silent analyse"
	$(TIMED) contracts:proofs sh -c "$(CONTRACTS) node tools/full.mjs --gate smtcheck halmos"

contracts-build: contracts/node_modules/.installed contracts/.venv/.installed
	$(TIMED) contracts:build sh -c "$(CONTRACTS) npm run --silent build"
	$(TIMED) contracts:artifact sh -c "$(CONTRACTS) npm run --silent artifact:check"

prove: contracts-build
	$(TIMED) contracts:full sh -c "$(CONTRACTS) node tools/full.mjs"

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

# The study of docs/explanation/stability.md.
stability-study: $(VENV)/.installed-dev
	$(BIN)/tradefl reproduce stability --seeds 200 --out build/stability
	mkdir -p docs/stability
	cp build/stability/stability.svg build/stability/stability.summary.csv docs/stability
	cp build/stability/stability.csv docs/stability/study.csv
	$(BIN)/python -m tests.docs.stability_tables

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# Every warning ends it, and nothing is fetched. The variable stops a notice of its theme's makers.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The demo needs the package, something to train on, a chain to settle on and what draws the report; only the tests
# need the tools.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[charts,federation,settlement]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]' $(TORCH)
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# The versions that everything above installs. Torch is held to the version that the tests use.
lock: $(VENV)/.installed-dev
	echo "$(TORCH)" > $(VENV)/torch.txt
	$(BIN)/uv pip compile pyproject.toml $(LOCK) --constraint $(VENV)/torch.txt --output-file $(VENV)/constraints.txt --quiet
	{ echo "# Made by \`make lock\`: what demo and test install, for every system and every extra."; \
		cat $(VENV)/constraints.txt; } > constraints.txt

# The core alone, in an environment of its own: what each lower bound says, and what is newest today.
test-oldest test-newest: test-%: $(VENV)/.installed-dev
	rm -rf build/$*
	$(BIN)/uv venv --quiet build/$*
	$(BIN)/uv pip install --quiet --python build/$*/bin/python --editable . 'pytest>=8.3' 'pytest-xdist>=3.6' 'hypothesis>=6.100' \
		$(if $(filter oldest,$*),--resolution lowest-direct,--upgrade)
	build/$*/bin/python -m pytest -q -n auto

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
