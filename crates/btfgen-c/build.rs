//! Compiles the weak references to a linked archive, and names the shared library for the dynamic linker.

fn main() {
    println!("cargo::rerun-if-changed=src/embedded.c");
    cc::Build::new()
        .file("src/embedded.c")
        .pic(true)
        .warnings_into_errors(true)
        .extra_warnings(true)
        .compile("btfgen_embedded");
    // The calls are those of other projects and stay; the number is for the day when that no longer holds.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libbtfgen.so.0");
}
