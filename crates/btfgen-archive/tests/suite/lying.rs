//! An index whose checksums are right and which lies is found out: the tar counts, and a contradiction is an error.

use btfgen_archive::{Archive, ArchiveOptions, ErrorKind, KernelId};

use super::forge::{Forged, Listed, entry, file, page, put_counted, put_varint};

const PATH: &str = "a/b/c/d.btf";
const KEY: &str = "d/c/a/b";

fn id() -> KernelId {
    KernelId::new("a", "b", "c", "d").unwrap()
}

/// An archive of one group, whose index has these entries in one page.
fn archive(prefix: &str, tar: &[Vec<u8>], listed: &[Listed]) -> Archive<'static> {
    open(Forged {
        prefix: prefix.into(),
        groups: vec![tar.concat()],
        inline: page(listed),
        ..Forged::default()
    })
}

fn open(forged: Forged) -> Archive<'static> {
    let archive = Archive::from_vec(forged.archive(|_| ())).unwrap();
    assert!(archive.has_index());
    // The tar is good.
    archive.entries().unwrap();
    archive
}

/// Check that what these tests forge is an archive like ours, where nothing in it lies.
#[test]
fn no_lie() {
    let tar = [file(PATH, b"BTF"), file("e", b"file")];
    for deflated in [false, true] {
        let listed = [Listed::file("/e", 2, b"file"), Listed::file(KEY, 0, b"BTF")];
        let archive = open(Forged {
            groups: tar.to_vec(),
            pages: listed.map(|e| (e.key.clone(), page(&[e]))).to_vec(),
            deflated,
            ..Forged::default()
        });
        assert_eq!(archive.kernels().unwrap(), [id()]);
        assert_eq!(archive.get(&id()).unwrap().as_deref(), Some(&b"BTF"[..]));
        assert_eq!(archive.file("e").unwrap().as_deref(), Some(&b"file"[..]));
        assert_eq!(archive.file("f").unwrap(), None);
    }
}

/// Check that an entry whose name leads out of the archive is not taken, even if the index has it that all names do.
#[test]
fn names_that_lead_out() {
    for name in ["/a/b/c/d.btf", "../a/b/c/d.btf"] {
        let tar = [file(name, b"BTF"), file("x/a/b/c/d.btf", b"inside")];
        let listed = [Listed::file(KEY, 0, b"BTF")];
        let archive = archive("..", &tar, &listed);
        let found = archive.get(&id()).unwrap();
        assert_eq!(found.as_deref(), Some(&b"inside"[..]), "{name}");
    }
}

/// Check that a kernel or file which the index lists and the tar lacks is an error, for `kernels` lists it too.
#[test]
fn listed_and_not_there() {
    let listed = [Listed::file("/e", 0, b""), Listed::file(KEY, 0, b"")];
    let archive = archive("", &[file("f", b"file")], &listed);
    assert_eq!(archive.kernels().unwrap(), [id()]);
    let error = archive.get(&id()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(KEY), "{error}");
    assert_eq!(archive.file("e").unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(archive.file("g").unwrap(), None);
}

/// Check that an index whose keys are out of order, so that a search would miss some, is not what kernels are listed
/// from.
#[test]
fn keys_out_of_order() {
    let other = "d/c/a/a";
    let tar = [file(PATH, b"BTF"), file("a/a/c/d.btf", b"other")];
    let listed = [
        Listed::file(KEY, 0, b"BTF"),
        Listed::file(other, 2, b"other"),
    ];
    let both = ["a/a/c/d", "a/b/c/d"].map(|id| id.parse().unwrap());

    let paged = |pages: Vec<(&str, &[Listed])>| Forged {
        groups: vec![tar.concat()],
        pages: pages
            .iter()
            .map(|(first, entries)| ((*first).into(), page(entries)))
            .collect(),
        ..Forged::default()
    };
    let within = paged(vec![(KEY, &listed)]);
    let not_the_first = paged(vec![(other, &listed[..1])]);
    let reaching_over = paged(vec![
        ("a", &[Listed::file("a", 0, b""), listed[0].clone()]),
        (other, &listed[1..]),
    ]);
    for forged in [within, not_the_first, reaching_over] {
        let archive = open(forged);
        assert_eq!(archive.kernels().unwrap(), both);
    }

    let pages_swapped = paged(vec![(KEY, &listed[..1]), (other, &listed[1..])]);
    let archive = Archive::from_vec(pages_swapped.archive(|_| ())).unwrap();
    assert!(!archive.has_index());
    assert_eq!(archive.kernels().unwrap(), both);
}

/// Check that an index of a few bytes that expands to more kernels, or longer names, than the tar could hold is not used.
#[test]
fn listing_more_than_the_tar() {
    let tar = vec![file(PATH, b"BTF")];
    let many = (0..0x4000).map(|n| Listed::file(format!("{n:04x}/c/a/b"), 0, b"BTF"));
    let long = [Listed::file(
        format!("{}/c/a/b", "d".repeat(300)),
        0,
        b"BTF",
    )];
    for listed in [many.collect(), long.to_vec()] {
        let bytes = Forged {
            groups: tar.clone(),
            inline: page(&listed),
            deflated: true,
            ..Forged::default()
        };
        let options = ArchiveOptions::new().max_total_size(4 << 20);
        let archive = options.open(bytes.archive(|_| ())).unwrap();
        assert!(archive.has_index());
        assert_eq!(archive.kernels().unwrap(), [id()]);
    }
}

/// Check that a root of a few bytes which expands to more groups or pages than the archive could hold is not used.
#[test]
fn more_parts_than_bytes() {
    let mut groups = Vec::new();
    put_counted(&mut groups, b"");
    put_varint(&mut groups, 1 << 20);
    groups.resize(groups.len() + (2 << 20), 0);
    let mut pages = Vec::new();
    put_counted(&mut pages, b"");
    put_varint(&mut pages, 1);
    put_varint(&mut pages, 1 << 18);
    for _ in 0..1 << 18 {
        pages.extend(b"\0\0....\x01x");
    }
    for root in [groups, pages] {
        let forged = Forged {
            groups: vec![file(PATH, b"BTF")],
            deflated: true,
            ..Forged::default()
        };
        let bytes = forged.archive(|bytes| *bytes = root);
        assert!(bytes.len() < 32 << 10);
        let archive = Archive::from_vec(bytes).unwrap();
        assert!(!archive.has_index());
        assert_eq!(archive.kernels().unwrap(), [id()]);
    }
}

/// Check that a hard link in the index which leads to another one, or to nothing, is an error.
#[test]
fn links() {
    let link = |to: &str| entry(PATH, b'1', to, "", b"");
    let listed = [Listed {
        key: KEY.into(),
        block: 0,
        crc: None,
    }];
    for to in [PATH, "a/a/c/d.btf", "../a/b/c/d.btf"] {
        let forged = Forged {
            groups: vec![link(to)],
            inline: page(&listed),
            ..Forged::default()
        };
        let archive = Archive::from_vec(forged.archive(|_| ())).unwrap();
        assert!(archive.has_index());
        let error = archive.get(&id()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenLink, "{to}");
    }
}
