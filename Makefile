# What a fresh machine needs: git, make, Python 3.11 or newer, and Docker or Java 17 or newer with Maven.
# All else is brought by `make setup`, which the other targets call, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode
TESTS ?= tests benchmarks
PYTEST_WORKERS ?= 2
SEED ?= 1
SEEDS ?= 1
MINUTES ?= 5

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up down doctor test test-long chaos chaos-long bench bench-growth bench-peers check clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.runs ## Bring everything that running needs, once (virtual environment, hashed locks)

setup-dev: $(VENV)/.develops ## Bring what tests and checks need as well, once

demo: setup ## Replay the first two cut-offs of 2021 and end with their laureates
	@$(BIN)/releve demo

up: setup ## Start the whole system and stay; Ctrl-C stops it
	@$(BIN)/releve up

down: setup ## Stop the system of this folder
	@$(BIN)/releve down

doctor: setup ## Tell where everything comes from and why, and whether what runs is well
	@$(BIN)/releve doctor

test: setup-dev ## Run every test; TESTS=path runs some, PYTEST_WORKERS=n on n processes
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile $(TESTS)

test-long: setup-dev ## What is too long for `make test`: deaths at every place, a cluster whose leader is killed
	$(BIN)/python -m pytest -p no:xdist -m long tests

chaos: setup-dev ## Strike a whole system by a seed and verify it: SEED=1 MINUTES=5, SEEDS=n runs several
	@$(BIN)/python -m tests.chaos --seed $(SEED) --seeds $(SEEDS) --minutes $(MINUTES)

chaos-long: setup-dev ## Three minutes without a broker, under a steady load of submissions
	RELEVE_TEST_AWAY_S=180 $(BIN)/python -m pytest -p no:xdist tests/chaos/test_kafka_away.py

bench: setup-dev ## Speed as ratios against limits and the plain way: NAME=submit runs one, JSON=1 for programs
	@$(BIN)/python -m benchmarks $(NAME) $(if $(JSON),--json)

bench-growth: setup-dev ## What one application more costs in a call of 5,000 and of 200,000; takes minutes
	@$(BIN)/python -m benchmarks growth $(if $(JSON),--json)

bench-peers: setup-dev ## Debezium's outbox router relays the same rows beside ours; Maven brings it once
	@$(BIN)/python -m benchmarks peers $(if $(JSON),--json)

check: setup-dev ## Style, types, layers, generated documents: what CI runs before the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -p no:xdist tests/architecture

clean: down ## Stop the system and remove what was brought and kept here
	rm -rf $(VENV) .releve

# A state folder, an interrupted set-up and a changed lock are told apart by these two stamps.
$(VENV)/.runs: requirements.lock pyproject.toml
	@$(PYTHON) -m deploy.local.prerequisites
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "bringing what running needs"
	@awk '/^uv==/ {inside = 1} inside {print; if (!/\\$$/) exit}' requirements-dev.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock
	@$(UV) -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --offline --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.develops: $(VENV)/.runs requirements-dev.lock
	@echo "bringing what tests and checks need"
	@$(UV) -r requirements-dev.lock
	@touch $@
