# make demo    the sample pipelines, end to end: files become tables, then status, history and a query
# make test    the tests
# make check   format, lint, types, tests: what CI runs
# `make help` lists the rest. Needed: python3 (3.11 or newer), make and a package registry.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test slow check format-check lint types format coverage bench sample-data lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 : /'

demo: $(INSTALLED)  ## run the sample pipelines, then look at the result
	$(BIN)/etl run --all
	$(BIN)/etl status
	$(BIN)/etl history orders
	$(BIN)/etl query "SELECT country, COUNT(*) AS orders, ROUND(SUM(amount), 2) AS revenue FROM silver.orders GROUP BY country ORDER BY revenue DESC"
	$(BIN)/etl query "SELECT rule, reason, raw FROM silver.orders__quarantine"

test: $(INSTALLED)  ## run the tests
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

slow: $(INSTALLED)  ## run the tests that take minutes
	$(BIN)/python -m pytest -n $(JOBS) -m slow

check: format-check lint types test  ## everything that CI checks

format-check: $(INSTALLED)
	$(BIN)/ruff format --check .

lint: $(INSTALLED)  ## look for faults and bad habits
	$(BIN)/ruff check .

types: $(INSTALLED)  ## check the types
	$(BIN)/mypy

format: $(INSTALLED)  ## lay out the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: $(INSTALLED)  ## run the tests and list the branches they miss
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" --cov --cov-report=term-missing

bench: $(INSTALLED)  ## measure speed and memory against the bare libraries
	$(BIN)/python benchmarks/run.py

sample-data: $(INSTALLED)  ## write sample_data/ anew; the same seed gives the same bytes
	$(BIN)/python sample_data/generate.py

lock: $(INSTALLED)  ## write requirements-dev.lock anew, from the newest versions
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv
	@head -1 requirements-dev.lock > $(VENV)/lock/new
	$(VENV)/lock/bin/uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --extra dev --upgrade \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml >> $(VENV)/lock/new
	mv $(VENV)/lock/new requirements-dev.lock

clean:  ## remove what the targets above made: environment, demo tables, caches
	rm -rf $(VENV) lake scratch build dist htmlcov .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp makes every later call quick; a change of either file installs again.
$(INSTALLED): pyproject.toml requirements-dev.lock
	@command -v $(PYTHON) > /dev/null || { echo "make: $(PYTHON) was not found; name one: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1); name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || \
	  { echo "make: this Python cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
