# One target per task. The scripts are in ci/. Each target first prepares what it needs, which takes a moment if it is
# already there. `unit`, `lint` and `install` need root only if packages are missing. Targets that build node images or run
# clusters always need it.
#
# The CLI and the tests share one cargo profile (dev), so that dependencies are compiled once: most of the time is spent
# in Kubernetes, not in homelab. `make install` builds with optimisation.

# The provider of VMs: libvirt or virtualbox.
PROVIDER := libvirt

# How long each fuzz target runs, and which targets; empty means all.
SECONDS := 600
TARGETS :=

# `make install` writes bin/homelab below this folder: /usr/local, or ~/.local if this user cannot write there.
PREFIX ?= $(shell if [ -w /usr/local/bin ]; then echo /usr/local; else echo "$$HOME/.local"; fi)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
export MAKECMDGOALS
homelab := $${CARGO_TARGET_DIR:-target}/debug/homelab
with_tools := source ci/env;
# nextest does not run doc tests, so cargo does. Some of them must fail to compile.
unit_tests := cargo nextest run --locked --workspace; cargo test --locked --workspace --doc --quiet

.PHONY: help setup setup-e2e setup-vagrant setup-hosts demo test unit fuzz e2e nightly test-vagrant test-hosts lint docs bench install clean
.DEFAULT_GOAL := help

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## Install what nodes in containers need: packages, Go, homelab, node image
	@ci/setup

setup-e2e: ## Install what tests on real clusters also need: a browser, tcpdump
	@ci/setup e2e

demo: setup ## Create two clients, show that they cannot reach each other, remove them
	@$(homelab) demo

test: setup-e2e ## Run the unit tests, then the tests on real clusters
	@$(with_tools) $(unit_tests)
	@ci/e2e e2e

unit: ## Run the unit tests: no root, a few seconds
	@ci/setup unit
	@$(with_tools) $(unit_tests)

fuzz: ## Fuzz the parsers of files, programs' output and packets (SECONDS=600 per target, TARGETS=all; needs a nightly Rust)
	@$(with_tools) ci/fuzz $(SECONDS) $(TARGETS)

e2e: setup-e2e ## Run the tests on real clusters
	@ci/e2e e2e

nightly: setup-e2e setup-vagrant setup-hosts ## Run the long tests: killed control planes and commands, all combinations, VMs, ordinary hosts
	@ci/e2e nightly

setup-vagrant: ## Install what nodes in VMs need: Vagrant, its plugin, a box (PROVIDER=libvirt or virtualbox)
	@ci/setup vagrant $(PROVIDER)

test-vagrant: setup-vagrant ## Run only the tests on VMs (PROVIDER=libvirt or virtualbox)
	@ci/e2e $(PROVIDER)

setup-hosts: ## Install what the tests on ordinary hosts need: QEMU, a disk with Debian 12 and one with 13
	@ci/setup hosts

test-hosts: setup-hosts ## Run only the tests on ordinary hosts: Debian 12 and 13, with a real reboot
	@ci/e2e hosts

lint: ## Check the format, run clippy
	@ci/setup build
	@$(with_tools) cargo fmt --all --check
	@$(with_tools) cargo clippy --locked --workspace --all-targets -- -D warnings

docs: ## Build the documentation as a book in target/book, check its spelling
	@ci/setup build
	@ci/docs

bench: setup ## Measure times and memory, compare them with the budgets
	@$(with_tools) ci/bench

install: ## Install an optimised homelab in /usr/local/bin, or in ~/.local/bin without root (PREFIX=<folder>)
	@ci/setup build
	@$(with_tools) cargo install --locked --path crates/cli --root "$(PREFIX)"

clean: ## Remove build results; the cache of node images stays
	@$(with_tools) cargo clean
