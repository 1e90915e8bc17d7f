//! Tests the engine with foreign programs and data: bpftool, libbpf's own loader, btf-rs, the kernels of the sample hub.

mod suite {
    #[cfg(target_pointer_width = "64")]
    mod aya;
    mod check;
    mod cilium;
    mod concatenated;
    mod conformance;
    mod facts;
    mod judges;
    mod libbpf_versions;
    mod loader;
    mod log;
    mod made_up;
    mod modules;
    mod objects;
    mod order;
    mod pack;
    mod properties;
    mod random;
    mod readers;
    mod selftests;
    mod shapes;
    mod store;
    mod targets;
    mod truth;
    mod util;
}
