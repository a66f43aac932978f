# Outrider: the two commands a newcomer needs are `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help setup build web demo test soak crash cluster fuzz static fmt clean

SECONDS_CRASH ?= 60
SECONDS_CLUSTER ?= 300
DATA ?=

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install what is missing, or say exactly what it is
	@bash scripts/setup.sh

web: setup ## Build the dashboard
	@bash scripts/web.sh build

build: web ## Build the programs (release)
	@cargo build --release --locked -p outrider -p outrider-agent

demo: build ## A simulated fleet under attack and a replayed drive; DATA=../shared/data replays real captures
	@target=$${CARGO_TARGET_DIR:-target}; exec $$target/release/outrider demo $(if $(DATA),--data "$(DATA)")

test: ## Everything that CI runs
	@bash scripts/test.sh

crash: build ## kill -9 of server and agent in a loop under load; SECONDS_CRASH=60
	@target=$${CARGO_TARGET_DIR:-target}; $$target/release/outrider crash --seconds $(SECONDS_CRASH) --json

cluster: web setup ## All roles on this machine over Kafka, S3 and PostgreSQL, killed in a loop; SECONDS_CLUSTER=300
	@cargo build --release --locked -p outrider --features kafka
	@target=$${CARGO_TARGET_DIR:-target}; bash scripts/cluster.sh $$target/release/outrider --seconds $(SECONDS_CLUSTER) --json

static: ## The vehicle program as one static file; STATIC_TARGET=aarch64-unknown-linux-musl for another processor
	@bash scripts/static.sh

soak: build ## Longer proofs: crash loop of ten minutes, long demo, static program, virtual machine, all benches
	@bash scripts/soak.sh

fuzz: ## Run every fuzz target for a minute (needs a nightly toolchain and cargo-fuzz)
	@bash scripts/fuzz.sh

fmt: ## Format everything
	@cargo fmt --all

clean: ## Remove build output
	@cargo clean && rm -rf web/dist web/node_modules
