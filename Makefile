.PHONY: setup repro test check bench
.DEFAULT_GOAL := help

BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
# DVC's own place for its index may be written by every user of the machine.
export DVC_SITE_CACHE_DIR ?= $(CURDIR)/.dvc/tmp/site

help:
	@echo "make repro   set everything up and rebuild the results"
	@echo "make test    set everything up and run the tests"
	@echo "make check   lint and check types"
	@echo "make bench   measure"
	@echo "make setup   only set up"

setup: .venv/.complete

.venv/.complete: requirements.txt pyproject.toml .ci/setup.sh
	@sh .ci/setup.sh

repro: setup
	@python stages/all.py

test: setup
	@python -m pytest -n 2

check: setup
	@ruff check src stages tests benchmarks examples docs
	@ruff format --check src stages tests benchmarks examples docs
	@mypy

# Minutes together. The others take hours or a GPU and say so: study, gpu.
BENCHMARKS := depth samples rank_loss kernels processes latency full_size

bench: setup
	@for name in $(BENCHMARKS); do echo "== $$name"; python benchmarks/$$name.py || exit 1; done
