//! The vectors of `spec/vectors.json`. `spec/README.md` describes their form.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use btfgen_archive::Builder;
use btfgen_runtime::{ErrorKind, Lookup, OsRelease, Rung, Step};
use serde_json::Value;

use crate::btf;

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spec")
}

fn vectors() -> Value {
    serde_json::from_slice(&fs::read(spec().join("vectors.json")).unwrap()).unwrap()
}

fn list<'v>(vectors: &'v Value, key: &str) -> &'v [Value] {
    vectors[key].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn os_release(source: &Value) -> Vec<u8> {
    if let Some(file) = source["file"].as_str() {
        return fs::read(spec().join("os-release").join(file)).unwrap();
    }
    let bytes = match source["hex"].as_str() {
        Some(hex) => (0..hex.len() / 2)
            .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
            .collect(),
        None => text(&source["text"]).as_bytes().to_vec(),
    };
    bytes.repeat(source["times"].as_u64().unwrap_or(1) as usize)
}

/// The bytes of an archive. In a list, each kernel has a content of its own, which is named like the kernel.
fn archive(kernels: &Value, ids: &Value) -> Vec<u8> {
    let entries: Vec<(&str, &str)> = match kernels {
        Value::Array(ids) => ids.iter().map(|id| (text(id), text(id))).collect(),
        kernels => {
            let kernels = kernels.as_object().unwrap();
            kernels.iter().map(|(id, c)| (&**id, text(c))).collect()
        }
    };
    let ids = ids.as_object().into_iter().flatten();
    let builder = ids.fold(Builder::new(), |builder, (id, build_id)| {
        builder.build_id(id.parse().unwrap(), text(build_id).parse().unwrap())
    });
    let builder = entries.iter().fold(builder, |builder, (id, content)| {
        builder.add(id.parse().unwrap(), btf(content)).unwrap()
    });
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    bytes
}

/// A host of the vectors: its os-release file, and the names that the lookup must try.
struct Host<'v> {
    os_release: tempfile::NamedTempFile,
    names: Vec<&'v str>,
    told: String,
}

impl Host<'_> {
    fn lookup<'a>(&self, machine: &str, release: &str, archive: &'a [u8]) -> Lookup<'a> {
        Lookup::new()
            .archive_bytes(archive)
            .os_release(self.os_release.path())
            .release(release)
            .arch(machine)
    }

    /// Checks the rung, the directory and the reason of each name that was tried, and their order.
    fn check_steps(&self, steps: &[Step], is_in_directory: bool) {
        let tried = steps
            .iter()
            .filter(|s| matches!(s.rung, Rung::Exact | Rung::Normalized));
        let tried: Vec<&Step> = tried.collect();
        for (step, name) in tried.iter().zip(&self.names) {
            let (directory, reason) = name.split_once(' ').unwrap();
            let Self { told, .. } = self;
            assert!(
                step.subject.starts_with(&format!("{directory}/"))
                    && step.outcome.contains(reason)
                    && (step.taken || (step.rung == Rung::Exact) == (reason == EXACT)),
                "{told}: {name:?}, not {step:?}"
            );
        }
        let all = self.names.len();
        assert!(
            tried.len() == all || is_in_directory && tried.len() < all,
            "{tried:?}"
        );
    }
}

/// The reason of an exact name.
const EXACT: &str = "(ID and VERSION_ID)";

/// Check that values of os-release files are unquoted as the vectors say.
#[test]
fn values() {
    for pair in list(&vectors(), "values") {
        let line = format!("ID={}", text(&pair[0]));
        let os = OsRelease::parse(line.as_bytes());
        let id = os.ok().map(|os| os.id().unwrap_or_default().to_owned());
        assert_eq!(id.as_deref(), pair[1].as_str(), "{line}");
    }
}

/// Check that each host of the vectors has its names, in their order, and that each of its lookups has its result.
#[test]
fn hosts() {
    let vectors = vectors();
    let none = archive(&Value::Array(vec!["a/1/x86_64/0.0.1".into()]), &Value::Null);
    for vector in list(&vectors, "hosts") {
        let content = os_release(&vector["os_release"]);
        let host = Host {
            os_release: tempfile::NamedTempFile::new().unwrap(),
            names: list(vector, "names").iter().map(text).collect(),
            told: vector["os_release"].to_string(),
        };
        fs::write(&host.os_release, &content).unwrap();
        let error = host.lookup("x86_64", "0.0.2", &none).find().unwrap_err();
        if vector["names"].is_null() {
            assert_eq!(error.kind(), ErrorKind::Io, "{}", host.told);
            continue;
        }
        assert_eq!(error.kind(), ErrorKind::NotFound, "{}", host.told);
        host.check_steps(error.steps(), false);
        for lookup in list(vector, "lookups") {
            check_lookup(&host, lookup, &vectors["archives"]);
        }
        for lookup in list(vector, "builds") {
            check_build(&host, lookup);
        }
    }
}

fn check_lookup(host: &Host<'_>, lookup: &Value, archives: &Value) {
    let named = lookup[2].as_str().map(|name| &archives[name]);
    let kernels = named.unwrap_or(&lookup[2]);
    let bytes = archive(kernels, &Value::Null);
    let told = format!("{}: {lookup}", host.told);
    match host
        .lookup(text(&lookup[0]), text(&lookup[1]), &bytes)
        .find()
    {
        Ok(found) => {
            let last = found.steps().last().unwrap();
            assert_eq!(last.rung.name(), text(&lookup[3]), "{told}");
            let kernel = found.kernel().unwrap().to_string();
            let label = kernels.get(&kernel).map_or(&*kernel, text);
            assert_eq!(label, text(&lookup[4]), "{told}");
            host.check_steps(found.steps(), last.rung != Rung::AnyDistribution);
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{told}: {error}");
            let outcome = &error.steps().last().unwrap().outcome;
            let begin = match text(&lookup[3]) {
                "missing" => "none of the archive's",
                "ambiguous" => "ambiguous, ",
                other => panic!("{told}: {other}, but it finds nothing"),
            };
            assert!(outcome.starts_with(begin), "{told}: {outcome}");
            host.check_steps(error.steps(), false);
        }
    }
}

fn check_build(host: &Host<'_>, vector: &Value) {
    let (kernels, expected) = (&vector[3], text(&vector[5]));
    let bytes = archive(kernels, &vector[4]);
    let mut lookup = host.lookup(text(&vector[0]), text(&vector[1]), &bytes);
    if let Some(id) = vector[2].as_str() {
        lookup = lookup.build_id(id.parse().unwrap());
    }
    match lookup.find() {
        Ok(found) => {
            let last = found.steps().last().unwrap();
            assert_eq!(last.rung.name(), expected, "{vector}");
            let kernel = found.kernel().unwrap().to_string();
            let label = kernels.get(&kernel).map_or(&*kernel, text);
            assert_eq!(label, text(&vector[6]), "{vector}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{vector}: {error}");
            let begin = match expected {
                "missing" => "none of the archive's",
                "ambiguous" => "ambiguous, ",
                "another build" => "refused: it is another build, ",
                other => panic!("{vector}: {other}, but it finds nothing"),
            };
            let outcome = &error.steps().last().unwrap().outcome;
            assert!(outcome.starts_with(begin), "{vector}: {outcome}");
            let tells_remedy = error.message().ends_with("pack again");
            assert_eq!(tells_remedy, expected == "another build", "{error}");
        }
    }
}

/// Check that each os-release file has a vector, and has an ID.
#[test]
fn all_files() {
    let files = fs::read_dir(spec().join("os-release")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut names = BTreeSet::new();
    for path in files.filter(|path| !path.ends_with("README.md")) {
        assert!(OsRelease::read(&path).unwrap().id().is_some(), "{path:?}");
        names.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    let vectors = vectors();
    let hosts = list(&vectors, "hosts").iter();
    let in_vectors = hosts.filter_map(|host| host["os_release"]["file"].as_str());
    assert_eq!(names, in_vectors.map(str::to_owned).collect());
}

/// Check that a reader in another language, which was written by the specification, agrees with the vectors.
#[test]
fn second_reader() {
    match Command::new("python3")
        .arg(spec().join("check.py"))
        .output()
    {
        Ok(out) => assert!(
            out.status.success(),
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        ),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            // Past the test harness, which would hide it.
            let _ = writeln!(
                io::stderr(),
                "skipped: second_reader: python3 is not installed"
            );
        }
        Err(e) => panic!("python3: {e}"),
    }
}
