# Short names for scripts and cargo commands. `make help` lists them.

CARGO ?= cargo
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
BPF_OBJECTS := target/bpf
# Another architecture for `make install`, as Debian or Rust names it: s390x, i686-unknown-linux-gnu.
TARGET ?=
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
FUZZ_SECONDS ?= 300

# Debian has bpftool in /usr/sbin, which is not on a normal user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help setup build demo example test e2e test-vm faults lint conformance kernel-images bench fuzz packages debian-packages install clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install the system packages that are missing.
	@scripts/setup

build: setup ## Build the command and the C library, optimized.
	$(CARGO) build --release --locked -p btfgen-cli
	# A separate build: together with the command, the library would contain the archive writer, too.
	$(CARGO) build --release --locked -p btfgen-c
	@scripts/install-c "$(TARGET_DIR)/release" "$(TARGET_DIR)/c" "$(TARGET_DIR)/c/lib"

demo: build ## Pack a real program for the real kernels of btfhub-sample, and show the result.
	@scripts/bpf-objects $(BPF_OBJECTS) example/c
	@scripts/demo $(BPF_OBJECTS)/execsnoop.bpf.o

example: build ## Build the example programs, with the kernels of btfhub-sample.
	$(MAKE) -C example/c
	$(CARGO) build --release --locked -p btfgen-example-execsnoop

test: setup ## Run all tests except e2e and faults.
	$(CARGO) test --locked --workspace --all-features

e2e: setup ## Run the examples on this kernel with its BTF hidden; needs root.
	@scripts/e2e

test-vm: setup ## Run the examples on real kernels, most of them without BTF, under QEMU; needs root; half an hour.
	@scripts/test-vm

faults: setup ## Inject faults into every command that writes: errors, limits, full disks, signals, other commands.
	# With the features of `make test`, so that nothing is built twice.
	$(CARGO) test --locked --workspace --all-features --test faults

lint: setup ## Check format, lints, documentation and dependencies.
	@scripts/lint

conformance: setup ## Compare every kernel and object with bpftool and loaders; HUB=… names another hub.
	@scripts/conformance target

kernel-images: setup ## Add real kernels from Debian's packages, and compare their BTFs; HUB=… names a hub with more kernels.
	@scripts/kernel-images

# Not scripts/bench-scale, which makes and packs thousands of kernels for half an hour.
bench: build ## Compare speed and sizes with bpftool and with bare decompression; HUB=… names another hub.
	@scripts/bpf-objects $(BPF_OBJECTS)
	@scripts/bench
	$(CARGO) bench --locked -p btfgen-archive --bench lookup

fuzz: ## Run each fuzz target for FUZZ_SECONDS; needs cargo-fuzz and a nightly toolchain.
	@scripts/fuzz all $(FUZZ_SECONDS)

packages: ## Build and test every crate from its package for crates.io.
	@scripts/packages

debian-packages: setup ## Make Debian packages of the command and the C library, in target/debian; needs cargo-deb.
	@scripts/debian-packages

install: $(if $(TARGET),,build) ## Install the command and the C library under $(DESTDIR)$(PREFIX); LIBDIR=… for the libraries; TARGET=ARCH: only the C library, for another architecture.
	@$(if $(TARGET),scripts/cross --install "$(TARGET)",scripts/install) "$(PREFIX)" "$(LIBDIR)" "$(DESTDIR)"

clean: ## Remove all build outputs.
	$(CARGO) clean
