# `make run` needs python3 (3.11 or later, with venv) and nothing else; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin

.DELETE_ON_ERROR:
.PHONY: help run serve test lint format bench clean

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' $(MAKEFILE_LIST)

run: .venv/runtime .env ## set up what is missing and serve on HOST:PORT (default 127.0.0.1:8000)
	@exec $(BIN)/python manage.py run

serve: .venv/runtime ## set up what is missing and serve as in production: WORKERS processes, no DEBUG
	@exec env DEBUG=$${DEBUG:-0} $(BIN)/python manage.py serve

test: .venv/tests lint ## run every check and test
	@$(BIN)/python -m pytest -n 2 $(ARGS)

lint: .venv/tests ## style, types, layers
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --quiet --check --diff .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports --no-logo

format: .venv/tests ## let ruff put the style right
	@$(BIN)/python -m ruff check --quiet --fix .
	@$(BIN)/python -m ruff format --quiet .

bench: .venv/tests ## deliveries/s, messages/s, latency and memory, on Daphne and on uvicorn
	@$(BIN)/python -m bench $(ARGS)

clean: ## remove what was installed; the database and .env stay
	rm -rf .venv staticfiles

# A development machine's own settings; the real environment wins over them.
.env:
	@umask 077; $(PYTHON) -c 'import secrets; print("DEBUG=1\nSECRET_KEY=" + secrets.token_urlsafe(50))' > $@

.venv/runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv (once) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/tests: requirements-dev.txt .venv/runtime
	@echo "Installing what tests need (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
