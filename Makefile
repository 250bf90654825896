# Each target makes the virtual environment that it needs. `make help` lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
INSTALLED := $(VENV)/.installed
SAMPLE := examples/leak_detection
SIZE ?= small

.DEFAULT_GOAL := help
.PHONY: help demo test servers check bench sample-data clean

help:
	@echo "make demo         plan, send, get back, read and run the sample job (a few minutes)"
	@echo "make test         run the tests"
	@echo "make servers      install Azurite for tests of az://; needs Node.js and npm"
	@echo "make check        lint, format, types and import walls"
	@echo "make bench        run every benchmark; results stand beside it as JSON"
	@echo "make sample-data  make the sample job's data set; SIZE=full makes 6.8 GB of it"
	@echo "make clean        remove the virtual environment, caches and sample data"
	@echo "PYTHON=...        which Python 3.11 or newer to use (now: $(PYTHON))"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt pip
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt \
		--build-constraint constraints.txt --editable '.[torch,pandas]' --group dev
	@touch $@

# The folder appears under its name only when it is whole: whatever size is there will do.
$(SAMPLE)/data: | $(INSTALLED)
	$(VENV)/bin/python $(SAMPLE)/make_data.py

sample-data: $(INSTALLED)
	$(VENV)/bin/python $(SAMPLE)/make_data.py --size $(SIZE)

demo: $(INSTALLED) | $(SAMPLE)/data
	$(SAMPLE)/demo.sh

test: $(INSTALLED)
	$(VENV)/bin/pytest --numprocesses 2 --dist loadfile

check: $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

# Left out where npm is not: the tests that want it are skipped then, and say so.
servers: $(INSTALLED)
	npm install --silent --no-audit --no-fund --prefix $(VENV)/node azurite@3.37.0

bench: $(INSTALLED)
	@set -e; for benchmark in bench/*.py bench/memory/accuracy.py bench/memory/speed.py \
			bench/data/speed.py bench/stores/speed.py bench/time/accuracy.py; do \
		[ -e "$$benchmark" ] || { echo "no benchmark in bench/"; break; }; \
		echo "== $$benchmark"; $(VENV)/bin/python "$$benchmark"; \
	done

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf $(SAMPLE)/data $(SAMPLE)/data.* $(SAMPLE)/out bench/.cache bench/memory/.cache
