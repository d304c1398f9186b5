SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
SCREAMLAB := $(BIN)/screamlab
LINTED := screamlab library filter_plugins lab_tests
SIDE_BY_SIDE := --numprocesses 3 --dist loadfile --no-loadscope-reorder

# Images of containers tell Python to throw away what it has compiled: seconds for each command of ours.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help lab test venv machine lint ruff mypy yamllint ansible-lint bench down clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

lab: venv ## run tc-stress-001 (quick) on the local lab and judge it; KEEP=1 leaves the lab up
	@$(SCREAMLAB) run tc-stress-001 --scale quick $(if $(KEEP),,--down)

test: machine ## unit, module, playbook and end-to-end tests, the real router included
	@$(BIN)/pytest -m "not quiet and not light" $(SIDE_BY_SIDE) $(PYTEST_ARGS)
	@$(BIN)/pytest -m light $(SIDE_BY_SIDE) $(PYTEST_ARGS) lab_tests/e2e
	@$(BIN)/pytest -m quiet $(PYTEST_ARGS) lab_tests/e2e

venv: .venv/installed ## the virtual environment .venv, with screamlab editable in it

.venv/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check -U -c requirements.lock pip setuptools
	@$(BIN)/pip install -q --no-compile --disable-pip-version-check -c requirements.lock --no-build-isolation -e '.[controller,dev]'
	@touch $@

machine: venv ## the Debian packages that virtual hosts, and so the tests, find on this machine
	@$(BIN)/ansible-playbook playbooks/up.yml --tags local_lab_install

lint: venv ## ruff, mypy, yamllint, ansible-lint
	@$(MAKE) --no-print-directory --jobs=2 --output-sync ansible-lint mypy yamllint ruff

ruff:
	@$(BIN)/ruff check $(LINTED)
	@$(BIN)/ruff format --check $(LINTED)

mypy:
	@$(BIN)/mypy

yamllint:
	@$(BIN)/yamllint --strict .

ansible-lint:
	@PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/ansible-lint --offline -q

bench: venv ## measure the lab's own tools against their peers
	@$(SCREAMLAB) bench

down: venv ## take the local lab down
	@$(BIN)/ansible-playbook playbooks/down.yml

clean: ## remove everything a build, a test or a run has made, the lab included
	@if test -x $(BIN)/ansible-playbook; then $(BIN)/ansible-playbook playbooks/down.yml; fi
	rm -rf .venv runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
