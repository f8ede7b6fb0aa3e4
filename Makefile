# Two commands matter: `make demo` sets up and runs the main job, `make test` sets up and runs all tests.
# Everything works on a fresh clone with Python 3.11, pip, git and (for the interop tests) Node.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NODE_SERVICES := tests/interop/services/typescript
NODE_EXAMPLE := examples/claim_agent_ts
INTEROP_SERVICES := tests/interop/services
INTEROP_BUILDS := build/interop
HAS_NPM := $(shell command -v npm 2>/dev/null)
UI_BUILT := src/holdfast/admin/ui_dist/index.html
UI_SOURCES := $(shell find ui -type f -not -path 'ui/node_modules/*')

# Tests start many processes: without cached bytecode each of them compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sdk-suite-restate demo demo-typescript test check unit e2e torture power-cuts fuzz bench bench-quick bench-peers sim storm mutants lock clean setup ui ui-check node-setup interop-setup

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

# The web UI, built into the package; installed packages bring it along and need no Node.
ui: $(UI_BUILT)

$(UI_BUILT): $(UI_SOURCES)
ifneq ($(HAS_NPM),)
	npm ci --silent --no-audit --no-fund --prefix ui
	npm run --silent build --prefix ui
	touch $@
else
	@echo "npm is not installed: THE WEB UI IS NOT BUILT, /ui/ will say so, and its tests will be skipped"
endif

ui-check:
ifneq ($(HAS_NPM),)
	test -d ui/node_modules || npm ci --silent --no-audit --no-fund --prefix ui
	npm run --silent check --prefix ui
	npm run --silent test --prefix ui
else
	@echo "npm is not installed: the web UI is NOT checked"
endif

node-setup:
ifneq ($(HAS_NPM),)
	test -d $(NODE_SERVICES)/node_modules || npm ci --silent --no-audit --no-fund --prefix $(NODE_SERVICES)
	test -d $(NODE_EXAMPLE)/node_modules || npm ci --silent --no-audit --no-fund --prefix $(NODE_EXAMPLE)
else
	@echo "npm is not installed: tests of the TypeScript SDK will be skipped"
endif

# The services on SDKs of compiled languages; whatever cannot be built is said, and its tests are skipped.
interop-setup:
	$(INTEROP_SERVICES)/build.sh $(INTEROP_BUILDS)

# The main job: a claim agent in `holdfast dev` that survives kill -9 of the server and of itself.
demo: setup ui
	$(BIN)/python -m examples.claim_demo.demo

demo-typescript: setup ui node-setup
	$(BIN)/python -m examples.claim_demo.demo --agent typescript

# All tests; pytest's summary line comes last.
test: setup ui node-setup interop-setup
	$(BIN)/python -m pytest

# What to run before every commit: format, lint, types, and the fast tests.
check: setup ui-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q -m "not e2e and not interop and not slow"

unit: setup
	$(BIN)/python -m pytest -q -m "not e2e and not interop and not slow"

e2e: setup ui node-setup interop-setup
	$(BIN)/python -m pytest -q -m "e2e or interop"

# Random kill -9 and SIGSTOP under load, and an outsider who checks; SEED and KILLS choose.
SEED ?= 1
KILLS ?= 1000
torture: setup
	$(BIN)/python -m tests.torture --seed $(SEED) --kills $(KILLS)

# The same with the power of the server's disk cut; needs root, for it mounts a disk image.
CUTS ?= 50
power-cuts: setup
	$(BIN)/python -m tests.torture --seed $(SEED) --kills $(CUTS) --power

# Every parser that reads a stranger's bytes, so many SECONDS each.
SECONDS ?= 60
fuzz: setup
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# The SDK's own suite against the real Restate server from npm.
sdk-suite-restate: setup node-setup
	HOLDFAST_TEST_SERVER=restate $(BIN)/python -m pytest -q tests/sdk_suite

# Whole servers and services under one seed, repeated and told: make sim SEED=7.
sim: setup
	$(BIN)/python -m tests.simulation $(SEED)

# Many seeds from SEED on; a failure prints the command that repeats it.
COUNT ?= 10000
storm: setup
	$(BIN)/python -m tests.simulation $(SEED) $(COUNT)

# Deliberately broken engines, each of which the simulation must catch.
mutants: setup
	$(BIN)/python -m tests.simulation.mutants

# Ours against the real Restate server from npm, in interleaved rounds on this machine.
bench: setup node-setup
	$(BIN)/python -m bench

bench-quick: setup node-setup
	$(BIN)/python -m bench --quick

# DBOS at the same ten steps, on SQLite and (where it is installed) PostgreSQL; its environment also draws charts.
bench-peers: .venv-peers/.installed
	.venv-peers/bin/python -m bench.peers.dbos_workflows --seconds 10
	.venv-peers/bin/python -m bench.peers.dbos_workflows --seconds 10 --database postgresql

.venv-peers/.installed: bench/peers/requirements.lock
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Resolve pyproject.toml into requirements.lock; pins that still fit stay.
lock: setup
	$(BIN)/uv pip compile --quiet --custom-compile-command "make lock" bench/peers/requirements.in --python-version 3.11 -o bench/peers/requirements.lock
	$(BIN)/uv pip compile --quiet --custom-compile-command "make lock" --all-extras --group dev pyproject.toml --python-version 3.11 -o requirements.lock

clean:
	rm -rf $(VENV) ui/node_modules src/holdfast/admin/ui_dist .venv-peers $(NODE_SERVICES)/node_modules $(NODE_EXAMPLE)/node_modules $(INTEROP_BUILDS) .pytest_cache .mypy_cache .ruff_cache
