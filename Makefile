# Thin aliases: what each does is in the script or cargo command it runs. `make help` lists them.

CARGO ?= cargo
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
BPF_OBJECTS := target/bpf
LIBBPF_TOOLS := target/libbpf-tools
FUZZ_SECONDS ?= 300

# Debian has bpftool in /usr/sbin, which an ordinary user's PATH lacks.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help setup build demo example test e2e faults lint conformance kernel-images bench fuzz install clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install the system packages that are missing.
	@scripts/setup

build: setup ## Build the command and the C library, optimized.
	$(CARGO) build --release --locked -p btfgen-cli
	# By itself, for together with the command it would get the writer of archives too.
	$(CARGO) build --release --locked -p btfgen-c

demo: build ## Pack a real program for the real kernels of btfhub-sample, and show the result.
	@scripts/bpf-objects $(BPF_OBJECTS) example/c
	@scripts/demo $(BPF_OBJECTS)/execsnoop.bpf.o

example: build ## Build the example programs, with the kernels of btfhub-sample.
	$(MAKE) -C example/c
	$(CARGO) build --release --locked -p btfgen-example-execsnoop

test: setup ## Run all tests but those of e2e and faults.
	$(CARGO) test --locked --workspace --all-features

e2e: setup ## Run the examples on this kernel with its BTF hidden; as root.
	@scripts/e2e

faults: setup ## Inject faults into every command that writes: errors, limits, full disks, signals, each other.
	# With the features of all tests, so that nothing is built twice.
	$(CARGO) test --locked --workspace --all-features --test faults

lint: setup ## Check format, lints, documentation and dependencies.
	@scripts/lint

conformance: setup ## Compare every kernel and object with bpftool; HUB=… takes another hub.
	@scripts/conformance $(LIBBPF_TOOLS)

kernel-images: setup ## Add real kernels of many kinds out of Debian's packages, and compare; HUB=… has more of them.
	@scripts/kernel-images

bench: build ## Measure against today's way and against bare decompression; HUB=… takes another hub.
	@scripts/bpf-objects $(BPF_OBJECTS)
	@scripts/bench
	$(CARGO) bench --locked -p btfgen-archive --bench lookup

fuzz: ## Run each fuzz target for FUZZ_SECONDS; needs cargo-fuzz and a nightly toolchain.
	@scripts/fuzz all $(FUZZ_SECONDS)

install: build ## Install the command and the C library under $(DESTDIR)$(PREFIX); LIBDIR=… for the libraries.
	@scripts/install "$(PREFIX)" "$(LIBDIR)" "$(DESTDIR)"

clean: ## Remove all that was built.
	$(CARGO) clean
