# Everything a contributor runs. `make` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# TORCH_INDEX_URL: when set, torch and torchvision come from this package index: the CPU build, say.
TORCH_INDEX_URL ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test check format lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(INSTALLED)  ## create .venv with everything in requirements.lock

run: $(INSTALLED)  ## the main job: digits, from the data to the registered model (ARGS="--set seed=1")
	$(BIN)/sanefit run $(ARGS)

test: $(INSTALLED)  ## all tests (ARGS="-k splits")
	$(BIN)/pytest $(ARGS)

check: $(INSTALLED)  ## format and lint (ruff), types (mypy)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)  ## let ruff format and mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(INSTALLED)  ## write requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:  ## remove .venv and caches; runs in sanefit-runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "make: $(PYTHON) is not Python 3.11; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
ifneq ($(TORCH_INDEX_URL),)
	$(BIN)/pip install --quiet --disable-pip-version-check --index-url $(TORCH_INDEX_URL) \
		$$(grep -E '^(torch|torchvision)==' requirements.lock | cut -d' ' -f1)
endif
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $@
