# Everything here is a thin wrapper; what it does is in scripts/ or in the binary itself.

# What `make up` gives to the binary.
UP_FLAGS ?= --demo

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
EXAMPLES := hello env sleep echo

.DEFAULT_GOAL := help
.PHONY: help setup build up test test-quick lint audit fmt watchdog examples bench soak fuzz clean

help: ## show this
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:
	@scripts/setup-build

build: setup ## build target/release/minke, which carries the watchdog and the sample inside
	cargo build --release --locked -p minke

up: build ## build, start the platform on 127.0.0.1:8080, deploy the sample (Ctrl-C stops it)
	@$(TARGET_DIR)/release/minke up $(UP_FLAGS)

test: examples ## install what the tests need, run all of them (as root, on Linux)
	@scripts/setup-test
	@scripts/test

test-quick: ## run the tests that need no root and nothing installed; names what it leaves out
	@scripts/test quick

lint: ## formatting, clippy, licences and bans
	@scripts/test lint

audit: ## known vulnerabilities in dependencies (fetches the advisory database)
	cargo deny --locked check advisories

fmt: ## format the code
	cargo fmt --all

watchdog: setup ## build the static fwatchdog and put it beside the samples' Dockerfiles
	@scripts/build-static watchdog $(EXAMPLES)

examples: setup ## build the samples and fwatchdog, static, beside their Dockerfiles
	@scripts/build-static examples $(EXAMPLES)

bench: build examples ## measure against nginx in one run, write bench/RESULTS.md (as root)
	@scripts/setup-bench
	cargo run --release --locked -p minke-bench --bin bench -- --minke $(TARGET_DIR)/release/minke

soak: examples ## the crash rounds and deploy cycles at full length, write bench/SOAK.md (as root)
	@scripts/setup-test
	@scripts/soak

fuzz: ## look for inputs that break what must hold, ten minutes a target, into fuzz/corpus (needs nightly Rust)
	@scripts/fuzz

clean: ## remove what was built
	cargo clean
	rm -f $(foreach name,$(EXAMPLES),examples/$(name)/fwatchdog examples/$(name)/$(name))
