//! Any bytes, any tar in a right gzip member, and any index below right checksums: see `btfgen_fuzz`.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Unstructured};
use btfgen_archive::{Archive, ArchiveEntry, ArchiveOptions, ErrorKind, KernelId};
use btfgen_fuzz::Indexed;
use libfuzzer_sys::fuzz_target;

// Small, so that what goes beyond them is met, and is met fast.
const MAX_ENTRY_SIZE: usize = 64 << 10;
const MAX_TOTAL_SIZE: usize = 512 << 10;

/// How many of the listed kernels to look up. Without an index, each lookup reads the whole archive.
const MAX_LOOKUPS: usize = 4;

const BLOCK: usize = 512;

fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else {
        return;
    };
    let (is_deflated, is_righted) = (first & 4 != 0, first & 8 != 0);
    match first % 4 {
        0 => check(rest, false),
        is_cut @ (1 | 2) => {
            let Some((&cut, tar)) = rest.split_first_chunk() else {
                return;
            };
            let mut tar = tar.to_vec();
            if is_righted {
                btfgen_fuzz::right_checksums(&mut tar);
            }
            let cut = (is_cut == 2).then(|| usize::from(u16::from_le_bytes(cut)));
            check(&btfgen_fuzz::gzip(&tar, cut, is_deflated), false);
        }
        _ => {
            if let Ok(indexed) = Indexed::arbitrary_take_rest(Unstructured::new(rest)) {
                check(&indexed.archive(), indexed.is_honest());
            }
        }
    }
});

fn open(bytes: &[u8]) -> Option<Archive<'_>> {
    let options = ArchiveOptions::new()
        .max_entry_size(MAX_ENTRY_SIZE as u64)
        .max_total_size(MAX_TOTAL_SIZE as u64);
    match options.open(bytes) {
        Ok(archive) => Some(archive),
        Err(error) => {
            let expected = [
                ErrorKind::NotGzip,
                ErrorKind::Truncated,
                ErrorKind::Unsupported,
            ];
            assert!(expected.contains(&error.kind()), "{error}");
            None
        }
    }
}

/// Read everything. With a valid index the reader must find the same as without.
fn check(bytes: &[u8], is_honest: bool) {
    let Some(archive) = open(bytes) else {
        assert!(!is_honest);
        return;
    };
    assert!(archive.has_index() || !is_honest);
    let plain_bytes = without_index(bytes);
    let plain = open(&plain_bytes).expect("the header is as good without an index");
    check_plain(&plain);
    if archive.has_index() {
        check_indexed(&archive, &plain);
    }
    if is_honest {
        check_equal(&archive, &plain);
    }
}

/// The same archive, whose extra field is another's.
fn without_index(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // The subfield may be anywhere in a field of 64 KiB; without the flag the field would be read as data.
    let at = bytes.windows(5).position(|w| w == b"bt\x11\0\x01");
    if let Some(at) = at {
        bytes[at] = b'B';
    }
    bytes
}

/// What holds for any archive that is read as a tar.
fn check_plain(archive: &Archive<'_>) {
    if archive.has_index() {
        // There is another subfield of ours.
        return;
    }
    let kernels = archive.kernels().ok();
    let entries = archive.entries();
    check_listing(kernels.as_deref().unwrap_or_default());
    if let Ok(entries) = &entries {
        let ids: Vec<&KernelId> = entries.iter().map(|e| &e.kernel).collect();
        let kernels = kernels.as_ref().expect("entries reads as much, and more");
        assert_eq!(ids, Vec::from_iter(kernels));
    }
    for kernel in kernels.iter().flatten().take(MAX_LOOKUPS) {
        let found = archive.get(kernel);
        check_found(&found);
        assert!(!matches!(found, Ok(None)), "{kernel} is listed");
        if let (Ok(Some(content)), Ok(entries)) = (&found, &entries) {
            let entry = entry_of(entries, kernel);
            assert_eq!(entry.size, content.len() as u64, "{kernel}");
        }
    }
    if let Some(kernel) = kernels.iter().flatten().next() {
        let same = archive.find(kernel.release(), kernel.arch());
        assert!(same.is_ok_and(|same| same.contains(kernel)), "{kernel}");
    }
    check_files(archive);
    check_manifest(archive);
    check_facts(archive, kernels.as_deref().unwrap_or_default());
}

/// Properties that hold for any index.
fn check_indexed(archive: &Archive<'_>, plain: &Archive<'_>) {
    let in_tar = plain.kernels();
    let kernels = match archive.kernels() {
        Ok(kernels) => kernels,
        Err(error) => {
            // It was not to be trusted, and the tar was read.
            assert_eq!(error.kind(), in_tar.expect_err("the same tar").kind());
            return;
        }
    };
    check_listing(&kernels);
    for kernel in kernels.iter().take(MAX_LOOKUPS) {
        let found = archive.get(kernel);
        check_found(&found);
        // Another part of the index may be broken, so that the list is that of the tar.
        let is_in_tar = in_tar.as_ref().is_ok_and(|ids| ids.contains(kernel));
        assert!(
            is_in_tar || !matches!(found, Ok(None)),
            "{kernel} is listed"
        );
        for other in archive
            .find(kernel.release(), kernel.arch())
            .iter()
            .flatten()
        {
            assert_eq!(other.release(), kernel.release());
            assert_eq!(other.arch(), kernel.arch());
        }
    }
    check_files(archive);
    check_manifest(archive);
}

/// What holds where the index is right: it makes no difference but for limits, which are not met with it.
fn check_equal(archive: &Archive<'_>, plain: &Archive<'_>) {
    let kernels = archive.kernels().expect("the index is right");
    if let Ok(in_tar) = plain.kernels() {
        assert_eq!(kernels, in_tar);
    }
    for kernel in kernels.iter().take(MAX_LOOKUPS) {
        if let Ok(content) = plain.get(kernel) {
            assert_eq!(archive.get(kernel).expect("the index is right"), content);
        }
        let found = archive.find(kernel.release(), kernel.arch());
        let same = |id: &&KernelId| (id.release(), id.arch()) == (kernel.release(), kernel.arch());
        let expected: Vec<&KernelId> = kernels.iter().filter(same).collect();
        assert_eq!(
            Vec::from_iter(&found.expect("the index is right")),
            expected
        );
    }
    for number in 0..4 {
        let name = btfgen_fuzz::file_name(number);
        if let Ok(content) = plain.file(name) {
            assert_eq!(archive.file(name).expect("the index is right"), content);
        }
    }
    if let Ok(manifest) = plain.manifest() {
        assert_eq!(archive.manifest().expect("the index is right"), manifest);
    }
}

fn entry_of<'e>(entries: &'e [ArchiveEntry], kernel: &KernelId) -> &'e ArchiveEntry {
    let found = entries.iter().find(|e| e.kernel == *kernel);
    found.expect("it is listed")
}

/// Check a list of kernels by itself.
fn check_listing(kernels: &[KernelId]) {
    assert!(kernels.is_sorted_by(|a, b| a < b));
    let distinct: BTreeSet<String> = kernels.iter().map(KernelId::to_string).collect();
    assert_eq!(distinct.len(), kernels.len());
    // Each has its header in the tar, whose size is limited, and its name is in there.
    assert!(kernels.len() <= MAX_TOTAL_SIZE / BLOCK);
    let names: usize = distinct.iter().map(String::len).sum();
    assert!(names <= MAX_TOTAL_SIZE);
    for kernel in kernels.iter().take(MAX_LOOKUPS) {
        assert_eq!(
            kernel.to_string().parse::<KernelId>().ok().as_ref(),
            Some(kernel)
        );
    }
}

fn check_found(found: &btfgen_archive::Result<Option<Vec<u8>>>) {
    match found {
        Ok(content) => assert!(content.as_ref().is_none_or(|c| c.len() <= MAX_ENTRY_SIZE)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_files(archive: &Archive<'_>) {
    check_found(&archive.file(btfgen_fuzz::file_name(0)));
    // What leads out of the archive is no file of it.
    for name in ["", "/a", "../a", "a/../b"] {
        assert!(matches!(archive.file(name), Ok(None)), "{name}");
    }
}

/// A kernel has at most as many answers as there are facts: those of a damaged file may come after it.
fn check_facts(archive: &Archive<'_>, kernels: &[KernelId]) {
    let Ok(facts) = archive.facts() else {
        return;
    };
    if facts.facts().is_err() {
        return;
    }
    for kernel in kernels.iter().take(MAX_LOOKUPS) {
        if let Ok(Some(answers)) = facts.answers(kernel) {
            assert!(facts.facts().is_ok_and(|all| all.len() >= answers.len()));
        }
    }
}

fn check_manifest(archive: &Archive<'_>) {
    let manifest = archive.manifest();
    let kind = archive
        .matches_object(b"no object")
        .expect_err("no object")
        .kind();
    match manifest {
        Ok(None) => assert_eq!(kind, ErrorKind::NoManifest),
        Ok(Some(manifest)) => {
            assert_eq!(kind, ErrorKind::InvalidObject);
            let read_back = manifest.to_string().parse();
            assert_eq!(read_back.ok(), Some(manifest));
        }
        Err(error) => assert_eq!(kind, error.kind()),
    }
    if let Ok(ids) = archive.build_ids() {
        assert_eq!(ids.is_empty(), ids.iter().next().is_none());
        assert!(ids.iter().all(|(kernel, _)| ids.get(&kernel).is_some()));
    }
}
