//! A damaged archive gives the right content or an error, never a wrong content and never a panic.

use std::io::{Read, Write};

use btfgen_archive::{Archive, ArchiveOptions, Manifest};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use proptest::prelude::{any, prop, proptest};

use super::{Kernels, builder, kernels, write};

/// Two small archives, with an index and without.
fn archives(kernels: &Kernels) -> [Vec<u8>; 2] {
    [true, false].map(|index| {
        let builder = builder(kernels)
            .manifest(Manifest::default())
            .file("package.json", *b"{}");
        write(builder.unwrap().index(index))
    })
}

/// Read the whole archive and compare the results: an error, the right content, or nothing.
fn check(bytes: &[u8], expected: &Kernels) {
    let Ok(archive) = Archive::from_bytes(bytes) else {
        return;
    };
    for (id, btf) in expected {
        if let Ok(Some(found)) = archive.get(id) {
            assert_eq!(&found, btf, "{id}");
        }
        if let Ok(found) = archive.find(id.release(), id.arch()) {
            assert!(found.iter().all(|id| expected.contains_key(id)));
        }
    }
    if let Ok(found) = archive.kernels() {
        assert!(found.iter().all(|id| expected.contains_key(id)));
    }
    if let Ok(entries) = archive.entries() {
        assert_eq!(entries.len(), expected.len());
    }
    if let Ok(Some(manifest)) = archive.manifest() {
        assert_eq!(manifest, Manifest::default());
    }
    if let Ok(Some(json)) = archive.file("package.json") {
        assert_eq!(json, b"{}");
    }
}

/// Check every truncation.
#[test]
fn truncated() {
    let kernels = kernels(6, 3, 200);
    for bytes in archives(&kernels) {
        for end in 0..bytes.len() {
            check(&bytes[..end], &kernels);
            if let Ok(archive) = Archive::from_bytes(&bytes[..end]) {
                assert!(!archive.has_index());
                assert!(archive.entries().is_err(), "{end} of {}", bytes.len());
            }
        }
    }
}

/// Check that every flipped bit anywhere, the extra field and the index among them, does no harm.
#[test]
fn flipped() {
    let kernels = kernels(6, 3, 200);
    for mut bytes in archives(&kernels) {
        for at in 0..bytes.len() {
            for bit in [0, 3, 7] {
                bytes[at] ^= 1 << bit;
                check(&bytes, &kernels);
                bytes[at] ^= 1 << bit;
            }
        }
        check(&bytes, &kernels);
    }
}

/// Check that the pages of a large index are covered by checksums too.
#[test]
fn flipped_pages() {
    let kernels = kernels(2500, 10, 64);
    let bytes = write(builder(&kernels));
    let sample: Kernels = kernels
        .iter()
        .step_by(500)
        .map(|(id, btf)| (id.clone(), btf.clone()))
        .collect();
    // The index is at the end.
    for at in (bytes.len() - 3000..bytes.len()).step_by(37) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        let archive = Archive::from_bytes(&bytes).unwrap();
        for (id, btf) in &sample {
            if let Ok(found) = archive.get(id) {
                assert_eq!(found.as_ref(), Some(btf), "{at}");
            }
        }
    }
}

/// Call all there is to call. The limits keep large numbers from making this slow.
fn read_all(bytes: &[u8]) {
    let options = ArchiveOptions::new().max_total_size(1 << 20);
    let Ok(archive) = options.open(bytes) else {
        return;
    };
    for id in archive.kernels().unwrap_or_default() {
        let _ = archive.get(&id);
    }
    let _ = archive.entries();
    let _ = archive.manifest();
}

proptest! {
    /// Check that no bytes after a gzip header make the reader panic.
    #[test]
    fn any_bytes(flags in any::<u8>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut archive = vec![0x1f, 0x8b, 8, flags & 0x1f];
        archive.extend(bytes);
        read_all(&archive);
    }

    /// Check that no tar, however it is damaged before it is packed, makes the reader panic.
    #[test]
    fn any_tar(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let archive = write(builder(&kernels(4, 2, 100)));
        let mut tar = Vec::new();
        GzDecoder::new(&archive[..]).read_to_end(&mut tar).unwrap();
        for (at, byte) in changes {
            let at = at.index(tar.len());
            tar[at] = byte;
            // The sum right again, so that the rest of the header is looked at.
            let header = &mut tar[at / 512 * 512..][..512];
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&tar).unwrap();
        read_all(&encoder.finish().unwrap());
    }
}
