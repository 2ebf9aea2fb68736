# Two commands do everything on a machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# A docstring's first line names its object: no "what", "who" and the like for a noun.
VAGUE := '^ *r?"""[^"]*\b(what|who|whoever|whatever|elsewhere|told|nobody)\b'

.PHONY: install demo test test-fast check bench read-bench fuzz sample lock clean

install: $(STAMP)

# The stamp is renewed when a pin changes, so that every target works from a fresh clone.
$(STAMP): pyproject.toml .ci/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable ".[dev]"
	touch $(STAMP)

demo: install
	$(BIN)/python app.py

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/browser

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	! grep -rniE $(VAGUE) --include=*.py app.py core demo
	$(BIN)/python -m tests.tools.docs

bench: install
	$(BIN)/python -m tests.tools.bench --write

read-bench: install
	$(BIN)/python -m tests.tools.read_bench $(FOLDER)

fuzz: install
	$(BIN)/python -m tests.tools.fuzz --files 2000 --seed 0

sample: install
	$(BIN)/python -m assets.sample.build
	$(BIN)/python -m core sample --write

lock: install
	$(BIN)/python -m tests.tools.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
