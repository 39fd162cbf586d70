# Everything one does here, by name. `make` alone lists it.
# DPRNET_DATA (the folder of real data), if it is set, reaches every command.

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check format bundle figures ship serve bench docs clean

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

# Every step is skipped or taken up where it stopped (int8 graphs are made anew, in some minutes, and what frame size and
# proposals bring is measured anew, in forty), so a bundle that was interrupted goes on. Needs DPRNET_DATA.
BUNDLE ?= out/bundle/tiny
FIGURES := out/figures
MACHINE ?= $(shell nproc) processor cores, no GPU
WORLD := out/world
bundle: $(READY) $(WORLD)/stills/set.json $(WORLD)/stills-many/set.json $(WORLD)/pasted/set.json $(WORLD)/validation/set.json $(WORLD)/test/set.json ## train, calibrate and measure a bundle in out/bundle/tiny (hours)
	$(BIN)/dprnet train detector recipes/detector-tiny.toml --out out/train/detector --bundle out/bundle/first
	$(BIN)/dprnet train detector recipes/detector-tiny-2.toml --out out/train/detector-2 --bundle out/bundle/second-detector
	$(BIN)/dprnet train detector recipes/detector-tiny-3.toml --out out/train/detector-3 --bundle $(BUNDLE)
	$(BIN)/dprnet train embedder recipes/embedder-tiny.toml --out out/train/embedder --bundle out/bundle/second
	$(BIN)/dprnet train embedder recipes/embedder-tiny-2.toml --out out/train/embedder-2 --bundle out/bundle/third
	$(BIN)/dprnet train embedder recipes/embedder-tiny-3.toml --out out/train/embedder-3 --bundle $(BUNDLE)
	$(BIN)/dprnet calibrate input $(WORLD)/validation --bundle $(BUNDLE) --photos $$DPRNET_DATA --table $(FIGURES)/input.csv --plot $(FIGURES)/input.png
	$(BIN)/dprnet calibrate proposals $(WORLD)/validation --bundle $(BUNDLE) --photos $$DPRNET_DATA --table $(FIGURES)/proposals.csv --plot $(FIGURES)/proposals.png
	$(BIN)/dprnet calibrate picking $(WORLD)/validation --bundle $(BUNDLE) --photos $$DPRNET_DATA --either top,outerwear --table $(FIGURES)/calibration.csv --cache out/cache
	$(BIN)/dprnet calibrate shares $(WORLD)/validation --bundle $(BUNDLE) --photos $$DPRNET_DATA --table $(FIGURES)/shares.csv
	$(BIN)/dprnet export --int8 $$DPRNET_DATA --set $(WORLD)/validation --part embedder --bundle $(BUNDLE)
	$(BIN)/dprnet calibrate matching $(WORLD)/validation --bundle $(BUNDLE) --cache out/cache --table $(FIGURES)/matching.csv --plot $(FIGURES)/reliability.png
	$(MAKE) figures

figures: $(READY) ## measure the bundle in out/bundle/tiny again and write its card
	$(BIN)/dprnet evaluate picking $(WORLD)/test --bundle $(BUNDLE) --cache out/cache --out $(FIGURES)/picking.json
	rm -rf out/cache/gallery
	$(BIN)/dprnet evaluate video-to-shop $(WORLD)/test --bundle $(BUNDLE) --cache out/cache --gallery out/cache/gallery --out $(FIGURES)/video-to-shop.json
	$(BIN)/dprnet evaluate detection $$DPRNET_DATA --bundle $(BUNDLE) --out $(FIGURES)/detection.json
	$(BIN)/dprnet evaluate retrieval $$DPRNET_DATA --bundle $(BUNDLE) --out $(FIGURES)/retrieval.json
	$(BIN)/dprnet evaluate clips $$DPRNET_DATA/videos --bundle $(BUNDLE) --out $(FIGURES)/clips.json
	$(BIN)/dprnet evaluate card --bundle $(BUNDLE) --figures $(FIGURES) --machine "$(MACHINE)" --date $$(date +%F)
	$(BIN)/dprnet check $(BUNDLE)

LARGEST := 30000000
ship: ## put the bundle in out/bundle/tiny into the package
	rm -rf src/dprnet/bundles/tiny && mkdir -p src/dprnet/bundles/tiny
	cp $(BUNDLE)/bundle.json $(BUNDLE)/README.md $(BUNDLE)/*.safetensors src/dprnet/bundles/tiny/
	if test -d $(BUNDLE)/int8; then cp -r $(BUNDLE)/int8 src/dprnet/bundles/tiny/; fi
	@size=$$(cat src/dprnet/bundles/tiny/* src/dprnet/bundles/tiny/int8/* 2>/dev/null | wc -c); echo "$$size bytes"; \
	test $$size -le $(LARGEST) || { echo "the bundle is over the limit of $(LARGEST) bytes" >&2; exit 1; }

$(WORLD)/stills/set.json: | $(READY)
	$(BIN)/dprnet world make --out $(@D) --split train --stills 6000 --items 500 --processes 2
$(WORLD)/stills-many/set.json: | $(READY)
	$(BIN)/dprnet world make --out $(@D) --split train --stills 6400 --items 3200 --processes 2
$(WORLD)/pasted/set.json: | $(READY)
	$(BIN)/dprnet world paste --out $(@D) --split train --stills 2000
$(WORLD)/validation/set.json: | $(READY)
	$(BIN)/dprnet world make --out $(@D) --split validation --videos 60 --items 500 --processes 2
$(WORLD)/test/set.json: | $(READY)
	$(BIN)/dprnet world make --out $(@D) --split test --videos 60 --items 500 --processes 2

serve: $(READY) ## the HTTP service and its page, on the samples of the demonstration
	@test -f out/demo/report.json || $(BIN)/dprnet demo --out out/demo
	$(BIN)/dprnet serve --folder out/service --gallery samples="$$(ls -td out/demo/gallery-*/ | head -n 1)" --samples out/demo/samples/videos

bench: $(READY) ## every benchmark, on a machine that does nothing else; rows go to benchmarks/results.csv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements-bench.txt
	$(BIN)/python benchmarks/all.py

docs: $(READY) ## check the documentation: links, commands, examples
	$(TEST) tests/test_docs.py

clean: ## remove what the demonstration and the tools wrote
	rm -rf out .pytest_cache .mypy_cache .ruff_cache .hypothesis
