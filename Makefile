# Each target is one line that a person could type. `make help` lists them.
.DEFAULT_GOAL := help
BIN := .venv/bin
STACK ?= dev

.PHONY: help setup up down plan test test-unit test-cluster lint format lock schemas bench clean

help: ## list what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## set up the environment in .venv from the lock file
	@tools/setup.sh

up: setup ## bring the fleet up: environment, engine, models, router, and a first answer
	@$(BIN)/paddock up --stack $(STACK) --yes

down: setup ## take the fleet down: no process and no port stays behind
	@$(BIN)/paddock destroy --stack $(STACK) --yes

plan: setup ## say what the stack needs, costs and breaks, before anything exists: make plan STACK=prod
	@$(BIN)/paddock plan --stack $(STACK)

test: ## set up everything and run every test but the slow ones
	@tools/setup.sh dev
	@tools/test_programs.sh
	$(BIN)/pytest tests -m "not slow and not cluster"

test-unit: ## the tests that need nothing but Python
	@tools/setup.sh dev
	$(BIN)/pytest tests/unit

test-cluster: ## the slow rest, and a real Kubernetes control plane with simulated GPU nodes
	@tools/setup.sh dev
	@tools/build_control_plane.sh >/dev/null
	@tools/test_programs.sh slow
	$(BIN)/pytest tests -m "slow or cluster"

lint: ## style, types, layers, and whether the lock files are fresh
	@tools/setup.sh dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	tools/lock.sh --check

format: ## put the code into its format
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: ## write the lock files anew from pyproject.toml
	@tools/setup.sh dev
	tools/lock.sh

schemas: ## write the JSON Schemas of spec and contract, and the router's OpenAPI description, into docs/reference
	$(BIN)/python -m fleet_spec.schema
	$(BIN)/python -m agent_runtime.router.description > docs/reference/router.openapi.json

bench: ## measure: docs/benchmarks.md tells what and how
	@tools/setup.sh dev
	$(BIN)/python bench/first_answer.py

clean: ## remove the environment; caches outside the checkout stay
	rm -rf .venv
