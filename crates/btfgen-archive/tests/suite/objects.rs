//! An archive knows the objects that it was packed for.

use std::error::Error as _;

use btfgen_archive::{Archive, Builder, Error, ErrorKind, Manifest};
use btfgen_testkit::object;

use super::write;

fn read(name: &str) -> Vec<u8> {
    std::fs::read(object(name)).unwrap()
}

fn packed_for(names: &[&str]) -> Vec<u8> {
    let digest = |name: &&str| btfgen_object::digest(&read(name)).unwrap();
    let manifest = Manifest {
        objects: names.iter().map(digest).collect(),
        ..Manifest::default()
    };
    write(Builder::new().manifest(manifest))
}

fn error(archive: &[u8], object: &[u8]) -> Error {
    let archive = Archive::from_bytes(archive).unwrap();
    archive.matches_object(object).unwrap_err()
}

/// Check that the objects that an archive was packed for match it, in either byte order, and so does one that asks for
/// nothing; and that others do not.
#[test]
fn matches() {
    let bytes = packed_for(&["execsnoop", "few"]);
    let archive = Archive::from_bytes(&bytes).unwrap();
    for (name, expected) in [
        ("execsnoop", true),
        ("execsnoop.eb", true),
        ("few", true),
        // It asks the same.
        ("many", true),
        ("maps", true),
        ("fields", false),
        ("bootstrap", false),
    ] {
        assert_eq!(
            archive.matches_object(&read(name)).unwrap(),
            expected,
            "{name}"
        );
    }
    let empty = packed_for(&[]);
    let empty = Archive::from_bytes(&empty).unwrap();
    assert!(!empty.matches_object(&read("few")).unwrap());
}

/// Check the errors for an archive without a manifest, and for bytes that are not an object.
#[test]
fn neither_fresh_nor_stale() {
    let foreign = error(&write(Builder::new()), &read("few"));
    assert_eq!(foreign.kind(), ErrorKind::NoManifest);
    assert!(foreign.to_string().contains("btfgen pack"), "{foreign}");
    let bad = error(&packed_for(&["few"]), b"#!/bin/sh\n");
    assert_eq!(bad.kind(), ErrorKind::InvalidObject);
    assert_eq!(bad.source().unwrap().to_string(), "not an ELF file");
}
