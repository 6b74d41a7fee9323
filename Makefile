# make alone prints the targets
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PY := .venv/bin/python
PYTEST := $(PY) -m pytest
RESULTS := build/results
.DEFAULT_GOAL := help
# One after the other, whatever -j says: the stages share one cluster and two cores.
.NOTPARALLEL:

.PHONY: help
help: ## print the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.done: requirements/lock.txt pyproject.toml
	@echo "installing the Python environment from the lock file (about 30 s, kept in .venv)"
	@python3 -c 'import ensurepip' 2>/dev/null || { \
	  echo "python3-venv is missing: installing it with apt-get"; \
	  apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends python3-venv; }
	@test -x $(PY) || python3 -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/lock.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: venv
venv: .venv/.done ## the Python environment, from the lock file

.PHONY: lint
lint: venv ## formatting, lint, types, layers, chart, stale generated files
	@test ! -e operator/__init__.py || { echo "operator/__init__.py shadows the standard library's operator module: remove it" >&2; exit 1; }
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy operator/bcp_operator tests manifests/render.py
	.venv/bin/lint-imports --no-logo
	$(PY) -m bcp_operator.api.crdgen --check
	$(PY) -m bcp_operator.systems.profilegen --check
	$(PY) -m manifests.render --check

.PHONY: generate
generate: venv ## CRDs, profile schema, reference pages and manifests/, from the models and the chart
	$(PY) -m bcp_operator.api.crdgen
	$(PY) -m bcp_operator.systems.profilegen
	$(PY) -m manifests.render

.PHONY: unit
unit: venv ## pure tests, tests with fakes, chart tests
	$(PYTEST) tests -m "not cluster and not e2e" --numprocesses auto --dist loadfile --junitxml=$(RESULTS)/unit.xml

.PHONY: apiserver
apiserver: venv ## tests on a real API server and controller manager
	$(PYTEST) tests -m "cluster and not e2e" --junitxml=$(RESULTS)/apiserver.xml

.PHONY: e2e
e2e: venv ## the main job end to end: real cluster, real systems, an independent client
	$(PYTEST) tests -m e2e --junitxml=$(RESULTS)/e2e.xml

.PHONY: test
test: clean-results lint unit apiserver e2e ## everything: lint, unit, apiserver, e2e
	@$(PY) -m tests.results $(RESULTS)

.PHONY: clean-results
clean-results:
	@rm -rf $(RESULTS)

.PHONY: demo
demo: venv ## a real cluster, the operator, two directories, one switch; narrated
	$(PY) -m tests.demo

.PHONY: bench-switch
bench-switch: venv ## 20 switches through Ingress beside the same patch by hand, in one run; fails when a target is missed
	$(PY) -m tests.perf.failover --ways ingress --out build/bench-switch.json

.PHONY: bench-failover
bench-failover: venv ## 200 switches each through Ingress, HTTPRoute and RFC 2136 beside the floor (20 min); fails when a target is missed
	$(PY) -m tests.perf.failover --switches 200 --out build/bench-failover.json

.PHONY: bench-fleet
bench-fleet: venv ## 1,000 tenants failed over at once beside a bare client, idle, restarted, leader killed; 5,000 idle (40 min); fails when a target is missed
	$(PY) -m tests.perf.fleet --tenants 1000 --out build/bench-fleet-1000.json
	$(PY) -m tests.perf.fleet --tenants 5000 --parts idle,restart --out build/bench-fleet-5000.json

.PHONY: bench-sync
bench-sync: venv ## a sync beside a bare client making the same requests, and a million entities; fails when a target is missed
	$(PY) -m tests.perf.sync_speed --out build/bench-sync.json

.PHONY: crash-sweep
crash-sweep: venv ## kill a sync at three points of every request, one run per point; fails on anything lost, twice or dangling
	$(PY) -m tests.systems.crash --out build/crash-sweep.json

.PHONY: up
up: venv ## start the test cluster
	$(PY) -m tests.cluster up

.PHONY: down
down: venv ## stop the test cluster and remove all it made
	$(PY) -m tests.cluster down

.PHONY: image
image: venv ## build the images and load them into the test cluster
	$(PY) -m tests.cluster images

.PHONY: wheels
wheels: venv ## the project and what its image needs, by the lock file, into wheels/
	@rm -rf wheels
	$(PY) -m pip wheel --quiet --disable-pip-version-check --wheel-dir wheels --no-deps --require-hashes -r requirements/image.txt
	$(PY) -m pip wheel --quiet --disable-pip-version-check --wheel-dir wheels/project --no-deps --no-build-isolation .

COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-header --no-annotate --no-emit-index-url

.PHONY: lock
lock: ## resolve the dependencies anew into the lock files
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
	 && python3 -m venv "$$folder/venv" \
	 && "$$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv \
	 && "$$folder/venv/bin/uv" $(COMPILE) pyproject.toml --all-extras --output-file requirements/lock.txt \
	 && "$$folder/venv/bin/uv" $(COMPILE) pyproject.toml --extra operator --extra sync --constraint requirements/lock.txt --output-file requirements/image.txt \
	 && "$$folder/venv/bin/uv" $(COMPILE) tests/systems/requirements.in --output-file tests/systems/requirements.txt

.PHONY: clean
clean: ## remove what was built here; caches in the user's cache folder stay
	rm -rf .venv build dist wheels .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
