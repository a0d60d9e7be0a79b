# A fresh clone needs make and Python 3.11 or newer; everything else goes into .venv.
# The newest python3.x on PATH is taken; choose another with: make PYTHON=/path/to/python test

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:

PYTHON ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet

# The tests start hundreds of Python processes. Without compiled files, each one would compile habeat, and
# every run would rewrite the assertions of all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test acceptance slow manifests release simulate chaos model mutations soak lint types imports docs bench clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'ARGS="…" is handed on, as in: make test ARGS="-k lease -x"'

demo: $(VENV)/.has-demo ## three beats, a worker, leaders that die: watch nothing go wrong (about a minute)
	@$(BIN)/habeat demo $(ARGS)

test: $(VENV)/.has-test ## unit, conformance and the fast integration tests (under three minutes)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

acceptance: $(VENV)/.has-test ## real processes killed, frozen and cut off; the model; Celery's own tests
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile tests/system/acceptance tests/verification $(ARGS)

slow: $(VENV)/.has-test ## the other slow tests: each example, switches from other schedulers and back
	$(BIN)/python -m pytest -m slow -n 3 --dist loadfile tests/unit tests/integration \
	  tests/system/examples tests/system/migrate tests/system/top $(ARGS)

manifests: $(VENV)/.has-test $(VENV)/.has-deploy ## deploy/: schemas, units, and beats started as the manifests say
	$(BIN)/python -m pytest tests/deployment -m slow $(ARGS)

release: $(VENV)/.has-test $(VENV)/.has-release ## dist/: wheel, source archive and SBOM, built and tried in a clean environment
	$(BIN)/nox -s release $(if $(ARGS),-- $(ARGS))

SEEDS ?= 1000
simulate: $(VENV)/.has-test ## the shipped engine and Lua under faults drawn from seeds: SEEDS=5000, or SEED=7 to see one
	$(BIN)/python -m tests.verification.simulation $(if $(SEED),show $(SEED),run $(SEEDS)) $(ARGS)

chaos: $(VENV)/.has-test ## real processes under faults, judged by the same checker
	$(BIN)/python -m pytest tests/system/chaos -m slow $(ARGS)

model: $(VENV)/.has-test ## the protocol in Promela, exhaustively (needs spin and a C compiler)
	$(BIN)/python -m tests.verification.model $(ARGS)

mutations: $(VENV)/.has-test ## each safety device switched off must be caught
	$(BIN)/python -m tests.verification.mutations $(ARGS)

MINUTES ?= 10
soak: $(VENV)/.has-test ## 10,000 entries, a random fault a minute: MINUTES=60; without faults: ARGS=--calm
	$(BIN)/python -m tests.system.soak --minutes $(MINUTES) $(ARGS)

lint: $(VENV)/.has-lint ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.has-lint $(VENV)/.has-pyright $(VENV)/.has-test ## mypy, strict: the package; what mypy and pyright find in users' code
	$(BIN)/mypy src
	$(BIN)/python -m pytest -q tests/typing

imports: $(VENV)/.has-lint ## import-linter: the layers of the package
	$(BIN)/lint-imports

SITE := build/docs
docs: $(VENV)/.has-docs ## the documentation site in build/docs, every link checked
	@rm -rf $(SITE)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet -c docs -d build/doctrees -E \
	  . $(SITE) $(ARGS)
	$(BIN)/python -m docs.site.check $(SITE)

bench: $(VENV)/.has-bench ## everything in docs/evidence/benchmarks.md, side by side: ARGS="--quick" for a smoke run
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove .venv and what the tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Each extra has a stamp of its own, so that the demo does not wait for the linters.
$(VENV)/.has-%: pyproject.toml $(VENV)/.made
	@echo "habeat: installing habeat[$*] into $(VENV)"
	@$(PIP) --editable '.[$*]'
	@touch $@

# A python3.x may be on PATH and not run (a pyenv shim of a version that is not selected), or
# lack ensurepip (Debian without python3-venv): each candidate is tried out.
$(VENV)/.made:
	@for python in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python); do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	      >/dev/null 2>&1; then \
	    echo "habeat: making $(VENV) with $$("$$python" -V)"; \
	    "$$python" -m venv --clear $(VENV) && touch $@; exit; \
	  fi; \
	done; \
	echo "habeat: no Python 3.11 or newer with venv found; name one: make PYTHON=/path/to/python" >&2; \
	exit 1
