//! The type store of hubs.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::suite::{NEW, OLD, btfgen, names, object, place_kernel, run, stdout};

/// A folder with hubs, whose cache folder is in it.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let ground = Self(tempdir().unwrap());
        place_kernel(&ground.0.path().join("hub"), OLD);
        place_kernel(&ground.0.path().join("other"), NEW);
        ground
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = btfgen();
        command.current_dir(self.0.path()).args(arguments);
        command.env("XDG_CACHE_HOME", self.0.path().join("cache"));
        command
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&stdout(self.command(arguments).arg("--json"))).unwrap()
    }

    /// Packs these hubs, and returns how many kernels the store had.
    fn known(&self, hubs: &[&str]) -> Value {
        let object = object();
        let pack = ["pack", object.to_str().unwrap(), "-o", "out.tar.gz"];
        let hubs: Vec<&str> = hubs.iter().flat_map(|hub| ["--hub", hub]).collect();
        self.json(&[&pack[..], &hubs].concat())["known"].clone()
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }
}

fn archive(ground: &Ground) -> Vec<u8> {
    fs::read(ground.at("out.tar.gz")).unwrap()
}

/// Check that `hub index` fills the store, that `hub status` tells what is in it and what is not, and that a pack uses it.
#[test]
fn index() {
    let ground = Ground::new();
    let status = |ground: &Ground| ground.json(&["hub", "status", "--hub", "hub"])["store"].clone();
    let empty = status(&ground);
    assert_eq!(
        (&empty["kernels"], &empty["missing"]),
        (&json!(0), &json!(1))
    );
    assert!(!ground.at("hub/.btfgen").exists(), "status only reads");
    let indexed = ground.json(&["hub", "index", "--hub", "hub"]);
    assert_eq!(
        (&indexed["kernels"], &indexed["added"]),
        (&json!(1), &json!(1))
    );
    assert!(ground.at("hub/.btfgen/types").is_file());
    // The kernel was written a moment ago, so its file is read again, but it is not unpacked.
    assert_eq!(ground.known(&["hub"]), json!(1));
    place_kernel(&ground.at("hub"), NEW);
    let indexed = ground.json(&["hub", "index", "--hub", "hub"]);
    assert_eq!(indexed["kernels"], json!(2));
    assert_eq!(indexed["bytes"], status(&ground)["bytes"]);
    assert_eq!(ground.known(&["hub"]), json!(2));
    let without = ["pack", "--no-store", "--cold"];
    run(&mut ground.command(&without), 2, &["cannot be used with"]);
}

/// Check that several hubs have their store together in the cache folder, and that nothing is written into them.
#[test]
fn several_hubs() {
    let ground = Ground::new();
    let hubs = ["hub", "other"];
    // The two kernels have the same content here, so the second one may be known by the first one.
    assert_ne!(ground.known(&hubs), json!(2));
    let first = archive(&ground);
    assert_eq!(ground.known(&hubs), json!(2));
    assert_eq!(archive(&ground), first);
    for hub in hubs {
        assert!(!ground.at(hub).join(".btfgen").exists());
    }
    let stores = || {
        let names = names(&ground.at("cache/btfgen/types")).into_iter();
        names.filter(|name| !name.ends_with(".proofs")).count()
    };
    assert_eq!(stores(), 1);
    // The order of the hubs decides which kernel wins, so it is another store.
    ground.known(&["other", "hub"]);
    assert_eq!(stores(), 2);
}

/// Check that a store that cannot be written is a note, and that the archive is written.
#[test]
fn no_place() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("hub/.btfgen/types")).unwrap();
    let object = object();
    let pack = [
        "pack",
        object.to_str().unwrap(),
        "-o",
        "out.tar.gz",
        "--hub",
        "hub",
    ];
    run(
        &mut ground.command(&pack),
        0,
        &["the type store could not be written"],
    );
    assert!(!archive(&ground).is_empty());
    run(
        &mut ground.command(&["hub", "index", "--hub", "hub"]),
        1,
        &["types: cannot be written"],
    );
}

/// Check that `add` adds the kernel to the store, unless the user forbids it.
#[test]
fn added() {
    let ground = Ground::new();
    let kernel = btfgen_testkit::sample_btf(NEW);
    let add = ["add", kernel.to_str().unwrap(), "--id", NEW, "--hub"];
    run(&mut ground.command(&[&add[..], &["one"]].concat()), 0, &[]);
    assert!(has_store(&ground.at("one")));
    assert_eq!(ground.known(&["one"]), json!(1));
    run(
        &mut ground.command(&[&add[..], &["two", "--no-store"]].concat()),
        0,
        &[],
    );
    assert!(!has_store(&ground.at("two")));
}

fn has_store(hub: &Path) -> bool {
    hub.join(".btfgen/types").is_file()
}

/// Check that kernels stay known when their files become a chunk.
#[test]
fn compacted() {
    let ground = Ground::new();
    assert_eq!(ground.known(&["hub"]), json!(0));
    let first = archive(&ground);
    run(
        &mut ground.command(&["hub", "compact", "--replace", "--hub", "hub"]),
        0,
        &[],
    );
    assert_eq!(ground.known(&["hub"]), json!(1));
    assert_eq!(archive(&ground), first);
}
