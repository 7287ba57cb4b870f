# One entry for everything: `make` alone lists it. Needs python3 >= 3.11 with venv, and make; the rest pip brings.
#
#     make test PYTHON=python3.13 VENV=.venv-3.13    another interpreter, in an environment of its own
#     make test TESTS="tests/unit -k claim"          some of the tests

PYTHON ?= python3
VENV ?= .venv
TESTS ?=
JOBS ?= auto

export PYTHON
IN := $(VENV)/bin/
DEV := @sh .ci/venv $(VENV) demo dev

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test check lint types floors bench format clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a real model on real files, start to end: about half a minute
	@sh .ci/venv $(VENV) demo
	@$(IN)scorewatch demo

test: ## every test
	$(DEV)
	$(IN)python -m pytest -q -n $(JOBS) $(TESTS)

check: lint types floors test ## what CI runs: lint, types, floors and every test

lint: ## style and the usual mistakes
	$(DEV)
	$(IN)ruff check
	$(IN)ruff format --check

types: ## the types
	$(DEV)
	$(IN)mypy

floors: ## who may import whom
	$(DEV)
	$(IN)lint-imports

bench: ## what it costs: backlog, trickle, idle, start; a line of JSON a run
	$(DEV)
	@$(IN)python benchmarks/backlog.py
	@$(IN)python benchmarks/backlog.py --durability process
	@$(IN)python benchmarks/trickle.py
	@$(IN)python benchmarks/trickle.py --how in-place
	@$(IN)python benchmarks/idle.py
	@$(IN)python benchmarks/start.py

format: ## put the code into shape
	$(DEV)
	$(IN)ruff format

clean: ## remove the environment and what the tools left
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
