# `make demo` on a fresh machine is all that it takes; every target installs what it needs first.

VENV ?= .venv
ENV ?= maniskill
BIN = $(VENV)/bin
# A file's tests stay together, since they share what is slow to make; the longest file goes first.
TWO_PROCESSES = -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: install demo test lint bench docs lock

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements/lock.txt requirements/torch-version.txt requirements/install.sh requirements/system.sh
ifneq ($(ENV),tabletop)
	@bash requirements/system.sh
endif
	@bash requirements/install.sh $(VENV)
	@touch $@

demo: install
	@$(BIN)/feat2go demo --env $(ENV)

# The weights are fetched first, so that no test has to reach a network.
test: install
	@$(BIN)/feat2go weights get mobilenet_v2 dinov2_small minilm
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TWO_PROCESSES) tests/learning tests

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: install
	@failed=; for benchmark in $$(grep -l __main__ benchmarks/*.py); do \
	    echo "== $$benchmark"; $(BIN)/python $$benchmark || failed="$$failed $$benchmark"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

docs: install
	@$(BIN)/python -m pip -qq install mkdocs-material 'mkdocstrings[python]'
	@$(BIN)/mkdocs build --strict

lock:
	@bash requirements/lock.sh
