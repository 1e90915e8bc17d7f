//! The steps of the last lookup of each thread.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::fmt::Write as _;

use btfgen_runtime::Step;

const NONE: &CStr = c"";

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(NONE.to_owned());
}

pub(crate) fn set(text: &str) {
    // A file's name may contain any character except NUL.
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    // The destructor of another thread-local may call this after the text is destroyed. Then nobody will read the text.
    let _ = LAST.try_with(|last| last.replace(text));
}

pub(crate) fn set_steps(steps: &[Step]) {
    let mut text = String::new();
    for step in steps {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{step}");
    }
    set(text.trim_end());
}

pub(crate) fn last() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr())
        .unwrap_or(NONE.as_ptr())
}
