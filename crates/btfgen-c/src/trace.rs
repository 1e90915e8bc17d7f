//! The steps of the last lookup of each thread.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

const NONE: &CStr = c"";

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(NONE.to_owned());
}

pub(crate) fn set(text: CString) {
    // The destructor of another thread-local may call this after the text is destroyed. Then nobody will read the text.
    let _ = LAST.try_with(|last| last.replace(text));
}

pub(crate) fn last() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr())
        .unwrap_or(NONE.as_ptr())
}
