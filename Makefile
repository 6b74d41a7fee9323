# make alone prints the targets
SHELL := /bin/bash
PY := .venv/bin/python
.DEFAULT_GOAL := help

.PHONY: help
help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.venv/.done: requirements/lock.txt pyproject.toml
	@echo "installing the Python environment (about 30 s, cached in .venv)"
	@test -x $(PY) || python3 -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

.PHONY: venv
venv: .venv/.done ## the Python environment, from the lock file

.PHONY: lint
lint: venv ## formatting, lint, types, layers, stale generated files
	@test ! -e operator/__init__.py || { echo "operator/__init__.py shadows the standard library's operator module: remove it" >&2; exit 1; }
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy operator/bcp_operator tests
	.venv/bin/lint-imports --no-logo
