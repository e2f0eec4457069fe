# Two commands are enough: `make up` runs the suite, `make test` proves it. `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.SUFFIXES:

PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
# The first Python of 3.11 or newer; name another with PYTHON=.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# One after the other: what unit tests keep in memory would slow down all that follow them in the same process. In the
# order of their names: those of the fewest tests, which last longest, would else come last, and one core be idle.
TOGETHER = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
STAMP_UP := $(VENV)/.suite-installed
STAMP_DEV := $(VENV)/.dev-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
# By all cores, where pip compiles with one. Files for another Python fail, as they do with pip, and nobody imports them.
COMPILE = { $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true; }
# For development it is compiled as it is imported. Where that may not be kept, each process compiles all it imports
# again: starting the suite, which is six of them, then takes three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: $(STAMP_UP) ## Run the whole suite and replay market data (PORT=8080, ARGS="--speed 60")
	@exec $(BIN)/keelson up --port $(or $(strip $(PORT)),8080) $(ARGS)

.PHONY: down
down: $(STAMP_UP) ## Stop the suite that runs from this folder
	@$(BIN)/keelson down

.PHONY: migrate
migrate: $(STAMP_UP) ## Bring the database to the newest revision
	@$(BIN)/keelson migrate

.PHONY: install
install: $(STAMP_DEV) ## Install everything for development

.PHONY: test
test: $(STAMP_DEV) ## Run everything that must hold
	@$(TOGETHER) tests/unit
	@$(TOGETHER) tests/integration
	@$(TOGETHER) tests/e2e

.PHONY: test-unit
test-unit: $(STAMP_DEV) ## Run the tests without servers
	@$(TOGETHER) tests/unit

.PHONY: test-integration
test-integration: $(STAMP_DEV) ## Run the tests on a real PostgreSQL and Valkey
	@$(TOGETHER) tests/integration

.PHONY: test-e2e
test-e2e: $(STAMP_DEV) ## Run the tests of the whole suite as its own processes
	@$(TOGETHER) tests/e2e

.PHONY: format
format: $(STAMP_DEV) ## Format the code
	@$(BIN)/ruff format .

.PHONY: format-check
format-check: $(STAMP_DEV) ## Check the format
	@$(BIN)/ruff format --check .

.PHONY: lint
lint: $(STAMP_DEV) ## Look for mistakes
	@$(BIN)/ruff check .

.PHONY: types
types: $(STAMP_DEV) ## Check the types
	@$(BIN)/mypy

.PHONY: imports
imports: $(STAMP_DEV) ## Check who may import whom
	@$(BIN)/lint-imports

.PHONY: openapi
openapi: $(STAMP_DEV) ## Write docs/openapi and the pages made from the code
	@$(BIN)/keelson openapi
	@$(BIN)/keelson configuration
	@$(BIN)/keelson denials
	@$(BIN)/keelson data-quality
	@$(BIN)/keelson roles
	@$(BIN)/keelson scorecard

.PHONY: openapi-check
openapi-check: $(STAMP_DEV) ## Check that the documents made from the code are current; of the scorecard a test does
	@$(BIN)/keelson openapi --check
	@$(BIN)/keelson configuration --check
	@$(BIN)/keelson denials --check
	@$(BIN)/keelson data-quality --check
	@$(BIN)/keelson roles --check

.PHONY: calendars
calendars: $(STAMP_DEV) ## Write the schedules of markets out of exchange_calendars (ARGS="--until 2028-12-31")
	@$(BIN)/keelson calendars $(ARGS)

.PHONY: calendars-check
calendars-check: $(STAMP_DEV) ## Check that the schedules of markets are what exchange_calendars says (a minute)
	@$(BIN)/keelson calendars --check

.PHONY: bench
bench: $(STAMP_DEV) ## Measure, as ratios within one run
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done

.PHONY: check
check: format-check lint types imports openapi-check test ## Everything CI checks

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found (name one with PYTHON=...)" >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) >$(VENV).log 2>&1 || { rm -rf $(VENV); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing python3-venv"; \
			{ apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } >$(VENV).log 2>&1 \
			&& $(PYTHON) -m venv $(VENV) >>$(VENV).log 2>&1; \
		else false; fi; } || { cat $(VENV).log >&2; rm -rf $(VENV); \
		echo "python -m venv does not work here; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@rm -f $(VENV).log

# The stamp is made last: an installation that was cut short is done again.
$(STAMP_UP): requirements/suite.lock | $(BIN)/python
	@test -e $(STAMP_DEV) -a ! requirements/suite.lock -nt $(STAMP_DEV) || { echo "installing the suite"; \
		$(PIP) install --no-compile --require-hashes -r requirements/suite.lock && $(COMPILE); }
	@$(MAKE) --no-print-directory $(BIN)/keelson
	@touch $@

$(STAMP_DEV): requirements/dev.lock | $(BIN)/python
	@echo "installing the suite and the tools to develop it"
	@$(PIP) install --no-compile --require-hashes -r requirements/dev.lock
	@$(MAKE) --no-print-directory $(BIN)/keelson
	@touch $@

# The code runs in place: a line in the environment names this folder, and a launcher starts the command.
$(BIN)/keelson: | $(BIN)/python
	@$(BIN)/python -c 'import pathlib, sysconfig; \
		pathlib.Path(sysconfig.get_path("purelib"), "keelson.pth").write_text(str(pathlib.Path.cwd()) + "\n")'
	@printf '#!/bin/sh\nexec "$$(dirname "$$0")/python" -m cli.main "$$@"\n' >$@ && chmod +x $@
