//! Made-up BTFs for the tests.

use btfgen_btf::Kind;
pub(crate) use btfgen_btf::testing::made_up_btf as section;

/// `struct btf_type`'s info.
pub(crate) fn info(kind: Kind, vlen: u32) -> u32 {
    (kind as u32) << 24 | vlen
}
