# Everything a checkout needs: Python 3.11, make and pip. The same targets run in CI (.ci/run).
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.installed
# PyPI's torch for Linux carries several GB of CUDA. For a GPU: make setup TORCH_INDEX=
ifeq ($(shell uname -s),Linux)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
endif
# two processes on two cores: with more threads than cores small networks train many times slower
PYTEST := OMP_NUM_THREADS=1 NETMILL_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check format pictures bench env clean

help: ## what can be asked for
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(STAMP) ## .venv with everything in it (once; then nothing)

# torch comes first and alone, so that its index is asked for torch and for nothing else; when that
# index cannot be reached, pip says so and takes torch from where it finds the rest. aeon comes for two series in it, which
# tests read as files; the compiler that its code needs stays out.
$(STAMP): pyproject.toml sdk/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Netmill needs Python 3.11 or newer, {sys.executable} is {v.major}.{v.minor}: say make PYTHON=/path/to/python3.11")'
	@echo "Setting up $(VENV): once, a few minutes, most of it PyTorch"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --retries 1 --timeout 60 -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[api,worker,embedded,test,check]' -e sdk
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt aeon
	@touch $@

demo: $(STAMP) ## a deep network learns to find the Higgs boson, over HTTP
	@$(BIN)/python -m scripts.demo

test: $(STAMP) ## all tests but those marked slow
	$(PYTEST) -m "not slow"

test-all: $(STAMP) check ## check, then every test
	$(PYTEST)

check: $(STAMP) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy sdk/netmill scripts benchmarks/engine benchmarks/growth benchmarks/jobs benchmarks/peers benchmarks/service benchmarks/*.py
	$(BIN)/lint-imports

format: $(STAMP) ## put the source in order, and the tables of settings and analyses in docs/
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/write_settings.py
	$(BIN)/python scripts/write_analyses.py

pictures: $(STAMP) ## those of the zoo and the lecture that are missing or of an older spec
	@$(BIN)/python -m scripts.make_pictures

bench: $(STAMP) $(BENCH_STAMP) ## Netmill and its peers side by side, and docs/performance.md from it: half an hour (BENCH_OPTIONS=--quick: minutes)
	$(BIN)/python -m benchmarks $(BENCH_OPTIONS)

# The peers: none of them is Netmill's, and none of their dependencies shall be.
$(BENCH_STAMP): pyproject.toml benchmarks/constraints.txt
	@echo "Setting up $(BENCH): once, a few minutes"
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --no-deps --retries 1 --timeout 60 -c benchmarks/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")' > $(BENCH)/peers.txt
	$(BENCH)/bin/python -m pip install --quiet -c benchmarks/constraints.txt -r $(BENCH)/peers.txt
	@touch $@

env: ## .env with random secrets, for docker compose; never overwrites
	@$(PYTHON) scripts/make_env.py

clean: ## take away what was made here, the data of `netmill up` excepted
	rm -rf $(VENV) $(BENCH) build dist demo-output .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info sdk/*.egg-info
