# `make demo` and `make test` start from nothing but Python and make.
PYTHON ?= python3
VENV ?= .venv
# On Linux without a GPU, the index of PyTorch's CPU builds spares a download of several GB:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test check lint types pytest plugins docs wheel clean

demo: $(VENV)/.package
	$(BIN)/lungpatch demo --out demo-out

test: check

check: lint types pytest plugins docs

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

# One process per core; more threads than cores would only wait for each other.
pytest: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

plugins: $(VENV)/.dev
	$(BIN)/pytest example-plugins/test_as_an_outsider.py

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

# Builds the package and tries it with the oldest and the newest versions of what it needs, on each
# Python that is here: `make wheel PYTHONS="3.11 3.13"`. It downloads several GB.
PYTHONS ?=
wheel: $(VENV)/.dev
	$(BIN)/python .ci/try_wheel.py $(PYTHONS)

$(VENV)/.package: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.package
	# Dependency groups need a newer pip than some Pythons bring.
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --group dev
	touch $@

clean:
	rm -rf $(VENV) dist demo-out docs/_build docs/api/generated docs/gallery
