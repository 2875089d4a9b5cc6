# Everything by one word. The scripts are in ci/; each target prepares what it needs, which takes a moment
# when it is there. Root is needed for all that runs clusters.
#
# One cargo profile (dev) serves the CLI and the tests, so that dependencies are compiled once: what takes
# time is Kubernetes, not homelab. `make install` builds with optimisation.

# Whose virtual machines: libvirt or virtualbox.
PROVIDER := libvirt

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
export MAKECMDGOALS
homelab := $${CARGO_TARGET_DIR:-target}/debug/homelab
with_tools := source ci/env;

.PHONY: help setup setup-vagrant tools demo test unit e2e nightly test-vagrant lint bench install clean
.DEFAULT_GOAL := help

help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## Packages, Go, cargo-nextest, homelab, node image
	@ci/setup

tools:
	@ci/setup tools

demo: setup ## Two clients come up, cannot reach each other, and are gone again
	@$(homelab) demo

test: setup ## Unit tests, then tests on real clusters
	@$(with_tools) cargo nextest run --locked --workspace
	@ci/e2e e2e

unit: tools ## Tests without root, in seconds
	@$(with_tools) cargo nextest run --locked --workspace

e2e: setup ## Tests on real clusters
	@ci/e2e e2e

nightly: setup setup-vagrant ## What takes too long for every day: killed control planes, all combinations, virtual machines
	@ci/e2e nightly

setup-vagrant: setup ## What virtual machines take besides: Vagrant, its plugin, a box (PROVIDER=libvirt or virtualbox)
	@ci/setup vagrant $(PROVIDER)

test-vagrant: setup-vagrant ## The tests on virtual machines alone (PROVIDER=libvirt or virtualbox)
	@ci/e2e $(PROVIDER)

lint: tools ## Format and clippy
	@$(with_tools) cargo fmt --all --check
	@$(with_tools) cargo clippy --locked --workspace --all-targets -- -D warnings

bench: setup ## Times and memory against the budgets
	@$(with_tools) ci/bench

install: tools ## homelab into /usr/local/bin, optimised
	@$(with_tools) cargo install --locked --path crates/cli --root /usr/local

clean: ## Build results; the cache of node images stays
	@$(with_tools) cargo clean
