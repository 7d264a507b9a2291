# Needs GNU make and Python 3.11 or newer; everything else is installed into .venv.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
TESTS ?= tests
SPINNERS ?= 8
ROUNDS ?= 1000
MINUTES ?= 10
SEEDS ?= 1000
SEED ?=
KIND ?= leases
JOBS ?=
MUTATIONS ?=
CASES ?= $(or $(TALLYD_SHARED),../shared)/cases
TRACE ?=
FORMAT ?=

VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/requirements
RUN_STAMP := $(VENV)/.stamp-run
DEV_STAMP := $(VENV)/.stamp-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
INSTALL_LOCKED := $(PIP) install --require-hashes
INSTALL_SELF := $(PIP) install --no-deps --no-build-isolation --editable .

##@ Start here
.PHONY: help
help: ## Print the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(RUN_STAMP) ## Run the whole system on sample traffic; TRACE=file FORMAT=azure-llm|access-log|jsonl for your own
	@test -z '$(TRACE)' || test -n '$(FORMAT)' || { \
		echo "TRACE needs FORMAT=azure-llm, FORMAT=access-log or FORMAT=jsonl" >&2; exit 2; }
	$(BIN)/tallyd demo $(if $(TRACE),--trace '$(TRACE)' --format '$(FORMAT)')

# What bounds a run ends a hang: both take a fraction of it, on a busy machine too.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
# Where TESTS narrows, it may leave no long test, which pytest tells by 5.
NONE_IS_FINE = $(if $(filter tests,$(TESTS)),,|| test $$? -eq 5)

.PHONY: test
test: $(DEV_STAMP) clients ## Run the tests; TESTS=path narrows
	$(PYTEST) -m 'not slow' --session-timeout=2400 $(TESTS)

.PHONY: test-slow
test-slow: $(DEV_STAMP) clients tools ## Run the long tests: crash loops, many seeds; TESTS=path narrows
	$(PYTEST) -m slow --session-timeout=3000 $(TESTS) $(NONE_IS_FINE)

.PHONY: test-busy
test-busy: $(DEV_STAMP) ## Run the tests on a machine that SPINNERS=8 processes keep busy
	$(BIN)/python -m tests.busy --spinners $(SPINNERS) -- $(MAKE) test

.PHONY: kills
kills: $(DEV_STAMP) ## Start a sidecar ROUNDS=1000 times on a disk that fails, and kill it each time
	$(BIN)/python -m tests.crash.lives --rounds $(ROUNDS)

.PHONY: sim
sim: $(DEV_STAMP) ## Play SEEDS=1000 runs of KIND=leases under faults on virtual time; SEED=k replays one, JOBS=n at once, MUTATIONS=1 finds bugs
	$(BIN)/python -m tests.simulation.$(KIND) \
		$(if $(SEED),--seed $(SEED),--seeds $(SEEDS) $(if $(JOBS),--jobs $(JOBS)) \
			$(if $(MUTATIONS),--mutations))

.PHONY: soak
soak: $(DEV_STAMP) ## Run plane and sidecars under load with faults of all kinds for MINUTES=10
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

.PHONY: clients
clients: $(DEV_STAMP) ## Build the example clients, for their tests, where Go and Node.js are there
	@$(BIN)/python -m tests.clients

##@ Environment
.PHONY: venv
venv: $(DEV_STAMP) ## Create or update .venv with everything for development

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is not on the PATH; name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "tallyd needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1);" \
			"name another with: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "'$(PYTHON) -m venv' failed (see above). On Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }

$(RUN_STAMP): $(LOCKS)/build.txt $(LOCKS)/control.txt pyproject.toml | $(BIN)/python
	$(INSTALL_LOCKED) -r $(LOCKS)/build.txt -r $(LOCKS)/control.txt
	$(INSTALL_SELF)
	@touch $@

$(DEV_STAMP): $(LOCKS)/dev.txt pyproject.toml | $(BIN)/python
	$(INSTALL_LOCKED) -r $(LOCKS)/dev.txt
	$(INSTALL_SELF)
	@touch $@

##@ Checks
.PHONY: lint lint-python lint-types lint-imports lint-proto lint-breaking lint-generated lint-hygiene
lint: lint-python lint-types lint-imports lint-proto lint-breaking lint-generated lint-hygiene ## Run every check below; make -k lint goes on after a failure

lint-python: $(DEV_STAMP) ## Python style and format (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: $(DEV_STAMP) ## Types (mypy strict)
	$(BIN)/mypy

lint-imports: $(DEV_STAMP) ## Imports between packages (import-linter)
	$(BIN)/lint-imports

lint-proto: $(DEV_STAMP) ## Style of the .proto files (buf)
	$(BIN)/buf lint

lint-breaking: $(DEV_STAMP) ## API changes that break clients (buf)
	$(BIN)/python proto/breaking.py

lint-generated: $(DEV_STAMP) ## Generated code matches the .proto files
	$(BIN)/python proto/generate.py --check

lint-hygiene: $(DEV_STAMP) ## No secrets, machine paths or package index addresses
	$(BIN)/python -m tests.lint

# The compiler works in the folder of go.mod, hence the absolute path.
TOOLS := $(CURDIR)/build/tools

.PHONY: tools
tools: ## Build the Go tools that conformance tests use into build/tools; skips where Go is absent
	@mkdir -p $(TOOLS)
	@if command -v go >/dev/null; then \
		cd tests/tools && go build -o $(TOOLS)/ tool; \
	else \
		echo "Go is not on the PATH: conformance tests that need its tools will be skipped"; \
	fi

.PHONY: cases
cases: $(DEV_STAMP) ## Run case files: windows, burn-down of credits; CASES=path of a file or directory
	@$(BIN)/python -m tests.conformance.cases '$(CASES)'

.PHONY: bench
bench: $(DEV_STAMP) ## Measure, write build/bench.json and print a table
	@mkdir -p build
	$(BIN)/python -m tests.bench

##@ Maintenance
.PHONY: format
format: $(DEV_STAMP) ## Format the Python code and repair what ruff can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: proto
proto: $(DEV_STAMP) ## Write sidecar/api from proto/
	$(BIN)/python proto/generate.py

.PHONY: proto-baseline
proto-baseline: $(DEV_STAMP) ## Accept today's API as what later changes must not break
	$(BIN)/buf build --exclude-source-info --as-file-descriptor-set -o proto/baseline.binpb

# --no-config and the cleared variables keep a machine's own package sources out of the locks.
LOCK := env -u UV_INDEX -u UV_INDEX_URL -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
	$(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --custom-compile-command "make lock"

.PHONY: lock
lock: $(DEV_STAMP) ## Resolve deploy/requirements/*.in again; UPGRADE=1 takes the newest versions
	@for set in build base control dev; do \
		echo "$(LOCKS)/$$set.txt"; \
		$(LOCK) $(if $(UPGRADE),--upgrade) $(LOCKS)/$$set.in -o $(LOCKS)/$$set.txt || exit 1; \
	done

.PHONY: clean
clean: ## Remove everything that make made, .venv too
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf deploy/clients/go/gen deploy/clients/go/client deploy/clients/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
