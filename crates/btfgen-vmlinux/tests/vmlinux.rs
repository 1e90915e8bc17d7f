//! The BTFs of btfhub-sample/ in all that a kernel comes in, made here by the tools that distributions use, and what
//! is none of that.

mod suite {
    mod build_ids;
    mod cancel;
    mod compressed;
    mod damaged;
    mod images;
    mod machine;
    mod modules;
    mod packages;
    mod pahole;
    mod refused;
    mod util;
}
