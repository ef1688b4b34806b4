# Each target sets itself up: a virtual environment in .venv with the exact versions of constraints.txt.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.ready

# 3D Slicer's and OHIF's side of the tests: the client of MONAI Label, and the OHIF build with its plug-in. Its own
# dependencies (torch with CUDA, pydicom 2) are not wanted. The client imports cgi, which left Python with 3.13.
MONAILABEL := 'monailabel==0.8.5' 'legacy-cgi==2.6.4; python_version >= "3.13"'

# nnU-Net's networks, against which imported ones are tested. The timm that they name is older than ours, and not used by them.
NNUNET := 'dynamic-network-architectures==0.4.4'

.PHONY: wheel lowest demo demo-clinic test lint docs notebooks bench unit clean clinic-tools

$(STAMP): pyproject.toml constraints.txt
	@$(or $(PYTHON),python3) -c 'import ensurepip, venv' 2>/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "Python 3.11 to 3.13 with venv is needed: sudo apt-get install python3 python3-venv" >&2; exit 1; }; \
	  echo "Installing python3-venv"; apt-get update -qq && apt-get install -y -qq python3 python3-venv; }
	$(or $(PYTHON),python3) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs,bundle]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps $(MONAILABEL) $(NNUNET)
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/voxloom demo -o demo

demo-clinic: $(STAMP) clinic-tools
	$(BIN)/python -m tests.serve.clinic demo/clinic

test: lint docs unit

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks scripts docs/notebooks
	$(BIN)/ruff format --check src tests benchmarks scripts docs/notebooks
	$(BIN)/mypy
	$(BIN)/lint-imports

clinic-tools:
	@.ci/clinic-tools

unit: $(STAMP) clinic-tools
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: $(STAMP)
	$(BIN)/mkdocs build --strict --quiet

# Runs the notebooks of docs/notebooks and keeps what their cells give; `unit` runs them too, and keeps nothing.
notebooks: $(STAMP)
	$(BIN)/python -m scripts.notebooks

bench: $(STAMP)
	bash benchmarks/run.sh

# The wheel in a clean environment without constraints, and with the lowest versions that are declared: minutes and gigabytes, not in `test`.
wheel:
	PYTHON=$(PYTHON) .ci/wheel

lowest:
	RESOLUTION=lowest PYTHON=$(PYTHON) .ci/wheel

clean:
	rm -rf .venv site demo
