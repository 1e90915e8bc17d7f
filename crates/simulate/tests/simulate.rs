//! A small simulated hub, made from the sample kernels.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use btfgen::Pack;
use btfgen_hub::{DEFAULT_MAX_BTF_BYTES, Hub};
use btfgen_simulate::{Simulation, Step, growth, rates};
use tempfile::TempDir;

/// Enough for all steps: series, architectures, flavours, levels.
const KERNELS: usize = 20;

fn simulation(kernels: usize, seed: u64) -> Simulation {
    Simulation {
        from: btfgen_testkit::sample_hub(),
        kernels,
        seed,
    }
}

fn simulated(kernels: usize, seed: u64) -> TempDir {
    let hub = tempfile::tempdir().unwrap();
    simulation(kernels, seed)
        .write(hub.path(), |_, _| {})
        .unwrap();
    hub
}

/// The content of each kernel's file.
fn files(hub: &Path) -> BTreeMap<String, Vec<u8>> {
    let opened = Hub::open(&[hub]).unwrap();
    assert!(opened.rejected().is_empty(), "{:?}", opened.rejected());
    let file = |kernel: &btfgen_hub::HubKernel| {
        (kernel.id().to_string(), fs::read(kernel.path()).unwrap())
    };
    opened.kernels().iter().map(file).collect()
}

/// Check that a seed always makes the same files, also if a hub is completed, and that another seed makes others.
#[test]
fn files_depend_on_the_seed() {
    let hub = simulated(KERNELS, 1);
    let all = files(hub.path());
    let mut planned: Vec<String> = simulation(KERNELS, 1)
        .kernels()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        planned[..6],
        simulation(6, 1)
            .kernels()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    );

    let completed = simulated(6, 1);
    for (id, content) in files(completed.path()) {
        assert!(planned[..6].contains(&id), "{id}");
        assert!(all[&id] == content, "{id} differs in a smaller hub");
    }
    simulation(KERNELS, 1)
        .write(completed.path(), |_, _| {})
        .unwrap();
    assert!(files(completed.path()) == all);
    planned.sort();
    let mut written: Vec<String> = all.keys().cloned().collect();
    written.sort();
    assert_eq!(written, planned);

    let other = simulated(1, 2);
    assert!(
        files(other.path())
            .values()
            .all(|content| all.values().all(|known| known != content))
    );
    let refused = simulation(KERNELS, 2)
        .write(completed.path(), |_, _| {})
        .unwrap_err();
    assert!(refused.to_string().contains("another seed"), "{refused}");
}

/// Check that libbpf and bpftool accept every kernel, and that names, byte orders and pointer sizes are those of the
/// architecture.
#[test]
fn kernels_are_sound() {
    let hub = simulated(KERNELS, 1);
    let unpacked = tempfile::tempdir().unwrap();
    let mut archs = BTreeMap::new();
    for kernel in &Hub::open(&[hub.path()]).unwrap() {
        kernel.verify(DEFAULT_MAX_BTF_BYTES).unwrap();
        let bytes = kernel.read(DEFAULT_MAX_BTF_BYTES).unwrap();
        let size = btfgen_btf::Btf::parse(&bytes).unwrap().pointer_size();
        assert_eq!(
            size,
            Some(if kernel.id().arch() == "arm" { 4 } else { 8 }),
            "{}",
            kernel.id()
        );
        *archs.entry(kernel.id().arch().to_owned()).or_insert(0) += 1;

        let file = unpacked.path().join("kernel.btf");
        fs::write(&file, bytes).unwrap();
        let dump = Command::new("bpftool")
            .args(["btf", "dump", "file"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            dump.status.success(),
            "{}: {}",
            kernel.id(),
            String::from_utf8_lossy(&dump.stderr)
        );
        assert!(
            String::from_utf8_lossy(&dump.stdout).contains("STRUCT 'task_struct'"),
            "{}",
            kernel.id()
        );
    }
    assert!(archs.len() > 1, "{archs:?}");
}

/// Check that a family's kernels share nearly all definitions, and that the steps from patch levels to series bring more and
/// more new ones.
#[test]
fn families_share_definitions() {
    let hub = simulated(KERNELS, 1);
    let growth = growth(hub.path()).unwrap();
    for one in growth
        .iter()
        .filter(|one| matches!(one.step, Step::Level | Step::Flavour))
    {
        assert!(one.shared * 100 > one.definitions * 95, "{one:?}");
    }
    let rates = rates(&growth);
    let (level, flavour, series) = (
        rates[&Step::Level],
        rates[&Step::Flavour],
        rates[&Step::Series],
    );
    assert!(level.changed < 100.0, "{level:?}");
    assert!(
        level.mean < flavour.mean && flavour.mean < series.mean,
        "{rates:?}"
    );
    assert!(series.median > 500, "{series:?}");
}

/// Check that a simulated hub can be packed with the proofs of a pack, and that series answer differently.
#[test]
fn packs() {
    let hub = simulated(KERNELS, 1);
    let packed = Pack::new()
        .object(btfgen_testkit::object("bootstrap"))
        .object(btfgen_testkit::object("fields"))
        .hub(hub.path())
        .build()
        .unwrap();
    assert!(packed.left_out.is_empty(), "{:?}", packed.left_out);
    assert_eq!(packed.totals.kernels, KERNELS);
    let series = rates(&growth(hub.path()).unwrap())[&Step::Series].kernels;
    assert!(series > 1);
    assert!(packed.totals.outcome_sets >= series, "{:?}", packed.totals);
    assert!(packed.totals.outcome_sets < KERNELS, "{:?}", packed.totals);
}
