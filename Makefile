# Everything by one word. The scripts are in ci/; each target prepares what it needs, which takes a moment
# when it is there. `unit`, `lint` and `install` need no root; all that builds node images or runs clusters does.
#
# One cargo profile (dev) serves the CLI and the tests, so that dependencies are compiled once: what takes
# time is Kubernetes, not homelab. `make install` builds with optimisation.

# Whose virtual machines: libvirt or virtualbox.
PROVIDER := libvirt

# How long each target is fuzzed, and which are: all of them where none is named.
SECONDS := 600
TARGETS :=

# Where `make install` puts bin/homelab: where everybody finds it, or else where this user may write.
PREFIX ?= $(shell if [ -w /usr/local/bin ]; then echo /usr/local; else echo "$$HOME/.local"; fi)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
export MAKECMDGOALS
homelab := $${CARGO_TARGET_DIR:-target}/debug/homelab
with_tools := source ci/env;
# nextest runs no examples of documentation; that some of them do not compile is promised there.
unit_tests := cargo nextest run --locked --workspace; cargo test --locked --workspace --doc --quiet

.PHONY: help setup setup-e2e setup-vagrant setup-hosts demo test unit fuzz e2e nightly test-vagrant test-hosts lint docs bench install clean
.DEFAULT_GOAL := help

help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## What nodes in containers need: packages, Go, homelab, node image
	@ci/setup

setup-e2e: ## What tests on real clusters need besides: a browser, tcpdump
	@ci/setup e2e

demo: setup ## Two clients come up, cannot reach each other, and are gone again
	@$(homelab) demo

test: setup-e2e ## Unit tests, then tests on real clusters
	@$(with_tools) $(unit_tests)
	@ci/e2e e2e

unit: ## Tests without root, in seconds
	@ci/setup unit
	@$(with_tools) $(unit_tests)

fuzz: ## Random files and answers for everything that reads them (SECONDS=600 a target, TARGETS=all; a nightly Rust)
	@$(with_tools) ci/fuzz $(SECONDS) $(TARGETS)

e2e: setup-e2e ## Tests on real clusters
	@ci/e2e e2e

nightly: setup-e2e setup-vagrant setup-hosts ## What takes too long for every day: killed control planes and commands, all combinations, virtual machines, ordinary hosts
	@ci/e2e nightly

setup-vagrant: ## What nodes in virtual machines need: Vagrant, its plugin, a box (PROVIDER=libvirt or virtualbox)
	@ci/setup vagrant $(PROVIDER)

test-vagrant: setup-vagrant ## The tests on virtual machines alone (PROVIDER=libvirt or virtualbox)
	@ci/e2e $(PROVIDER)

setup-hosts: ## What ordinary hosts in virtual machines need: QEMU, a disk of each
	@ci/setup hosts

test-hosts: setup-hosts ## The tests on ordinary hosts alone: Debian 12 and 13, with a real reboot
	@ci/e2e hosts

lint: ## Format and clippy
	@ci/setup build
	@$(with_tools) cargo fmt --all --check
	@$(with_tools) cargo clippy --locked --workspace --all-targets -- -D warnings

docs: ## The documentation as a book in target/book; spelling
	@ci/setup build
	@ci/docs

bench: setup ## Times and memory against the budgets
	@$(with_tools) ci/bench

install: ## homelab, optimised, into /usr/local/bin, or ~/.local/bin without root (PREFIX=<folder>)
	@ci/setup build
	@$(with_tools) cargo install --locked --path crates/cli --root "$(PREFIX)"

clean: ## Build results; the cache of node images stays
	@$(with_tools) cargo clean
