//! btfgen
fn main() {}
