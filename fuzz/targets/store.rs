//! Type stores. The first byte tells what the rest is: a store's file, a file whose checksum is made right, or two kernels that are
//! added to a store, whose file is then changed with a right checksum.
#![no_main]

use std::io::Write as _;

use btfgen_btf::{Btf, Kind};
use btfgen_store::{Definitions, Digest, Files, Stamp, Stored, Tables, stored_bytes, testing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&way, rest)) = input.split_first() else {
        return;
    };
    match way % 3 {
        0 => open(rest),
        1 => {
            let mut file = rest.to_vec();
            testing::seal(&mut file);
            open(&file);
        }
        _ => add(rest),
    }
});

/// Read all of what may be a store.
fn open(bytes: &[u8]) {
    let mut file = tempfile::tempfile().expect("the temporary folder is writable");
    file.write_all(bytes).expect("there is room");
    match Stored::open(&file) {
        Ok(stored) => {
            let definitions = stored.definitions().expect("it was checked");
            use_all(&definitions);
            let kernels = stored.files().kernels();
            assert!(
                kernels
                    .max()
                    .is_none_or(|kernel| kernel < definitions.kernels().len())
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Whatever a store says, readers end, and a BTF that is written of its definitions is a BTF.
fn use_all(all: &Definitions<'_>) {
    drop(Tables::from(all));
    drop(Tables::of_some(all, |kernel| kernel % 2 == 0));
    let names = [&b"long"[..], b"f", b"foo", b"task_struct", b"int", b"same"];
    let kinds = [
        Kind::Int,
        Kind::Struct,
        Kind::Union,
        Kind::Enum,
        Kind::Typedef,
    ];
    let wanted = names.map(|name| kinds.map(|kind| (kind, name))).concat();
    let functions = all.functions_named(&names).unwrap_or_default();
    for function in functions.iter().flatten() {
        drop(all.has_function(0, function));
    }
    let Ok(keys) = all.keys(&wanted) else {
        return;
    };
    for (number, kernel) in all
        .kernels()
        .enumerate()
        .filter(|(_, k)| k.is_covered())
        .take(4)
    {
        let lists = keys.iter().map(|&key| all.list(number, key));
        let Ok(lists) = lists.collect::<Result<Vec<_>, _>>() else {
            continue;
        };
        let roots = lists
            .into_iter()
            .filter_map(|list| all.candidates(list).ok());
        let roots = roots.map(|runs| runs.into_iter().map(|run| run.definition).collect());
        if let Ok(made) = all.synthesize(kernel.machine(), &roots.collect::<Vec<_>>()) {
            Btf::parse(&made.btf).expect("what we write is BTF");
        }
    }
}

/// Add kernels, one of them perhaps with modules, to a store, compare them with their BTFs, and read what some changes make of the file. First come the number of
/// changes, the place in 24 bits and the new byte of each, and the length of the first BTF in 16 bits.
fn add(input: &[u8]) {
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let Some((changes, rest)) = rest.split_at_checked(4 * usize::from(count % 32)) else {
        return;
    };
    let Some((len, btfs)) = rest.split_first_chunk::<2>() else {
        return;
    };
    let (first, second) = btfs.split_at(usize::from(u16::from_le_bytes(*len)).min(btfs.len()));
    let (mut tables, mut files) = (Tables::new(), Files::default());
    let kernels = [
        ("a", Btf::parse(first).ok()),
        ("b", Btf::parse(second).ok()),
    ];
    // The second may also be a module of the first, and be loaded twice.
    let modules = [("one", second), ("two", second)];
    let with_modules = kernels[0]
        .1
        .as_ref()
        .and_then(|kernel| kernel.with_modules(modules).ok());
    for (name, btf) in kernels.into_iter().chain([("c", with_modules)]) {
        let Some(btf) = btf else { continue };
        let kernel = tables.ingest(&btf).expect("there is room");
        let same = tables.definitions().compare(kernel, &btf);
        same.expect("the definitions are those of the BTF");
        files.note(name, Stamp::default(), Digest::of(btf.bytes()), kernel);
    }
    let definitions = tables.definitions();
    use_all(&definitions);
    let mut file = stored_bytes(&definitions, &files).expect("all kernels are known");
    let (changes, _) = changes.as_chunks::<4>();
    for &[low, middle, high, byte] in changes {
        let at = u32::from_le_bytes([low, middle, high, 0]) as usize % file.len();
        file[at] = byte;
    }
    testing::seal(&mut file);
    open(&file);
}
