//! Modules: in packages, in folders and alone.

use std::fs;

use btfgen_btf::testing::made_up_btf;
use btfgen_vmlinux::{Contents, ErrorKind, Reader};
use object::{Architecture, Endianness, elf};

use super::packages::{File, deb};
use super::util::*;

const ZSTD: (&str, &[&str]) = (".zst", &["zstd", "-q"]);

/// A split BTF: one int.
fn split(name: &str) -> Vec<u8> {
    made_up_btf(
        &[&[1 << 20, 1 << 24, 4, 32]],
        format!("{name}\0").as_bytes(),
    )
}

/// A module with these sections besides its `.modinfo`.
fn module_with(name: &str, sections: Vec<(&'static str, Vec<u8>)>) -> Vec<u8> {
    let info = format!("license=GPL\0name={name}\0vermagic={RELEASE} SMP preempt mod_unload \0");
    let mut all = vec![(".modinfo", info.into_bytes())];
    all.extend(sections);
    Elf {
        architecture: Architecture::X86_64,
        order: Endianness::Little,
        file_type: elf::ET_REL,
        sections: all,
    }
    .write()
}

fn module(name: &str) -> Vec<u8> {
    module_with(name, vec![(".BTF", split(name))])
}

fn package(files: &[File<'_>]) -> Contents {
    let folder = Folder::new();
    let path = folder.write("linux.deb", &deb("amd64", files, ZSTD));
    Reader::new().read_all(&path).unwrap()
}

fn names(contents: &Contents) -> Vec<&str> {
    contents
        .modules
        .iter()
        .map(|module| &*module.name)
        .collect()
}

/// Check that one pass over a package gives the kernel and its modules, in any order and compression, byte for byte.
#[test]
fn with_their_kernel() {
    let btf = sample_btf(AMD64);
    let image = vmlinux(&btf);
    let path = |file: &str| format!("./lib/modules/{RELEASE}/kernel/{file}");
    let packed = |name: &str, command: &[&str]| through(command, &module(name));
    let a = (path("net/nf-a.ko"), module("nf_a"));
    let b = (path("b.ko.xz"), packed("b", &["xz", "-0", "--check=crc32"]));
    let c = (path("c.ko.zst"), packed("c", &["zstd", "-q"]));
    let d = (path("d.ko.gz"), packed("d", &["gzip", "-n"]));
    let bare = (path("e.ko"), module_with("e", Vec::new()));
    let debug = (
        format!("./usr/lib/debug/lib/modules/{RELEASE}/kernel/f.ko"),
        module("f"),
    );
    let kernel = (format!("./boot/vmlinuz-{RELEASE}"), image);
    let all = [&d, &kernel, &b, &a, &bare, &debug, &c];
    let files: Vec<File<'_>> = all
        .iter()
        .map(|(path, bytes)| File::Plain(path, bytes))
        .collect();
    let contents = package(&files);
    assert_eq!(
        contents.kernel.as_ref().map(|kernel| kernel.btf()),
        Some(&*btf)
    );
    assert_eq!(names(&contents), ["b", "c", "d", "nf_a"]);
    for module in &contents.modules {
        assert_eq!(module.btf, split(&module.name));
        assert_eq!(module.release.as_deref(), Some(RELEASE));
    }
    assert!(
        contents.modules[3]
            .subject
            .ends_with("linux.deb:lib/modules/6.1.0-47-cloud-amd64/kernel/net/nf-a.ko")
    );
    assert_eq!(contents.without_btf, 1);
    assert!(contents.left_out.is_empty());
}

/// Check that a package of only modules is read, and that a package with neither has no kernel.
#[test]
fn without_their_kernel() {
    let path = "./usr/lib/modules/6.5.0-1/kernel/a.ko";
    let nameless = Elf {
        file_type: elf::ET_REL,
        ..Elf::vmlinux(vec![
            (".modinfo", b"license=GPL\0".to_vec()),
            (".BTF", split("a")),
        ])
    };
    let contents = package(&[File::Plain(path, &nameless.write())]);
    assert!(contents.kernel.is_none());
    assert_eq!(names(&contents), ["a"]);
    // Without vermagic, the path gives the release.
    assert_eq!(contents.modules[0].release.as_deref(), Some("6.5.0-1"));

    let folder = Folder::new();
    let empty = folder.write("x.deb", &deb("amd64", &[File::Plain("./x", b"x")], ZSTD));
    let error = Reader::new().read_all(&empty).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoKernel);
}

/// Check that a module that cannot be read is named, and that the others are read.
#[test]
fn unreadable_modules() {
    let path = |name: &str| format!("./lib/modules/{RELEASE}/{name}");
    let good = (path("good.ko"), module("good"));
    let cut = (path("cut.ko.xz"), xz_cut());
    let text = (path("text.ko"), b"no module".to_vec());
    let program = (path("program.ko"), vmlinux(b""));
    let base = vec![(".BTF", split("base")), (".BTF.base", split("b"))];
    let distilled = (path("distilled.ko"), module_with("distilled", base));
    let twin = (
        path("updates/good.ko"),
        module_with("good", vec![(".BTF", split("other"))]),
    );
    let all = [&good, &cut, &text, &program, &distilled, &twin];
    let files: Vec<File<'_>> = all
        .iter()
        .map(|(path, bytes)| File::Plain(path, bytes))
        .collect();
    let contents = package(&files);
    assert_eq!(names(&contents), ["good"]);
    assert_eq!(contents.modules[0].btf, split("good"));
    let left_out: Vec<String> = contents.left_out.iter().map(ToString::to_string).collect();
    for (error, (name, why)) in left_out.iter().zip([
        ("cut.ko.xz", "damaged or truncated"),
        ("distilled.ko", ".BTF.base"),
        ("program.ko", "not a module"),
        ("text.ko", "neither a module nor its BTF"),
        ("updates/good.ko", "another module good"),
    ]) {
        assert!(error.contains(name) && error.contains(why), "{error}");
    }
    assert_eq!(left_out.len(), 5);
}

fn xz_cut() -> Vec<u8> {
    let mut xz = through(&["xz", "-0"], &module("cut"));
    xz.truncate(xz.len() / 2);
    xz
}

/// Check that folders are read: of modules' files, without following links, and of bare BTFs with the kernel's beside them.
#[test]
fn folders() {
    let folder = Folder::new();
    let root = folder.path().join(format!("lib/modules/{RELEASE}"));
    let at = |name: &str| format!("lib/modules/{RELEASE}/{name}");
    folder.write(&at("kernel/a.ko"), &module("a"));
    folder.write(&at("kernel/b.ko.xz"), &through(&["xz", "-0"], &module("b")));
    folder.write(&at("modules.dep"), b"kernel/a.ko:");
    folder.write("elsewhere/c.ko", &module("c"));
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), root.join("build")).unwrap();
    let contents = Reader::new().read_all(&root).unwrap();
    assert_eq!(names(&contents), ["a", "b"]);

    let btf = sample_btf(AMD64);
    folder.write("sys/vmlinux", &btf);
    folder.write("sys/nf_a", &split("nf_a"));
    let contents = Reader::new().read_all(&folder.path().join("sys")).unwrap();
    assert_eq!(contents.kernel.unwrap().into_btf(), btf);
    assert_eq!(
        (&*contents.modules[0].name, &contents.modules[0].release),
        ("nf_a", &None)
    );

    fs::create_dir(folder.path().join("empty")).unwrap();
    let error = Reader::new()
        .read_all(&folder.path().join("empty"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unrecognized);
}

/// Check that a module's own file and its bare BTF are read, also if the BTF has no strings of its own.
#[test]
fn alone() {
    let folder = Folder::new();
    let strings = made_up_btf(&[&[0, 2 << 24, 1]], b"");
    for (file, bytes, name, btf) in [
        ("nf-a.ko", module("nf_a"), "nf_a", split("nf_a")),
        (
            "b.ko.zst",
            through(&["zstd", "-q"], &module("b")),
            "b",
            split("b"),
        ),
        ("c", split("c"), "c", split("c")),
        ("d.btf", strings.clone(), "d", strings),
    ] {
        let contents = Reader::new().read_all(&folder.write(file, &bytes)).unwrap();
        assert!(contents.kernel.is_none());
        assert_eq!(names(&contents), [name]);
        assert_eq!(contents.modules[0].btf, btf);
    }
    let kernel = Reader::new().read_all(&sample(AMD64)).unwrap();
    assert_eq!(
        kernel.kernel.map(|kernel| kernel.into_btf()),
        Some(sample_btf(AMD64))
    );
}

/// Check that the limits hold for all modules together.
#[test]
fn too_many() {
    let folder = Folder::new();
    for name in ["a", "b", "c"] {
        folder.write(&format!("{name}.ko"), &module(name));
    }
    let bytes = 3 * split("a").len() as u64;
    let with = |limit| Reader::new().max_btf_bytes(limit).read_all(folder.path());
    assert_eq!(names(&with(bytes).unwrap()), ["a", "b", "c"]);
    assert_eq!(with(bytes - 1).unwrap_err().kind(), ErrorKind::TooLarge);
}
