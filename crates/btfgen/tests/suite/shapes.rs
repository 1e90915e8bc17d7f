//! Named types as bpftool and pahole show them.

use std::collections::HashMap;
use std::process::Command;

use btfgen::{Needs, Object, Shapes, TypeKind, TypePlace, TypeSelection};
use btfgen_testkit::{sample_btf, sample_kernels};
use serde_json::Value;

use super::util::btf;

/// Where the fields of a struct with this name and size are, as bpftool says: name, offset and width in bits.
type Fields = Vec<(String, u64, u64)>;

fn bpftool(kernel: &str) -> HashMap<(String, u64), Vec<Fields>> {
    let mut command = Command::new("bpftool");
    command.args(["-j", "btf", "dump", "file"]);
    let output = command.arg(sample_btf(kernel)).output();
    let output = output.expect("bpftool is installed, see scripts/setup");
    assert!(output.status.success(), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut structs: HashMap<_, Vec<Fields>> = HashMap::new();
    for ty in json["types"].as_array().unwrap() {
        if ty["kind"] == "STRUCT" {
            let members = ty["members"].as_array().unwrap().iter();
            let fields = members.map(|member| {
                let number = |key: &str| member[key].as_u64().unwrap_or_default();
                let name = member["name"].as_str().unwrap().to_owned();
                (name, number("bits_offset"), number("bitfield_size"))
            });
            let name = ty["name"].as_str().unwrap().to_owned();
            let key = (name, ty["size"].as_u64().unwrap());
            structs.entry(key).or_default().push(fields.collect());
        }
    }
    structs
}

/// Check that every named field of every named struct of a few kernels is where bpftool says.
#[test]
fn fields_as_bpftool() {
    // bpftool's JSON of a kernel is large.
    for kernel in sample_kernels().into_iter().step_by(4) {
        let theirs = bpftool(&kernel);
        let kernel_btf = btf(&sample_btf(&kernel));
        let selection = TypeSelection::new().all_types().all_functions();
        let ours = Shapes::new(&kernel_btf, &selection).unwrap();
        let mut compared = 0;
        for (name, shapes) in ours
            .iter()
            .filter(|(name, _)| name.kind == TypeKind::Struct)
        {
            for shape in shapes {
                let size = shape.size.unwrap().into();
                let theirs = &theirs[&(name.name.clone(), size)];
                let parts = shape.parts.iter().filter_map(|part| match part.place {
                    TypePlace::Field {
                        bit_offset,
                        bitfield_size,
                        ..
                    } => Some((part.path.clone(), bit_offset, bitfield_size.into())),
                    TypePlace::Enumerator { .. } => None,
                });
                let parts: Fields = parts.collect();
                let is_in =
                    |field: &&(String, u64, u64)| field.0 == "(anon)" || parts.contains(field);
                let same = theirs
                    .iter()
                    .any(|fields| fields.iter().all(|field| is_in(&field)));
                assert!(same, "{kernel}: {name}");
                compared += 1;
            }
        }
        assert!(compared > 4000, "{kernel}: {compared}");
    }
}

/// Check that fields in structs without a name have their path, and the offset from the start of the named struct.
#[test]
fn nested_fields() {
    let kernel = btf(&sample_btf("debian/12/x86_64/6.1.0-47-cloud-amd64"));
    let selection = TypeSelection::new().named("struct sk_buff").unwrap();
    let shapes = Shapes::new(&kernel, &selection).unwrap();
    let (_, sk_buff) = shapes.iter().next().unwrap();
    let field = |path: &str| {
        sk_buff[0]
            .parts
            .iter()
            .find(|part| part.path == path)
            .unwrap()
    };
    assert_eq!(field("next").declaration, "struct sk_buff *next");
    assert_eq!(field("cb").declaration, "char cb[48]");
    let place = |path: &str| match field(path).place {
        TypePlace::Field {
            bit_offset, size, ..
        } => (bit_offset, size),
        TypePlace::Enumerator { .. } => panic!("{path} is a field"),
    };
    // `next` is in a struct in a union, which `rbnode` is also in.
    assert_eq!(place("next"), (0, Some(8)));
    assert_eq!(place("rbnode").0, 0);
    assert_eq!(place("prev"), (64, Some(8)));
}

/// Check that a selection by an object has the fields on the way, without flavours, and nothing else.
#[test]
fn what_an_object_needs() {
    let object = Object::open(btfgen_testkit::object("execsnoop")).unwrap();
    let needs = Needs::new(vec![object]);
    let selection = TypeSelection::new().needs(&needs);
    let kernel = |name: &str| Shapes::new(&btf(&sample_btf(name)), &selection).unwrap();
    let old = kernel("debian/11/x86_64/5.10.0-30-cloud-amd64");
    let new = kernel("debian/12/x86_64/6.1.0-47-cloud-amd64");
    let diffs = btfgen::diff(&old, &new, &selection);
    let names: Vec<String> = diffs.iter().map(|diff| diff.name.to_string()).collect();
    assert_eq!(names, ["struct task_struct"]);
    let paths: Vec<&str> = diffs[0].parts.iter().map(btfgen::PartDiff::path).collect();
    assert_eq!(paths, ["state", "__state", "tgid", "real_parent"]);
}
