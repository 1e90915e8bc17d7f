//! What an object asks for, of any bytes: the digest of its relocations, and its programs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|object: &[u8]| {
    let digest = btfgen_object::digest(object);
    // The bytes may lie at any address, as those of `include_bytes!` do.
    let mut moved = vec![0];
    moved.extend(object);
    assert_eq!(btfgen_object::digest(&moved[1..]), digest);
    let programs = btfgen_object::Programs::read(object);
    assert_eq!(btfgen_object::Programs::read(&moved[1..]), programs);
    // What is behind the object is not looked at.
    if let Ok(digest) = digest {
        moved.push(0xff);
        assert_eq!(btfgen_object::digest(&moved[1..]), Ok(digest));
    }
});
