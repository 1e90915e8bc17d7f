//! Other programs read what we write.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use btfgen_archive::{Archive, KernelId, Manifest};
use flate2::read::GzDecoder;

use super::{Kernels, builder, kernels, write};

/// Archives with all that ours may have, links only where asked for.
fn archives(kernels: &Kernels, hard_links: bool) -> Vec<Vec<u8>> {
    let archive = |index| {
        let builder = builder(kernels)
            .hard_links(hard_links)
            .index(index)
            .manifest(Manifest::default())
            .file("package.json", *b"{}")
            .unwrap();
        write(builder)
    };
    vec![archive(false), archive(true)]
}

/// Whether a program is installed; prints where it is not.
fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        btfgen_testkit::skipped(format_args!("{program} is not installed"));
    }
    found
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn check_extracted(dir: &Path, kernels: &Kernels) {
    for (id, btf) in kernels {
        assert_eq!(&fs::read(dir.join(id.entry_name())).unwrap(), btf, "{id}");
    }
    assert_eq!(fs::read(dir.join("package.json")).unwrap(), b"{}");
}

fn check_tar(program: &str) {
    if !installed(program) {
        return;
    }
    let kernels = kernels(300, 100, 8000);
    for bytes in archives(&kernels, true) {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("btfs.tar.gz");
        fs::write(&archive, &bytes).unwrap();
        let list = run(Command::new(program).arg("tzvf").arg(&archive));
        for id in kernels.keys() {
            assert!(list.contains(&id.entry_name()), "{list}");
        }
        assert_eq!(list.matches(" link to ").count(), 200);
        run(Command::new(program)
            .arg("xzf")
            .arg(&archive)
            .arg("-C")
            .arg(dir.path()));
        check_extracted(dir.path(), &kernels);
    }
}

/// Check that GNU tar lists and extracts an archive without a warning.
#[test]
fn gnu_tar() {
    check_tar("tar");
}

/// Check that bsdtar lists and extracts an archive without a warning.
#[test]
fn bsdtar() {
    check_tar("bsdtar");
}

/// Check that Python's tarfile lists and extracts an archive, and its gzip module reads the member.
#[test]
fn python() {
    if !installed("python3") {
        return;
    }
    let script = "import gzip, sys, tarfile\n\
                  gzip.open(sys.argv[1]).read()\n\
                  with tarfile.open(sys.argv[1]) as tar:\n    \
                      members = tar.getmembers()\n    \
                      assert all(m.mtime == 0 and m.uid == 0 and m.uname == '' for m in members)\n    \
                      tar.extractall(sys.argv[2])\n    \
                      print(len(members))\n";
    let kernels = kernels(300, 100, 8000);
    for (bytes, own) in archives(&kernels, true).into_iter().zip([2, 3]) {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("btfs.tar.gz");
        fs::write(&archive, &bytes).unwrap();
        let mut python = Command::new("python3");
        // Newer versions warn where no filter is chosen.
        python.args(["-W", "ignore", "-c", script]);
        let count = run(python.arg(&archive).arg(dir.path()));
        assert_eq!(count.trim(), (300 + own).to_string());
        check_extracted(dir.path(), &kernels);
    }
}

/// A reader as simple as those that C programs bring along: inflate everything, then go from header to header and
/// compare the 100 bytes of the name field. It knows no links and no prefixes.
fn simple_reader(archive: &[u8], id: &KernelId) -> Option<Vec<u8>> {
    let mut tar = Vec::new();
    GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let wanted = id.entry_name();
    let mut rest = &tar[..];
    while rest.len() >= 512 && rest[0] != 0 {
        let (header, data) = rest.split_at(512);
        let name = header[..100].split(|&b| b == 0).next()?;
        let digits = std::str::from_utf8(&header[124..135]).ok()?;
        let size = usize::from_str_radix(digits, 8).ok()?;
        if name == wanted.as_bytes() {
            return Some(data[..size].to_vec());
        }
        rest = &data[size.next_multiple_of(512)..];
    }
    None
}

/// Check that simple readers find every kernel where there are no links.
#[test]
fn simple_readers() {
    let kernels = kernels(60, 20, 3000);
    for bytes in archives(&kernels, false) {
        for (id, btf) in &kernels {
            assert_eq!(simple_reader(&bytes, id).as_ref(), Some(btf), "{id}");
        }
    }
}

/// Check that what GNU gzip packs again is still read, though the index is not.
#[test]
fn packed_again() {
    let kernels = kernels(60, 20, 3000);
    let bytes = write(builder(&kernels).index(true));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("btfs.tar.gz");
    fs::write(&path, bytes).unwrap();
    run(Command::new("gzip").arg("-d").arg(&path));
    run(Command::new("gzip").arg(dir.path().join("btfs.tar")));
    let bytes = fs::read(&path).unwrap();
    let archive = Archive::from_bytes(&bytes).unwrap();
    assert!(!archive.has_index());
    for (id, btf) in &kernels {
        assert_eq!(archive.get(id).unwrap().as_ref(), Some(btf));
    }
}
