# Every target sets up what it needs: `make train` on a fresh machine is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
export NO_ALBUMENTATIONS_UPDATE := 1
unexport PYTHONDONTWRITEBYTECODE # tests that are compiled once begin sooner

.DEFAULT_GOAL := help
.PHONY: help setup train test test-slow lint format docs bench notebook clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(READY) ## make .venv with the pinned set

train: $(READY) ## train; ARGS="model=unet_bilinear data=isbi" passes overrides on
	@$(BIN)/python train.py $(ARGS)

# Each worker takes whole files, in the order of their names (the longest lie in the middle), and one thread; one worker
# more than cores, as tests wait for processes of their own.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))')
test: $(READY) ## run the tests side by side (slow and GPU ones apart)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: $(READY) ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow --timeout 1800 $(ARGS)

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## let ruff rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=src $(BIN)/mkdocs build --strict --quiet

bench: $(READY) ## measure speed as ratios, side by side on this machine
	$(BIN)/python -m benchmarks.train_step
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.sweeps
	$(BIN)/python -m benchmarks.compare
	$(BIN)/python -m benchmarks.metrics
	$(BIN)/python -m benchmarks.inference

notebook: $(READY) ## run docs/notebook.ipynb and store what it shows
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.docs.notebook

clean: ## remove the virtual environment and caches (never outputs/)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist site
