# Thin aliases: what each does is in the script or cargo command it runs. `make help` lists them.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
BPF_OBJECTS := target/bpf
LIBBPF_TOOLS := target/libbpf-tools

# Debian has bpftool in /usr/sbin, which an ordinary user's PATH lacks.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help setup build demo test lint conformance bench install clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install the system packages that are missing.
	@scripts/setup

build: setup ## Build the command, optimized.
	$(CARGO) build --release --locked -p btfgen-cli

demo: build ## Pack a real program for the real kernels of btfhub-sample, and show the result.
	@scripts/bpf-objects $(BPF_OBJECTS) example/c
	@scripts/demo $(BPF_OBJECTS)/execsnoop.bpf.o

test: setup ## Run all tests.
	$(CARGO) test --locked --workspace

lint: setup ## Check format, lints, documentation and dependencies.
	@scripts/lint

conformance: setup ## Compare every kernel and object with bpftool; HUB=… takes another hub.
	@scripts/conformance $(LIBBPF_TOOLS)

bench: build ## Measure against today's way and against bare decompression; HUB=… takes another hub.
	@scripts/bpf-objects $(BPF_OBJECTS)
	@scripts/bench
	$(CARGO) bench --locked -p btfgen-archive --bench lookup

install: build ## Install the command, its man pages and completions under $(DESTDIR)$(PREFIX).
	@scripts/install "$(DESTDIR)$(PREFIX)"

clean: ## Remove all that was built.
	$(CARGO) clean
