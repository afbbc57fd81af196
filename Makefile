# Two commands matter: `make lab` and `make test`. Everything runs from one virtual environment that
# .ci/setup makes and keeps up to date; VENV= names another place, PYTHON= another interpreter.
VENV ?= .venv
BIN := $(VENV)/bin
# without plugins that these tests have no use for: they take three seconds to import, in each of three processes
IN_BROWSER := -m browser tests/browser --numprocesses 2 --dist worksteal -p no:nbval -p no:hypothesispytest
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup lab test test-slow test-kernels check lint format format-check types bench notebooks widgets screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make or update the virtual environment
	@.ci/setup $(VENV)

lab: setup ## open JupyterLab on the first notebook
	@$(BIN)/gmmlab lab

test: setup ## run all tests but the slow ones
	@echo "gmmlab: running the tests, one at a time on each core"
	@$(BIN)/python -m pytest -m "not slow and not browser" --numprocesses auto --dist worksteal
	@echo "gmmlab: running the tests in a browser, in two JupyterLabs beside each other"
	@$(BIN)/python -m pytest $(IN_BROWSER)

test-slow: setup ## run the slow tests
	@echo "gmmlab: running the slow tests"
	@$(BIN)/python -m pytest -m slow

KERNELS ?= 6.31.0

test-kernels: setup ## run the browser tests on other versions of ipykernel, KERNELS="6.31.0"
	@for version in $(KERNELS); do \
		echo "gmmlab: running the browser tests on ipykernel $$version"; \
		$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/ipykernel-$$version \
			ipykernel==$$version nest-asyncio && \
		PYTHONPATH=$$PWD/build/ipykernel-$$version $(BIN)/python -m pytest $(IN_BROWSER) || exit 1; \
	done

check: lint format-check types ## lint, format check and types, as pre-commit and CI run them

lint: setup
	@echo "gmmlab: linting"
	@$(BIN)/python -m ruff check --quiet

format-check: setup
	@echo "gmmlab: checking the format"
	@$(BIN)/python -m ruff format --check --quiet || { echo "gmmlab: some files are not formatted; run: make format" >&2; exit 1; }

types: setup
	@echo "gmmlab: checking the types"
	@$(BIN)/python -m mypy --no-error-summary

format: setup ## format the code and apply the safe fixes
	@$(BIN)/python -m ruff check --fix --quiet; $(BIN)/python -m ruff format --quiet

bench: setup ## measure speed and print the tables
	@$(BIN)/python benchmarks/em.py
	@$(BIN)/python benchmarks/bayes.py
	@$(BIN)/python benchmarks/small.py
	@$(BIN)/python benchmarks/grid.py
	@$(BIN)/python benchmarks/mclust.py
	@$(BIN)/python benchmarks/stream.py
	@$(BIN)/python benchmarks/acceleration.py
	@$(BIN)/python benchmarks/incremental.py
	@$(BIN)/python benchmarks/hmm.py
	@$(BIN)/python benchmarks/sdp.py
	@$(BIN)/python benchmarks/experts.py
	@$(BIN)/python benchmarks/explorer.py
	@$(BIN)/python benchmarks/gpu.py

notebooks: setup ## run every notebook again, write its outputs and the index
	@$(BIN)/python -m gmmlab.series.refresh notebooks

widgets: setup ## rebuild the front ends (needs node)
	@command -v npm >/dev/null || { echo "gmmlab: npm was not found; install node 18 or newer." >&2; exit 1; }
	@echo "gmmlab: building the front ends"
	@cd widgets && npm ci --silent --no-audit --no-fund && npm run --silent build

screenshots: setup ## draw the README's pictures in a real JupyterLab
	@$(BIN)/python benchmarks/screenshot.py

clean: ## remove caches and what the commands wrote
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis widgets/node_modules
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
