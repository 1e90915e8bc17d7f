//! What the limits of a machine make of a reading. Each is done by a process of its own, which has them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use btfgen_vmlinux::Reader;

use super::util::*;

const MIB: u64 = 1 << 20;

/// The file that a process of its own is to read.
const FILE: &str = "BTFGEN_TEST_FILE";

/// What a process of its own tells.
#[derive(Debug)]
struct Told {
    /// "Ok", or the kind of the error.
    outcome: String,
    machine_fault: bool,
    /// The most memory that it had.
    peak_bytes: u64,
}

/// Reads a file in a process with limited address space. `None` if the tool for the limit is missing.
fn read_apart(path: &Path, address_space: u64) -> Option<Told> {
    let output = Command::new("prlimit")
        .arg(format!("--as={address_space}"))
        .arg(env::current_exe().unwrap())
        .args(["--exact", "suite::machine::apart", "--nocapture"])
        .env(FILE, path)
        // Each arena reserves much more than it needs.
        .env("MALLOC_ARENA_MAX", "1")
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: prlimit is not there; it is part of util-linux");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text
        .lines()
        .find_map(|line| line.split_once("told: "))
        .unwrap_or_else(|| panic!("{output:?}"))
        .1
        .split(' ');
    let mut word = || words.next().unwrap();
    Some(Told {
        outcome: word().to_owned(),
        machine_fault: word() == "true",
        peak_bytes: word().parse::<u64>().unwrap() << 10,
    })
}

/// Check that a file is read, if another test has named one and has started this one in a process of its own.
#[test]
fn apart() {
    let Some(path) = env::var_os(FILE) else {
        return;
    };
    let (outcome, machine_fault) = match Reader::new().read(Path::new(&path)) {
        Ok(_) => ("Ok".to_owned(), false),
        Err(e) => (format!("{:?}", e.kind()), e.is_machine_fault()),
    };
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap();
    println!("told: {outcome} {machine_fault} {peak}");
}

/// A BTF whose strings take this many bytes, none of which is on the disk.
fn sparse_btf(folder: &Folder, strings: u64) -> PathBuf {
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, 16, 16, strings as u32, 0, 1 << 24, 4, 32] {
        btf.extend(word.to_le_bytes());
    }
    let path = folder.write("btf", &btf);
    let file = fs::File::options().append(true).open(&path).unwrap();
    file.set_len(btf.len() as u64 + strings).unwrap();
    path
}

/// Check that lack of memory is the machine's fault and no damage, and that none of it is an abort.
#[test]
fn lack_of_memory() {
    let folder = Folder::new();
    let kernel = vmlinux(&sample_btf(AMD64));
    // A dictionary of 128 MiB: its size is in the header, least significant byte first.
    let mut lzma = through(&["xz", "--format=lzma", "-0"], &kernel);
    lzma[1..5].copy_from_slice(&(128_u32 << 20).to_le_bytes());
    let zstd = through(&["zstd", "-q", "-1", "--long=27"], &kernel);
    for path in [
        folder.write("lzma", &lzma),
        folder.write("zstd", &zstd),
        folder.write("image", &bzimage(&zstd, kernel.len(), RELEASE)),
        folder.write("hidden", &[b"code", &zstd[..]].concat()),
        sparse_btf(&folder, 200 * MIB),
    ] {
        let Some(told) = read_apart(&path, 120 * MIB) else {
            return;
        };
        assert_eq!(told.outcome, "Io", "{path:?}: {told:?}");
        assert!(told.machine_fault, "{path:?}: {told:?}");
        let told = read_apart(&path, 1000 * MIB).unwrap();
        assert_eq!(told.outcome, "Ok", "{path:?}: {told:?}");
    }
}

/// An RPM with this many files, whose names are all at the start of the store.
fn rpm_of_files(count: u32, store_len: u64) -> Vec<u8> {
    const INT16: u32 = 3;
    const INT32: u32 = 4;
    const STRINGS: u32 = 8;
    let tags = [
        (1028, INT32),
        (1030, INT16),
        (1095, INT32),
        (1096, INT32),
        (1116, INT32),
        (1117, STRINGS),
        (1118, STRINGS),
    ];
    let intro = |tags: usize, len: u64| {
        let numbers = [tags as u32, len as u32].map(u32::to_be_bytes);
        [&b"\x8e\xad\xe8\x01\0\0\0\0"[..], numbers.as_flattened()].concat()
    };
    let mut rpm = [&b"\xed\xab\xee\xdb"[..], &[0; 92]].concat();
    rpm.extend(intro(0, 0));
    rpm.extend(intro(tags.len(), store_len));
    for (tag, kind) in tags {
        rpm.extend([tag, kind, 0, count].map(u32::to_be_bytes).as_flattened());
    }
    // The modes are regular files.
    rpm.extend(0o100_644_u16.to_be_bytes().repeat(store_len as usize / 2));
    rpm.extend(b"07070X00000000\0\0 and no more");
    rpm
}

/// Check that a small file whose header promises millions of files does not take the memory for them.
#[test]
fn rpm_header() {
    let folder = Folder::new();
    for (count, store_len, outcome) in [
        (1 << 24, 60 * MIB, "TooLarge"),
        (u32::MAX, 200 * MIB, "TooLarge"),
        (1 << 20, 200 * MIB, "Damaged"),
    ] {
        let packed = through(&["xz", "-0"], &rpm_of_files(count, store_len));
        assert!(packed.len() < 100_000, "{} bytes", packed.len());
        let Some(told) = read_apart(&folder.write("rpm.xz", &packed), 4000 * MIB) else {
            return;
        };
        assert_eq!(told.outcome, outcome, "{told:?}");
        assert!(told.peak_bytes < 128 * MIB, "{told:?}");
    }
}
