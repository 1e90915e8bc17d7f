//! The specification of the format is enough to read it: by a reader that knows nothing else.

use std::fs;
use std::process::Command;

use super::{Kernel, encode, encode_uncompressed, small_kernels};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/check.py");

/// Check that the second reader finds the same BTFs, compressed or not, with bases, with choices, and stored as they are.
#[test]
fn second_reader() {
    for command in ["python3", "zstd"] {
        if Command::new(command).arg("--version").output().is_err() {
            btfgen_testkit::skipped(format!("{command} is not installed"));
            return;
        }
    }
    let mut kernels = small_kernels();
    // Equal ones have a base.
    let again = |(release, btf): &Kernel| (format!("{release}-again"), btf.clone());
    kernels.extend(kernels.iter().map(again).collect::<Vec<_>>());
    kernels.push(("x".to_owned(), b"not a BTF".to_vec()));
    let uncompressed = (encode_uncompressed(&kernels), kernels.clone());
    let sample = &btfgen_testkit::sample_kernels()[0];
    let btf = fs::read(btfgen_testkit::sample_btf(sample)).unwrap();
    kernels.push(("y".to_owned(), btf));
    for (bytes, kernels) in [uncompressed, (encode(&kernels), kernels)] {
        let folder = tempfile::tempdir().unwrap();
        let chunk = folder.path().join("chunk.btfs");
        fs::write(&chunk, bytes).unwrap();
        let mut reader = Command::new("python3");
        reader.args([READER.as_ref(), chunk.as_path(), folder.path()]);
        let output = reader.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        for (release, btf) in &kernels {
            let read = fs::read(folder.path().join(format!("{release}.btf"))).unwrap();
            assert!(read == *btf, "{release}");
        }
    }
}
