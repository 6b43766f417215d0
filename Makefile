# Targets only call the gekko command line and the test runner.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.complete
VENDOR := frontend/static/vendor/.complete
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.DEFAULT_GOAL := help
.PHONY: help up test test-fast explore lint bench setup browser lock schema clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

up: setup ## Start everything and trade on paper; open the printed address
	@$(BIN)/gekko up

test: setup browser ## Run every test
	@sh tests/run_all.sh

test-fast: setup ## Run the tests that need neither a browser nor the whole stack
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not browser and not stack"

explore: setup ## Try the property tests on examples that were never tried before
	@$(BIN)/python -m pytest -q -n 2 tests/property --hypothesis-profile=explore

lint: setup ## Check style, types and import rules
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: setup ## Measure speed and print the table
	@$(BIN)/python -m tests.perf

setup: $(SETUP) $(VENDOR) ## Install everything into .venv (up and test do this themselves)

$(SETUP): pyproject.toml requirements.lock requirements-torch.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Gekko needs Python 3.11 or newer; $(PYTHON) is older. Use: make PYTHON=python3.11 up"; exit 1; }
	@test -x $(BIN)/python || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV) || { echo "The venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }; }
	@echo "Installing the locked packages (a few minutes the first time)"
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@echo "Installing PyTorch"
	@$(PIP) install -r requirements-torch.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENDOR): frontend/package-lock.json | $(SETUP)
	@command -v npm >/dev/null || { echo "npm is missing. On Debian: apt-get install npm; on macOS: brew install node"; exit 1; }
	@echo "Installing the browser libraries"
	@npm ci --prefix frontend --no-audit --no-fund --silent
	@$(BIN)/python -m frontend.vendor
	@touch $@

browser:
	@sh tests/support/install_browser.sh

lock: ## Resolve pyproject.toml into requirements.lock again
	@$(PIP) install uv && $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra dev pyproject.toml -o requirements.lock

schema: setup ## Write docs/openapi.yaml from the code
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

clean: ## Remove the environment; data in .gekko stays
	@rm -rf $(VENV) frontend/node_modules frontend/static/vendor
