//! What check says of relocations, compared with the log of libbpf: bpftool relocates an object for a kernel without loading it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use btfgen::{ByteOrder, Pack};
use btfgen_testkit::skipped;

use super::store::hub;
use super::util::{kernels, name, objects};

/// The relocations of an object, in the form of our needs, and whether libbpf has found something for each. `None` if bpftool cannot
/// relocate the object, for example because it has kinds of types that bpftool's libbpf does not know.
fn log(kernel: &Path, object: &Path) -> Option<BTreeMap<String, bool>> {
    let out = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut bpftool = Command::new("bpftool");
    bpftool.args(["--debug", "gen", "min_core_btf"]);
    let output = bpftool.args([kernel, out.path(), object]).output();
    let output = output.expect("bpftool is installed, see scripts/setup");
    let text = String::from_utf8(output.stderr).expect("libbpf writes ASCII");
    let mut found = BTreeMap::new();
    let mut relocation = None;
    for line in text.lines() {
        let Some((_, event)) = line
            .split_once("relo #")
            .and_then(|(_, rest)| rest.split_once(": "))
        else {
            continue;
        };
        if event.starts_with('<') {
            relocation = Some(as_need(event)?);
        } else if let Some(relocation) = &relocation {
            if event.starts_with("matching candidate") {
                found.entry(relocation.clone()).or_insert(true);
            } else if event.starts_with("no matching targets found") {
                found.insert(relocation.clone(), false);
            }
        }
    }
    output.status.success().then_some(found)
}

/// A relocation as our needs print it, from `<byte_off> [86] struct request.q (0:0 @ offset 0)`.
fn as_need(event: &str) -> Option<String> {
    let (kind, rest) = event.strip_prefix('<')?.split_once("> [")?;
    let (_, spec) = rest.split_once("] ")?;
    let end = spec.find(" (").or_else(|| spec.find(" = "));
    let spec = &spec[..end.unwrap_or(spec.len())];
    let spec = spec.strip_prefix("typedef ").unwrap_or(spec);
    Some(format!("{kind} {spec}"))
}

/// Check that a relocation finds something on a kernel exactly if libbpf's log says so, for all objects and kernels in this machine's
/// byte order. bpftool opens no others.
#[test]
fn resolved_as_logged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kernels = kernels();
    // With a type store of its own.
    let hub = hub(folder.path(), &kernels);
    let mut compared = [0; 2];
    let own_order = if cfg!(target_endian = "big") {
        ByteOrder::Big
    } else {
        ByteOrder::Little
    };
    for path in objects() {
        let is_big = name(&path).ends_with(".eb.bpf.o");
        if is_big != (own_order == ByteOrder::Big) {
            continue;
        }
        let support = Pack::new().object(&path).hub(&hub).check();
        let support = support.expect("the hub can be checked");
        for group in &support.groups {
            let set = &support.matrix.sets()[group.set];
            if set.byte_order != own_order {
                continue;
            }
            let kernel = &group.kernels[0].to_string();
            let Some(found) = log(&kernels[kernel], &path) else {
                let object = name(&path);
                skipped(format!("bpftool cannot relocate {object} for {kernel}"));
                continue;
            };
            for (need, outcome) in support.needs.iter().zip(&set.outcomes) {
                // A refusal is another thing.
                if let (Some(&logged), None) = (found.get(&need.to_string()), outcome.refusal()) {
                    let is_found = outcome.is_found(need.kind());
                    assert_eq!(is_found, logged, "{}: {kernel}: {need}", name(&path));
                    compared[usize::from(logged)] += 1;
                }
            }
        }
    }
    // Both kinds are there.
    assert!(compared.iter().all(|&n| n > 100), "{compared:?}");
}
