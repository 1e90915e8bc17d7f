//! The engine against what we did not write: bpftool, libbpf's own loader, btf-rs, the kernels of the sample hub.

mod suite {
    mod aya;
    mod concatenated;
    mod conformance;
    mod loader;
    mod objects;
    mod older_libbpf;
    mod pack;
    mod properties;
    mod readers;
    mod selftests;
    mod targets;
    mod truth;
    mod util;
}
