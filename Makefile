# EZPath. `make help` lists every target.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
KEEP ?=
BENCH_OPTIONS ?=
SIM ?=
TOR ?=
LAB_OPTIONS ?=
FUZZ ?=
MINUTES ?= 2
SEED ?= 1
CHAOS_OPTIONS ?=
PYTEST_OPTIONS ?=
WORKERS ?= 2
# A lab and its tests start hundreds of processes: without compiled modules, each spends most of its start on compiling.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-tests lab lab-down chaos test model fuzz check format bench bench-quick setup-bench bench-dataplane bench-control bench-collectors bench-scale bench-monitor bench-saga bench-decider \
	sim p4 p4-check saga-doc events-doc trust-doc reference docs record-docker pictures clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: Debian packages (as root) and the Python environment in .venv
	@tools/setup

setup-tests:
	@tools/setup tests

lab: setup ## Run the main job on real packets and show it; KEEP=1 leaves it running, TOR=bmv2, LAB_OPTIONS=--trust (needs root)
	@$(BIN)/ezpath-lab run $(if $(KEEP),--keep) $(if $(TOR),--tor $(TOR)) $(LAB_OPTIONS)

lab-down: ## Remove everything a lab left: processes, namespaces, files
	@if [ -x $(BIN)/ezpath-lab ]; then $(BIN)/ezpath-lab down; else echo "No lab was ever set up here."; fi

chaos: setup ## Break everything, seeded, while tunnels move and packets are counted; MINUTES=35 SEED=7 (needs root)
	@$(BIN)/ezpath-lab chaos --minutes $(MINUTES) --seed $(SEED) $(CHAOS_OPTIONS)

test: setup-tests ## Run all tests, WORKERS=2 at a time; those that need root or a tool skip with the reason, in CI they fail
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

model: setup ## The saga, model-checked at length: three faults, two pairs; minutes, 1.3 GiB
	@PYTHONPATH=tests $(BIN)/python -m model

fuzz: setup ## Random packets on BMv2 and on the software ToR; FUZZ='--packets 100000 --seed 7' (needs root)
	@PYTHONPATH=tests $(BIN)/python -m conformance.fuzz $(FUZZ)

check: setup p4-check ## Lint, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy p4rt/src tor/src ezpath/src lab/src bench/src services/*/src
	@$(BIN)/lint-imports

format: setup ## Format the Python sources
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup-bench ## Every figure, side by side with what it is compared to, into bench/report (needs root, half an hour)
	@$(BIN)/ezpath-bench figures $(BENCH_OPTIONS)

bench-quick: setup-bench ## The same with few short rounds, in under 5 minutes
	@$(BIN)/ezpath-bench figures --quick $(BENCH_OPTIONS)

setup-bench:
	@tools/setup bench

bench-dataplane: setup ## Measure the software ToR beside a bare veth, Linux's own devices and BMv2 (needs root)
	@$(BIN)/ezpath-bench dataplane $(BENCH_OPTIONS)

bench-control: setup ## Measure a register read and a batch of writes, end to end (needs root)
	@$(BIN)/ezpath-bench control $(BENCH_OPTIONS)

bench-decider: setup ## Measure one decision round over up to a million flows, on one core; time, memory, growth
	@$(BIN)/ezpath-bench decider $(BENCH_OPTIONS)

bench-monitor: setup ## Measure the flow monitor's recall and byte error (minutes); BENCH_OPTIONS=--quick
	@$(BIN)/ezpath-bench monitor $(BENCH_OPTIONS)

bench-collectors: setup ## Measure what polling a switch costs a collector, and that it grows linearly (a minute)
	@$(BIN)/ezpath-bench collectors $(BENCH_OPTIONS)

bench-scale: setup ## The same as far as few cores go: up to 500 switches, 1 to 8 collectors, every 25 seconds (minutes)
	@$(BIN)/ezpath-bench collectors --interval 25 $(foreach n,125 250 500,--switches $(n)) $(foreach n,4 1 2 8,--collectors $(n)) \
		$(BENCH_OPTIONS)

bench-saga: setup ## Measure sagas a second, their latency, and what a sick switch costs others (needs root, minutes)
	@$(BIN)/ezpath-bench saga $(BENCH_OPTIONS)

sim: setup ## What the strategies are worth: the simulator, and whether `value` reaches its targets; SIM='--churn 0.003'
	@$(BIN)/ezpath sim --check $(SIM)

p4: ## Recompile the P4 program (p4c on PATH, P4C=…, or in a container), stamp the output, print its SRAM
	@python3 p4/build.py

p4-check: ## Fail if the P4 sources and the committed output differ
	@python3 p4/build.py --check
	@python3 tests/packet/programs/build.py --check

record-docker: setup-tests ## Record what a Docker daemon says, for the tests (needs root and dockerd)
	@PYTHONPATH=tests $(BIN)/python tests/recorded/docker/record.py

saga-doc: setup ## Make the diagram and the tables of docs/SAGA.md anew
	@$(BIN)/python tools/saga-doc

events-doc: setup ## Make docs/asyncapi.yaml and docs/EVENTS.md anew from the event types
	@$(BIN)/python tools/events-doc

trust-doc: setup ## Make the table of docs/TRUST.md anew from the roles
	@$(BIN)/python tools/trust-doc

reference: setup ## Make docs/SETTINGS.md and docs/CLI.md anew from the programs' options
	@$(BIN)/python tools/reference

docs: setup ## Make the documentation a site in .site, strictly: no link may be dead
	@$(BIN)/mkdocs build --quiet && echo "Open .site/index.html"

pictures: setup-tests ## Make the pictures in docs/CONSOLE.md anew: the page in Chromium, on what the lab recorded
	@mkdir -p docs/images
	@PICTURES=docs/images $(BIN)/pytest -q -k screen_reader tests/contract/test_console.py

clean: lab-down ## Remove what the other targets made inside the checkout
	@rm -rf .venv .tools .lab .site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
