//! Takes apart a BTF into which somebody has merged the types of modules.

use btfgen_btf::{Header, assemble};

/// The types and strings that a BTF has behind those of the kernel's own BTF, as split BTF. `None` if the BTF does not begin
/// with exactly the kernel's types and strings, or has nothing behind them.
///
/// To merge a module is to append its strings and types, and to raise its ids and offsets if another module came before. So
/// whatever comes behind the kernel's own part is split BTF as it is.
pub(super) fn merged_modules(kernel: &[u8], merged: &[u8]) -> Option<Vec<u8>> {
    let (own, all) = (Header::parse(kernel).ok()?, Header::parse(merged).ok()?);
    let part = |bytes: &[u8], range: std::ops::Range<u64>| {
        let (start, end) = (range.start.try_into().ok()?, range.end.try_into().ok()?);
        bytes
            .get::<std::ops::Range<usize>>(start..end)
            .map(<[u8]>::to_vec)
    };
    let types = part(merged, all.types())?;
    let types = types.strip_prefix(&*part(kernel, own.types())?)?;
    let strings = part(merged, all.strings())?;
    let strings = strings.strip_prefix(&*part(kernel, own.strings())?)?;
    let is_more = own.byte_order() == all.byte_order() && !types.is_empty();
    is_more.then(|| assemble(own.byte_order(), types, strings))
}
