# `make help` lists the targets. Nothing but make and Python 3.11 is needed beforehand.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
BENCH ?= fs
PYTEST_ARGS ?=
# Files of tests side by side. Each may hold a Spark or a Presto: 4 GiB of memory.
WORKERS ?= 3

export MILLPOND_TEST_CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/millpond-test
# The system's certificates count too: sites re-sign TLS.
export UV_SYSTEM_CERTS := 1

ENV := $(VENV)/millpond.stamp
JARS := build/jars.stamp
MVN := mvn -B -ntp -q -f jars/pom.xml
JAR_SOURCES = $(shell find jars spark_plugin/jvm presto_plugin/jvm sidecar/millpond/wire .mvn \
	-type d \( -name target -o -name millpond_jars \) -prune -o \
	-type f \( -path '*/src/*' -o -name pom.xml -o -name '*.proto' -o -path '.mvn/*' \) -print 2>/dev/null)

.PHONY: help env java browser strace demo test test-full check jars jars-test pytest bench constraints clean

help:
	@echo 'make demo              a PySpark job on cache://: cold, warm, sidecar killed; chart in build/demo'
	@echo 'make test              everything that has to pass before a change lands (<= 20 min)'
	@echo 'make test-full         the same and the long campaigns'
	@echo 'make check             ruff, mypy, import rules, file lengths'
	@echo 'make jars              the JVM jars, when their sources changed'
	@echo 'make bench BENCH=fs    a measurement of tests/bench; figures in build/bench'
	@echo 'make env               the Python environment (.venv) alone'
	@echo 'make constraints       pin the newest Python packages anew'
	@echo 'make clean             remove what was built; caches outside the checkout stay'

env: $(ENV)

$(ENV): constraints.txt pyproject.toml tools/env.sh tools/os.sh
	@tools/env.sh $(VENV)
	@touch $@

java:
	@tools/java.sh

browser:
	@tools/chromium.sh

strace:
	@tools/strace.sh

jars: $(JARS)

$(JARS): $(JAR_SOURCES) | java
	@echo 'building the jars'
	@$(MVN) -DskipTests package
	@mkdir -p build && touch $@

jars-test: | java
	@echo 'JUnit: the jars'
	@$(MVN) verify
	@mkdir -p build && touch $(JARS)

demo: $(ENV) $(JARS)
	@exec $(BIN)/millpond demo $(DEMO_ARGS)

check: $(ENV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/architecture

# In this order, so that the quick answers come first. pytest exits with 5 where it finds no test.
test: $(ENV) java browser strace
	@$(MAKE) check
	@$(MAKE) jars-test
	@$(MAKE) pytest

# These JVMs live for seconds: the second compiler would take a third of their CPU time.
pytest: export JDK_JAVA_OPTIONS ?= -XX:TieredStopAtLevel=1
pytest: $(ENV)
	$(BIN)/pytest -m 'not full' -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

test-full: $(ENV) java browser strace
	@$(MAKE) check
	@$(MAKE) jars-test
	$(BIN)/pytest --timeout=7200 $(PYTEST_ARGS)

bench: $(ENV) $(JARS)
	$(BIN)/python -m tests.bench.run $(BENCH) $(BENCH_ARGS)

constraints: $(ENV)
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--no-annotate --no-header --no-emit-index-url --upgrade -q -o constraints.txt

clean:
	rm -rf build dist jars/millpond_jars/*.jar .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	find jars spark_plugin presto_plugin -type d -name target -prune -exec rm -rf {} +
	find . -path ./.git -prune -o -path ./$(VENV) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
