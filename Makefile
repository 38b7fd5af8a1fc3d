# Everything runs from .venv, which `make` creates from the lock files: with uv when there is one, else venv and pip.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
MANAGE := $(RUN) manage.py

.PHONY: up demo test fuzz soak lint bench-ingest bench-rivals bench-query bench-pages bench-alerts screenshots lock clean

up: $(VENV)/.installed
	@exec $(MANAGE) up

demo: $(VENV)/.installed
	@$(RUN) -m demo $(if $(TRACES),--traces $(TRACES))

test: $(VENV)/.installed-dev tests/node_exporter/node_modules/.installed system-packages
	@.ci/tests $(RUN)

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy .

# Hostile bodies made from the corpus, with a seed to repeat them: make fuzz FUZZ_BODIES=10000 FUZZ_SEED=7
FUZZ_BODIES ?= 1000000
fuzz: $(VENV)/.installed-dev
	$(RUN) -m tests.fuzz --bodies $(FUZZ_BODIES) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

# Real exporters against an instance that is killed, stopped, frozen and starved of disk: make soak SOAK_MINUTES=120
SOAK_MINUTES ?= 10
soak: $(VENV)/.installed-dev
	$(RUN) -m tests.soak --minutes $(SOAK_MINUTES)

bench-ingest: $(VENV)/.installed-dev
	$(RUN) -m bench.ingest

# Phoenix in an environment of its own, because its requirements are not ours.
RIVALS := $(VENV)/rivals
bench-rivals: $(VENV)/.installed-dev $(RIVALS)/bin/phoenix
	$(RUN) -m bench.rivals --phoenix $(RIVALS)/bin/phoenix

$(RIVALS)/bin/phoenix:
	$(PYTHON) -m venv $(RIVALS)
	$(RIVALS)/bin/pip install -q --disable-pip-version-check "arize-phoenix>=20,<21"

# Ten days of 20 million spans, written once to ~/.cache/tracestore-bench (3 GB, ten minutes): every read, then every page.
bench-query: $(VENV)/.installed-dev
	$(RUN) -m bench.query

bench-pages: $(VENV)/.installed-dev
	$(RUN) -m bench.page_times

# A thousand alert rules over the same spans in one pass: make bench-alerts TRACES=16000
bench-alerts: $(VENV)/.installed-dev
	$(RUN) -m bench.alerts $(if $(TRACES),--traces $(TRACES))

screenshots: $(VENV)/.installed-dev system-packages
	$(RUN) docs/take_screenshots.py

# Browser tests drive the system's Chromium, one test sends through the Node exporter, one stores in Postgres. Installed when missing and
# when root.
.PHONY: system-packages
system-packages:
	@packages=""; \
	command -v chromium >/dev/null || packages="$$packages chromium fonts-noto-core fonts-noto-color-emoji fonts-droid-fallback"; \
	command -v npm >/dev/null || packages="$$packages nodejs npm"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$$packages postgresql"; \
	if [ -n "$$packages" ]; then \
	  if [ "$$(id -u)" != 0 ]; then echo "Missing system packages:$$packages. Install them (apt-get install$$packages) and try again."; exit 1; fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$packages >/dev/null; \
	fi

tests/node_exporter/node_modules/.installed: tests/node_exporter/package-lock.json | system-packages
	cd tests/node_exporter && npm ci --silent --no-audit --no-fund
	@touch $@

$(VENV)/.installed: requirements.lock
	@.ci/install $(PYTHON) $(VENV) requirements.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@.ci/install $(PYTHON) $(VENV) requirements-dev.lock
	@touch $@

# After a change of pyproject.toml; needs uv.
lock:
	uv pip compile -q --universal --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-header --no-annotate pyproject.toml --group dev -o requirements-dev.lock

clean:
	rm -rf $(VENV) tests/node_exporter/node_modules .mypy_cache .ruff_cache
