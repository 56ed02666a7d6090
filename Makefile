# The environment is built from requirements.lock alone; see CONTRIBUTING.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# uv takes a third of pip's time; where an index of one's own is known to pip alone, pip it is.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode
LOCKED := --no-deps --require-hashes --requirement
# One more than CI has processors: some tests wait for a broker, a lock or a process that was killed.
WORKERS ?= 3
LAWS := $(addprefix tests/faults/,test_kill.py test_serve_kill.py) \
	$(addprefix tests/integration/,test_publishing.py test_incremental_law.py \
	test_publishing_changes.py)
# sqlfluff and dbt docs compile against an empty warehouse of their own.
PROFILES := .warehouse/lint
DBT_ENV := WAREHOUSE_HOME=$(PROFILES) DBT_PROFILES_DIR=$(PROFILES) DBT_SEND_ANONYMOUS_USAGE_STATS=false

.PHONY: demo test lint lint-python lint-sql unit laws bench lock contracts docs clean

demo: $(READY)
	$(BIN)/warehouse demo

test: $(READY)
	$(MAKE) --jobs 3 lint-python lint-sql unit

lint: $(READY)
	$(MAKE) --jobs 2 lint-python lint-sql

lint-python: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

lint-sql: $(READY)
	mkdir -p $(PROFILES) && cp profiles.example.yml $(PROFILES)/profiles.yml
	$(DBT_ENV) $(BIN)/sqlfluff lint models snapshots tests/dbt

unit: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

# As many kills, reads and streams as the laws promise, one after another: it takes long. CI runs a few.
laws: export KILLS ?= 30
laws: export SERVE_KILLS ?= 100
laws: export PUBLISH_READS ?= 10000
laws: export LAW_EXAMPLES ?= 20
laws: $(READY)
	$(BIN)/python -m pytest $(LAWS)

bench: $(READY)
	$(BIN)/python -m benchmarks

contracts: $(READY)
	$(BIN)/python -m loaders.dbt_sources

docs: $(READY)
	mkdir -p $(PROFILES) && cp profiles.example.yml $(PROFILES)/profiles.yml
	$(DBT_ENV) $(BIN)/dbt docs generate --static
	@echo "Open target/static_index.html"

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-strip-extras --no-emit-index-url --no-annotate --no-header --quiet \
		--output-file requirements.lock

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	$(PIP) $(LOCKED) $(VENV)/uv.lock
	$(UV) $(LOCKED) requirements.lock || $(PIP) $(LOCKED) requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $(READY)

clean:
	rm -rf $(VENV) .warehouse target logs
