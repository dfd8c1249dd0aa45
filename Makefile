# `make demo` and `make test` need nothing but Python >= 3.11 and make: they create .venv, install, and run.
PYTHON ?= python3
BIN := .venv/bin
# What is compiled is kept, whatever the shell says: the tests start a hundred processes, which would each compile PyTorch.
export PYTHONDONTWRITEBYTECODE :=
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint types contracts docs check clean

demo: .venv/installed
	$(BIN)/facetem demo

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/pyright

contracts: .venv/installed-dev
	$(BIN)/lint-imports --no-cache

# Warnings are errors; the tutorials are run. With -j 8 they fall into two parts, run side by side. The site is docs/_build/html/index.html.
docs: .venv/installed-docs
	$(BIN)/sphinx-build -W --keep-going -q -j 8 -b html docs docs/_build/html

check: lint types contracts test docs

# One stamp for each set of requirements; a change of what is required installs anew.
.venv/installed: pyproject.toml constraints.txt
	@echo "Installing facetem in .venv (a few minutes, once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "facetem needs Python 3.11 or newer, $(PYTHON) is " + sys.version)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP_INSTALL) --editable .
	@touch $@

.venv/installed-test: .venv/installed
	@$(PIP_INSTALL) --editable '.[test]'
	@touch $@

.venv/installed-docs: .venv/installed
	@$(PIP_INSTALL) --editable '.[docs]'
	@touch $@

.venv/installed-dev: .venv/installed-test
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

# All of them at once, for CI: whatever is installed, pip looks at everything again.
.venv/installed-all: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP_INSTALL) --editable '.[dev,docs]'
	@touch .venv/installed .venv/installed-test .venv/installed-docs .venv/installed-dev $@

clean:
	rm -rf .venv build dist docs/_build facetem-demo .pytest_cache .ruff_cache .hypothesis
