# Each target sets up what it needs. Start with: make run
VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.stamp
TRAINING := $(VENV)/.stamp-training
ROOM  := $(VENV)/.stamp-room
HA    := .venv-ha

# make bench DATA=<corpus> [BENCH=nonce|session|memory|speaker|wake|daemon] [JSON=<report>] [SEED=<number>] [QUICK=1]
BENCH ?= session
JSON  ?= out/bench-$(BENCH).json
SEED  ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup run test test-e2e test-ha test-deb lint bench train clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(TRAINING) ## make .venv/ with all that run, test, lint, train and bench need

$(STAMP): pyproject.toml .ci/setup .ci/apt
	@.ci/setup
	@touch $@

$(TRAINING): $(STAMP) .ci/setup-training
	@.ci/setup-training
	@touch $@

$(ROOM): $(STAMP) .ci/setup-room .ci/apt
	@.ci/setup-room
	@touch $@

$(HA)/.stamp: tests/ha/requirements.txt .ci/setup-ha .ci/apt
	@.ci/setup-ha
	@touch $@

run: $(STAMP) ## the demo: a household evening in the simulated room
	@$(BIN)/earmark demo

test: $(TRAINING) $(ROOM) ## run the tests, end-to-end ones first (ARGS="-k nonce" to choose of the others)
	@e2e=0; \
	$(if $(ARGS),,$(BIN)/python -m pytest --ignore tests/e2e/test_calibration_run.py tests/e2e || e2e=$$?;) \
	$(BIN)/python -m pytest --ignore tests/e2e $(ARGS) || exit; \
	[ "$$e2e" = 0 ] || { echo "make test: the end-to-end tests failed, see above" >&2; exit $$e2e; }

test-e2e: $(TRAINING) $(ROOM) ## the daemon on a real audio server in a virtual room, in real time: TIMES=<how often>
	@$(BIN)/python $(if $(TIMES),tests/e2e/times.py $(TIMES) $(ARGS),-m pytest $(ARGS) tests/e2e)

test-ha: $(STAMP) $(HA)/.stamp ## our satellite with a Home Assistant, which gets an environment of its own
	@$(HA)/bin/python -m pytest -c tests/ha/pytest.ini $(ARGS) tests/ha

test-deb: $(STAMP) ## make the .debs, install them in a Debian 12 and try them: ARCH=amd64|arm64 DEB=<file>
	@DEB="$(DEB)" .ci/test-deb $(or $(ARCH),amd64)

lint: $(TRAINING) ## ruff, its formatter and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict device host calibration

bench: $(TRAINING) ## measure on a corpus: DATA=<folder> BENCH=nonce|session|memory|speaker|wake|daemon SEED=<n> QUICK=1
	@test -n "$(DATA)" || { echo "bench: say where the corpus is: make bench DATA=<folder>" >&2; exit 2; }
	@mkdir -p "$(dir $(JSON))"
	@$(BIN)/earmark-host bench $(BENCH) --data "$(DATA)" --json "$(JSON)" --seed $(SEED) $(if $(QUICK),--quick)

train: $(TRAINING) ## train the speaker model: DATA=<folder> OUT=<folder> (see host/README.md)
	@test -n "$(DATA)" || { echo "train: say where the corpus is: make train DATA=<folder>" >&2; exit 2; }
	@$(BIN)/earmark-host speaker train --data "$(DATA)" --out "$(or $(OUT),out/speaker)" --seed $(SEED)

clean: ## remove .venv/, .venv-ha/, caches and what runs left behind
	rm -rf $(VENV) $(HA) build dist out earmark-demo .mypy_cache .pytest_cache .ruff_cache
	find device host calibration tests -name __pycache__ -type d -prune -exec rm -rf {} +
