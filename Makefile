# The commands people type. Each sets up what it needs by itself.
PYTHON ?= python3
STAGE ?= dev
WORKERS ?= 2
ONE_OF ?= 1
PY := .venv/bin/python
READY := .venv/.ready
TOOLS := .tools/ministack/.ready .tools/sam/.ready
CODE := layers functions local client tests
SAM := .tools/sam/bin/python -m samcli
PYTEST := $(PY) -m pytest -q
# Of the integration tests: those that make streams, count all that there are, or change how the local AWS treats them;
# and those that look at all that there is, or have functions started anew. The others mind nobody beside them.
STREAMS := $(patsubst %,tests/integration/%.py,test_runs test_neighbours test_sweeper test_analyses \
  local_aws/test_access local_aws/test_phases local_aws/test_streams)
ALONE := $(patsubst %,tests/integration/test_%.py,attacks identity zz_no_secret_logged zz_nothing_left)
LAMBDAS_OWN := botocore python-dateutil six urllib3 # what aws-xray-sdk asks for and the Lambda runtime brings
timed = @start=$$(date +%s); $(2) || exit 1; echo "-- $(1): $$(( $$(date +%s) - start )) s"

.DEFAULT_GOAL := help
.PHONY: help setup up down demo test check unit contract faults computed integration integration-streams \
  integration-others clients bench bench-anomaly openapi deploy admin-password migrate test-aws lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## make .venv with everything that development needs

up: $(TOOLS) ## start the local AWS with the stack on it; writes .local/stack.json
	@$(PY) -m local up

down: $(READY) ## stop the local AWS; nothing is left running
	@$(PY) -m local down

demo: up ## prove a stream end to end on the local AWS: make demo [FILE=my.jsonl [KEY=field]]
	@$(PY) -m client.weir demo $(if $(FILE),"$(FILE)") $(if $(KEY),--key-field "$(KEY)")

test: ## everything below: what computes beside what mostly waits, the integration tests
	@$(MAKE) --no-print-directory -j2 check up
	@$(MAKE) --no-print-directory -j3 computed integration clients

computed: ## unit, contract, and a third of the faults: every call, and every way to fail
	@$(MAKE) --no-print-directory -j1 unit
	@$(MAKE) --no-print-directory -j2 contract faults ONE_OF=3 WORKERS=1

check: $(READY) ## formatting, lint, types, import contracts, template, OpenAPI document
	$(call timed,format,$(PY) -m ruff format --check --quiet $(CODE))
	$(call timed,lint,$(PY) -m ruff check --quiet $(CODE))
	$(call timed,types,$(PY) -m mypy layers/weir/python functions local client)
	$(call timed,imports,PYTHONPATH=layers/weir/python .venv/bin/lint-imports --no-logo)
	$(call timed,template,.venv/bin/cfn-lint template.yaml)
	$(call timed,openapi,$(PY) -m local.openapi --check)

unit: $(READY) ## rules with fakes, adapters with moto; no network
	$(call timed,unit,$(PYTEST) -n $(WORKERS) --dist loadfile tests/unit)

contract: $(READY) ## events, OpenAPI, state machine graph, template rules; no network
	$(call timed,contract,$(PYTEST) tests/contract)

faults: $(READY) ## each AWS call of a run made to fail in each way, in a simulation; no network
	$(call timed,faults,$(PYTEST) -n $(WORKERS) tests/faults --one-of $(ONE_OF))

integration: up .tools/redis/.ready ## the deployed stack on the local AWS
	@$(MAKE) --no-print-directory -j2 integration-streams integration-others
	$(call timed,integration alone,$(PYTEST) $(ALONE))

integration-streams:
	$(call timed,integration of streams,$(PYTEST) $(STREAMS))

integration-others:
	$(call timed,integration of others,$(PYTEST) $(addprefix --ignore ,$(STREAMS) $(ALONE)) tests/integration)

clients: up ## the official clients of models, unmodified, against the deployed gateway
	$(call timed,clients,$(PYTEST) tests/e2e)

bench: up .tools/bench/.ready .tools/litellm/.ready ## measure against peers; prints ratios and writes .local/bench.json
	@.tools/bench/bin/python -m tests.benchmarks.run

bench-anomaly: $(READY) ## score the anomaly detector on data/cloudwatch; writes to .local/anomaly
	@$(PY) tests/benchmarks/anomaly.py --data data/cloudwatch --out .local/anomaly

openapi: $(READY) ## write openapi/weir.json anew from the handlers
	@$(PY) -m local.openapi

deploy: $(TOOLS) ## put the stack on a real account: make deploy STAGE=dev|prod
	@$(PY) -m local.open_routes template.yaml
	@$(SAM) build
	@$(SAM) deploy --config-env $(STAGE)

admin-password: $(READY) ## tell the first admin's user name and first password: make admin-password STAGE=local|dev|prod
	@$(PY) -m local.admin_password $(STAGE)

migrate: $(READY) ## take a table to a schema, in place: make migrate TABLE=analyses|identity|llm|packages|runs|usage TO=2 STAGE=local|dev|prod [DRY_RUN=1]
	@PYTHONPATH=layers/weir/python $(PY) -m local.migrate "$(TABLE)" "$(TO)" "$(STAGE)" $(if $(DRY_RUN),--dry-run)

test-aws: $(READY) .tools/redis/.ready ## the integration tests against a deployed stage; says what it costs, and asks
	@$(PY) -m local.account $(STAGE)

lock: $(READY) ## resolve requirements/*.in anew into requirements/*.txt, with hashes
	@for name in uv layer dev ministack sam bench litellm; do \
	  case $$name in layer) without='$(LAMBDAS_OWN:%=--no-emit-package %)';; *) without= ;; esac; \
	  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	  $$without $(UPGRADE) requirements/$$name.in -o requirements/$$name.txt || exit 1; done

clean: ## stop the local AWS and remove everything that the other commands made
	@if [ -e $(READY) ]; then $(PY) -m local down; fi
	@rm -rf .venv .tools .local .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): requirements/uv.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'Weir needs CPython 3.11 or later, and "$(PYTHON)" is not. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	@echo 'Setting up .venv (once)'
	@$(PYTHON) -m local.bootstrap dev

.tools/%/.ready: requirements/%.txt | $(READY)
	@echo 'Setting up .tools/$* (once)'
	@$(PY) -m local.bootstrap $*

.tools/redis/.ready: local/redis_server.py | $(READY)
	@$(PY) -m local.redis_server
