# Everything one does here, by name. `make` alone lists it.
# DPRNET_DATA (the folder of real data), if it is set, reaches every command.

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check format bundle serve bench docs clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# Two workers, each with one thread: more only get in each other's way.
TEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv

$(READY): requirements.txt requirements-dev.txt pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt -r requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: $(READY) ## the main job on sample videos: writes out/demo/report.html and report.json
	$(BIN)/dprnet demo --out out/demo

test: $(READY) ## all tests but the slow ones
	$(TEST)

test-slow: $(READY) ## the slow tests: kills, whole runs, every bad file
	$(TEST) -m slow

check: $(READY) ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## write the code in the one form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bundle: $(READY) ## train, calibrate, evaluate and write the tiny bundle (hours)
	@test -f recipes/bundle.sh && PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/bundle.sh || { echo "recipes/bundle.sh is not there"; exit 2; }

serve: ## the HTTP service
	@echo "The service is not part of this version yet; see docs/README.md." && exit 2

bench: $(READY) ## every benchmark; rows go to benchmarks/results.csv
	@for script in benchmarks/*.py; do case $$script in */_*) ;; *) echo "== $$script"; $(BIN)/python $$script || exit 1;; esac; done

docs: $(READY) ## check the documentation: links, commands, examples
	$(TEST) tests/test_docs.py

clean: ## remove what the demonstration and the tools wrote
	rm -rf out .pytest_cache .mypy_cache .ruff_cache .hypothesis
