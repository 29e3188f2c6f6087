# Every target sets up what it needs: `make train` on a fresh machine is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
ARGS ?=
export NO_ALBUMENTATIONS_UPDATE := 1
unexport PYTHONDONTWRITEBYTECODE # tests that are compiled once begin sooner

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev train test test-slow lint format docs bench notebook clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# Of the pinned set, what users need; EXTRAS=io,search adds extras of pyproject.toml. Two things that nobody uses are left
# out, a fifth of the size: compiled modules before they are imported, and the tests that torch brings of itself.
EXTRAS ?=
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.$(if $(EXTRAS),[$(EXTRAS)])'
	@rm -rf $(VENV)/lib/python*/site-packages/torch/test
	@touch $@

# What tests, lint and documentation need beyond that: twice the size.
$(DEV): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY) $@

setup: $(READY) ## make .venv with the pinned set of users; EXTRAS=io,search adds to it

setup-dev: $(DEV) ## make .venv with the pinned set of developers

train: $(READY) ## train; ARGS="model=unet_bilinear data=isbi" passes overrides on
	@$(BIN)/python train.py $(ARGS)

# Each worker takes whole files, in the order of their names (the longest lie in the middle), and one thread; one worker
# more than cores, as tests wait for processes of their own.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))')
test: $(DEV) ## run the tests side by side (slow and GPU ones apart)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: $(DEV) ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow --timeout 1800 $(ARGS)

lint: $(DEV) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV) ## let ruff rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEV) ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=src $(BIN)/mkdocs build --strict --quiet

bench: $(DEV) ## measure speed as ratios, side by side on this machine
	$(BIN)/python -m benchmarks.train_step
	$(BIN)/python -m benchmarks.epoch
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.sweeps
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.second_start
	$(BIN)/python -m benchmarks.compare
	$(BIN)/python -m benchmarks.metrics
	$(BIN)/python -m benchmarks.inference

notebook: $(DEV) ## run docs/notebooks/first_hour.ipynb and store what it shows
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.docs.notebook

clean: ## remove the virtual environment and caches (never outputs/)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist site
