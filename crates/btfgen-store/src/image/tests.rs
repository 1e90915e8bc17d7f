//! Files that are no stores, or that lie.

use btfgen_btf::testing::made_up_btf;
use btfgen_btf::{Btf, Kind};

use super::{Files, SUMMED, XxHash3_64, read, write};
use crate::definitions::Definitions;
use crate::error::Error;
use crate::files::Stamp;
use crate::kernel::Digest;
use crate::tables::Tables;

/// A kernel with structs in structs, behind pointers and in lists of several, and with functions, one with some of them, and one
/// with types and functions of modules.
fn kernels() -> [Btf<'static>; 3] {
    let struct_with_two = 4 << 24 | 2;
    let types: [&[u32]; 10] = [
        &[1, 1 << 24, 8, 64],
        &[6, 4 << 24 | 1, 8, 8, 1, 0],
        &[0, 2 << 24, 4],
        &[10, struct_with_two, 16, 8, 2, 0, 10, 3, 64],
        &[6, 8 << 24, 4],
        &[6, 4 << 24 | 1, 8, 10, 1, 0],
        &[0, 13 << 24 | 1, 0, 0, 1],
        &[10, 12 << 24, 7],
        &[6, 6 << 24 | 1, 4, 8, 1],
        &[8, 12 << 24, 7],
    ];
    let strings = b"\0long\0f\0m\0foo\0";
    let module = made_up_btf(&types[8..], b"\0");
    let btf = |types| Btf::parse(made_up_btf(types, strings)).expect("the test's BTF is good");
    let with_modules = btf(&types[..8]).with_modules([("a", &module[..]), ("b", &module)]);
    [
        btf(&types),
        btf(&types[..5]),
        with_modules.expect("the modules fit"),
    ]
}

/// A store's file as words, because it must be aligned.
fn file() -> Vec<u64> {
    let mut tables = Tables::new();
    let mut files = Files::default();
    let stamp = Stamp::of(&std::fs::metadata(".").expect("there is a current folder"));
    for (n, btf) in kernels().iter().enumerate() {
        let kernel = tables.ingest(btf).expect("it is small");
        files.note(&format!("{n}.btf"), stamp, Digest::of(btf.bytes()), kernel);
    }
    let bytes = write(&tables.definitions(), &files);
    let (words, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty());
    words.iter().map(|&word| u64::from_ne_bytes(word)).collect()
}

fn bytes(words: &[u64]) -> &[u8] {
    zerocopy::IntoBytes::as_bytes(words)
}

/// Reads everything that a store says. It may be wrong: [`Definitions::compare`] finds that.
fn use_all(all: &Definitions<'_>) {
    // Errors are all right. What must not happen is that one of these does not return.
    drop(Tables::from(all));
    drop(Tables::of_some(all, |_| true));
    let wanted: [(Kind, &[u8]); 5] = [
        (Kind::Int, b"long"),
        (Kind::Struct, b"f"),
        (Kind::Struct, b"foo"),
        (Kind::Typedef, b"f"),
        (Kind::Enum, b"f"),
    ];
    let keys = all.keys(&wanted).unwrap_or_default();
    let functions = all.functions_named(&[b"foo", b"m"]).unwrap_or_default();
    for function in functions.iter().flatten() {
        (0..3).for_each(|kernel| drop(all.has_function(kernel, function)));
    }
    for (number, kernel) in all.kernels().enumerate().take(3) {
        for btf in kernels() {
            drop(all.compare(number, &btf));
        }
        for &key in keys.iter().filter(|_| kernel.is_covered()) {
            let list = all.list(number, key);
            let Ok(runs) = list.and_then(|list| all.candidates(list)) else {
                continue;
            };
            let roots = [runs.into_iter().map(|run| run.definition).collect()];
            if let Ok(made) = all.synthesize(kernel.machine(), &roots) {
                Btf::parse(&made.btf).expect("what we write is BTF");
            }
        }
    }
}

/// Check that a file is read as it was written, and that a part of it is no store.
#[test]
fn whole_and_cut_off() -> Result<(), Error> {
    let file = file();
    let image = read(bytes(&file))?;
    assert_eq!(image.files()?.len(), 3);
    for (n, btf) in kernels().iter().enumerate() {
        assert_eq!(image.definitions.compare(n, btf), Ok(()));
    }
    for len in 0..bytes(&file).len() {
        assert!(read(&bytes(&file)[..len]).is_err(), "{len}");
    }
    Ok(())
}

/// Check that a changed byte is found by the checksum.
#[test]
fn changed_bytes() {
    let file = file();
    for at in 0..file.len() {
        for bit in 0..64 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert!(read(bytes(&changed)).is_err(), "{at} {bit}");
        }
    }
}

/// Check that a file with a right checksum and a wrong word somewhere is refused, or can be read without harm.
#[test]
fn lies() {
    let file = file();
    let mut refused = 0;
    for at in SUMMED / 8..file.len() {
        for low in [true, false] {
            let shift = if low { 0 } else { 32 };
            let word = (file[at] >> shift) as u32;
            let flipped = [0, 1, 2, 4, 8, 23, 24, 31].map(|bit| word ^ 1 << bit);
            let others = [0, 1, u32::MAX, word.wrapping_add(1), word.wrapping_sub(1)];
            for other in flipped.into_iter().chain(others) {
                let mut changed = file.clone();
                changed[at] = file[at] ^ u64::from(other ^ word) << shift;
                let checksum = XxHash3_64::oneshot(&bytes(&changed)[SUMMED..]);
                changed[SUMMED / 8 - 1] = checksum;
                match read(bytes(&changed)) {
                    Ok(image) => {
                        use_all(&image.definitions);
                        drop(image.files());
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}
