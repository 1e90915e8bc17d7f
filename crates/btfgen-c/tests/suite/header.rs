//! The headers match the library's source.

use std::path::Path;

/// Check that the headers match the functions. `BLESS=1` updates the headers.
#[test]
fn header_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["btf_helpers", "btfgen"] {
        let config = root.join("headers").join(name).with_extension("toml");
        let mut made = Vec::new();
        cbindgen::Builder::new()
            .with_config(cbindgen::Config::from_file(config).unwrap())
            .with_src(root.join("src").join(name).with_extension("rs"))
            .generate()
            .unwrap()
            .write(&mut made);
        let made = String::from_utf8(made).unwrap();
        let header = root.join("include").join(name).with_extension("h");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&header, &made).unwrap();
        }
        let there = std::fs::read_to_string(&header).unwrap_or_default();
        assert!(
            there == made,
            "{} is out of date: run this test with BLESS=1",
            header.display()
        );
    }
}
