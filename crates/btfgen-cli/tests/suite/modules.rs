//! Types that only modules have, in pack, needs and minimize.

use std::fs;
use std::path::{Path, PathBuf};

use btfgen::Btf;
use btfgen_hub::{Module, write_modules};
use btfgen_testkit::{module_btf, target_btf};
use serde_json::Value;
use tempfile::tempdir;

use crate::suite::{btfgen, place, run, stdout};

const KERNEL: &str = "debian/12/x86_64/6.1.0";

fn object() -> PathBuf {
    btfgen_testkit::object("modules")
}

/// The modules of the made-up kernel.
fn modules() -> (Vec<u8>, Vec<Module>) {
    let bytes = fs::read(target_btf("modular")).unwrap();
    let kernel = Btf::parse(&bytes).unwrap();
    let modules = ["a", "b"].map(|name| Module {
        name: format!("mod_{name}"),
        btf: module_btf(
            &kernel,
            &fs::read(target_btf(&format!("module-{name}"))).unwrap(),
        ),
    });
    (bytes.clone(), modules.into())
}

/// Puts a made-up kernel into a hub, with or without its modules.
fn place_kernel(hub: &Path, kernel: &str, with_modules: bool) -> PathBuf {
    let (bytes, modules) = modules();
    if with_modules {
        let mut file = Vec::new();
        write_modules(&mut file, &bytes, "6.1.0", &modules).unwrap();
        place(hub, &format!("{kernel}.modules.tar.zst"), &file);
    }
    place(hub, &format!("{kernel}.btf"), &bytes)
}

/// Check that pack names the modules of types, those that disagree with the way to choose one, and a module that was named in vain.
#[test]
fn packed() {
    let dir = tempdir().unwrap();
    place_kernel(dir.path(), KERNEL, true);
    let mut pack = btfgen();
    pack.arg("pack").arg(object()).arg("--hub").arg(dir.path());
    pack.arg("-o").arg(dir.path().join("a.tar.gz"));
    let pieces = [
        "note: these types are those of modules:\n",
        "  struct in_a: mod_a, on 1 kernel\n",
        "  struct in_a_and_b: mod_a, mod_b, on 1 kernel\n",
        "modules mod_a, mod_b: --module NAME chooses one; on 1 kernel",
    ];
    let output = run(pack.arg("--json"), 0, &pieces);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let types = report["module_types"].as_array().unwrap();
    let in_b = types.iter().find(|ty| ty["name"] == "enum in_b").unwrap();
    assert_eq!(in_b["found"][0]["modules"][0], "mod_b");
    assert_eq!(in_b["found"][0]["kernels"][0], KERNEL);
    let pieces = [
        "warning: no type that the objects ask for is in these modules, which --module names:\n  no-such\n",
        "  struct disputed: mod_a, on 1 kernel\n",
    ];
    let output = run(
        pack.args(["--module", "mod-a", "--module", "no-such"]),
        0,
        &pieces,
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("mod_b"), "{stderr}");
}

/// Check that pack says where a type may be a module's, because the hub does not have the modules.
#[test]
fn unknown_modules() {
    let dir = tempdir().unwrap();
    place_kernel(dir.path(), KERNEL, false);
    let mut pack = btfgen();
    pack.arg("pack").arg(object()).arg("--hub").arg(dir.path());
    pack.arg("-o").arg(dir.path().join("a.tar.gz"));
    let piece =
        "struct in_no_module may be a module's type: the hub lacks the modules of 1 kernel\n";
    run(&mut pack, 0, &["found nothing in any kernel:\n", piece]);
}

/// Check that needs and minimize find modules beside the kernel, in a file, and in a folder such as /sys/kernel/btf, and say where
/// types were found.
#[test]
fn of_one_kernel() {
    let dir = tempdir().unwrap();
    let beside = place_kernel(&dir.path().join("beside"), KERNEL, true);
    let alone = place_kernel(&dir.path().join("alone"), KERNEL, false);
    let file = beside.with_file_name("6.1.0.modules.tar.zst");
    let folder = dir.path().join("folder");
    let (kernel, modules) = modules();
    place(&folder, "vmlinux", &kernel);
    for module in &modules {
        // A file may have dashes, as a module's file has.
        place(&folder, &module.name.replace('_', "-"), &module.btf);
    }
    let minimal = dir.path().join("minimal.btf");
    let mut written = Vec::new();
    for (kernel, modules) in [
        (&beside, None),
        (&alone, Some(&file)),
        (&alone, Some(&folder)),
    ] {
        let modules: Vec<&Path> = modules
            .iter()
            .flat_map(|m| [Path::new("--modules"), m])
            .collect();
        let mut needs = btfgen();
        needs
            .arg("needs")
            .arg(object())
            .arg("--kernel")
            .arg(kernel)
            .args(&modules);
        let pieces = [
            "note: the kernel itself does not have these types:\n",
            "  struct in_a: in the module mod_a\n",
            "  struct in_a_and_b: in the modules mod_a, mod_b\n",
            "  struct in_no_module: in no module either\n",
        ];
        let output = run(&mut needs, 0, &pieces);
        let table = String::from_utf8(output.stdout).unwrap();
        let cell = |name: &str| {
            let row = table.lines().find(|row| row.contains(name)).unwrap();
            row.split("  ")
                .map(str::trim)
                .filter(|c| !c.is_empty())
                .nth(3)
                .unwrap()
                .to_owned()
        };
        assert_eq!(cell("struct in_all"), "yes");
        assert_eq!(cell("enum in_b"), "mod_b");
        assert_eq!(cell("disputed      number"), "refused");
        let json = stdout(needs.arg("--json"));
        let json: Value = serde_json::from_str(&json).unwrap();
        let of_a = &json["needs"][1]["on_kernel"];
        assert_eq!(
            *of_a,
            serde_json::json!({"found": true, "modules": ["mod_a"], "refusal": null})
        );

        let mut minimize = btfgen();
        minimize
            .arg("minimize")
            .arg(kernel)
            .arg(object())
            .args(&modules);
        run(minimize.arg("-o").arg(&minimal), 0, &pieces);
        written.push(fs::read(&minimal).unwrap());
    }
    assert!(written.iter().all(|btf| *btf == written[0]));
    let piece = "struct in_a: perhaps in a module; --modules names the modules' BTFs\n";
    let mut needs = btfgen();
    run(
        needs.arg("needs").arg(object()).arg("--kernel").arg(&alone),
        0,
        &[piece],
    );
    let mut minimize = btfgen();
    minimize.arg("minimize").arg(&beside).arg(object());
    let only_b = minimize.args(["--module", "mod_b", "-o"]).arg(&minimal);
    run(
        only_b,
        0,
        &[
            "  struct disputed: in the module mod_b\n",
            "  struct in_a: in no module either\n",
        ],
    );
}

/// Check that modules of another kernel are refused, with the file and the way out.
#[test]
fn of_another_kernel() {
    let dir = tempdir().unwrap();
    let beside = place_kernel(dir.path(), KERNEL, true);
    fs::copy(target_btf("moved"), &beside).unwrap();
    let mut needs = btfgen();
    let pieces = [
        "6.1.0.modules.tar.zst: its modules do not belong to the BTF in ",
        "help: ",
    ];
    run(
        needs
            .arg("needs")
            .arg(object())
            .arg("--kernel")
            .arg(&beside),
        1,
        &pieces,
    );
}
