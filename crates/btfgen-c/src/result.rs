//! The result of a lookup, and what C asks of it.

use std::error::Error as _;
use std::ffi::{CString, c_char, c_int};
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use btfgen_runtime::{Answer, Error, ErrorKind, Found, Lookup, Number, Origin};
use rustix::io::Errno;

use crate::lookup::Refused;

/// The result of a call that panicked.
const PANICKED: c_int = -Errno::NOTRECOVERABLE.raw_os_error();

/// The BTF for a kernel, or why there is none. `btfgen_find` makes it, and `btfgen_free` frees it.
#[derive(Debug)]
#[allow(non_camel_case_types, reason = "it has the name that C programs know")]
pub struct btfgen_btf {
    found: Option<Found>,
    /// The result of the lookup: 0 or `-errno`.
    pub(crate) code: c_int,
    /// Why the last call failed, in one line.
    pub(crate) error: CString,
    /// One line for each step.
    pub(crate) steps: CString,
    /// The entry of the archive.
    pub(crate) kernel: Option<CString>,
    path: Option<CString>,
    /// A copy of the BTF, because the content of a file has no other owner.
    content: Option<Vec<u8>>,
    unloadable: Names,
}

/// An array of strings that ends with NULL.
#[derive(Debug, Default)]
struct Names {
    #[expect(dead_code, reason = "it owns what the pointers point to")]
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers lead to the strings beside them, which move with them and which nobody changes.
unsafe impl Send for Names {}

impl Names {
    fn new(names: &[String]) -> Self {
        let strings: Vec<CString> = names.iter().map(text).collect();
        let pointers = strings.iter().map(|name| name.as_ptr());
        let pointers = pointers.chain([std::ptr::null()]).collect();
        Self { strings, pointers }
    }
}

impl btfgen_btf {
    /// Runs a lookup. A panic becomes an error.
    pub(crate) fn find<'a>(lookup: impl FnOnce() -> Result<Lookup<'a>, Refused>) -> Self {
        match catch_unwind(AssertUnwindSafe(|| lookup().map(|lookup| lookup.find()))) {
            Ok(Ok(Ok(found))) => Self {
                steps: lines(found.steps()),
                kernel: found.kernel().map(text),
                found: Some(found),
                ..Self::failed(0, "")
            },
            Ok(Ok(Err(e))) => Self {
                steps: lines(e.steps()),
                ..Self::failed(-errno(&e), chain(&e))
            },
            Ok(Err(Refused(why))) => Self::failed(-Errno::INVAL.raw_os_error(), why),
            Err(_) => Self::failed(PANICKED, "an internal error of btfgen"),
        }
    }

    pub(crate) fn failed(code: c_int, error: impl Display) -> Self {
        Self {
            found: None,
            code,
            error: text(error),
            steps: CString::default(),
            kernel: None,
            path: None,
            content: None,
            unloadable: Names::default(),
        }
    }

    /// The origin of the BTF, or `None` after a failed lookup.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.found.as_ref().map(Found::origin)
    }

    /// The path of the BTF, or NULL for the kernel's own. The path stays until `self` is dropped. The error is `-errno`.
    pub(crate) fn path(&mut self) -> Result<*const c_char, c_int> {
        let Some(found) = &self.found else {
            return Err(self.code);
        };
        if self.path.is_none() {
            let path = found.path().map(|path| {
                // A path that was opened has no NUL.
                path.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok())
            });
            match path {
                Ok(path) => self.path = path,
                Err(e) => return Err(self.fail(&e)),
            }
        }
        Ok(self.path.as_ref().map_or(std::ptr::null(), |p| p.as_ptr()))
    }

    /// The bytes of the BTF, which stay until `self` is dropped. The error is `-errno`.
    pub(crate) fn bytes(&mut self) -> Result<&[u8], c_int> {
        let Some(found) = &self.found else {
            return Err(self.code);
        };
        let read = || Ok(found.bytes()?.into_owned());
        if self.content.is_none() {
            match read() {
                Ok(bytes) => self.content = Some(bytes),
                Err(e) => return Err(self.fail(&e)),
            }
        }
        Ok(self.content.as_deref().unwrap_or_default())
    }

    /// The names of the programs that cannot be loaded, which stay until the next call or until `self` is dropped, and the result:
    /// not 0 if switching them off does not help. The error is `-errno`.
    pub(crate) fn unloadable(
        &mut self,
        object: &[u8],
    ) -> Result<(*const *const c_char, c_int), c_int> {
        let Some(found) = &self.found else {
            return Err(self.code);
        };
        let unloadable = match found.unloadable(object) {
            Ok(unloadable) => unloadable,
            Err(e) => return Err(self.fail(&e)),
        };
        let mut code = 0;
        if let Some(blocker) = unloadable.blocker() {
            code = -Errno::OPNOTSUPP.raw_os_error();
            self.error = text(format_args!(
                "libbpf needs the kernel's own BTF for {blocker}, and for the whole object with it"
            ));
        }
        self.unloadable = Names::new(unloadable.programs());
        Ok((self.unloadable.pointers.as_ptr(), code))
    }

    /// The kernel's answer to a fact, and which question of the fact it answers. The error is `-errno`.
    pub(crate) fn fact(&mut self, name: &str) -> Result<(Number, u32), c_int> {
        let Some(found) = &self.found else {
            return Err(self.code);
        };
        let answered = match found.fact(name) {
            Ok(answered) => answered,
            Err(e) => return Err(self.fail(&e)),
        };
        if let Some(number) = answered.answer.number() {
            return Ok((number, answered.question as u32));
        }
        let code = match answered.answer {
            Answer::Missing(_) => Errno::NOENT,
            Answer::Ambiguous(_) => Errno::NOTUNIQ,
            _ => Errno::NODATA,
        };
        self.error = text(format_args!("{name}: {}", answered.answer));
        Err(-code.raw_os_error())
    }

    /// The error and the steps, as text for people.
    pub(crate) fn trace(&self) -> CString {
        let [error, steps] = [&self.error, &self.steps].map(|text| text.to_string_lossy());
        text(match (&*error, &*steps) {
            ("", steps) => steps.to_owned(),
            (error, "") => error.to_owned(),
            (error, steps) => format!("{error}; steps tried:\n  {}", steps.replace('\n', "\n  ")),
        })
    }

    fn fail(&mut self, error: &Error) -> c_int {
        self.error = text(chain(error));
        -errno(error)
    }
}

/// Runs the work of a C function. No panic may reach C, so it becomes an error.
pub(crate) fn guarded(work: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED)
}

/// A string for C. A file's name may contain any character except NUL.
pub(crate) fn text(text: impl Display) -> CString {
    CString::new(text.to_string().replace('\0', "\\0")).unwrap_or_default()
}

fn lines(steps: &[btfgen_runtime::Step]) -> CString {
    let lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
    text(lines.join("\n"))
}

fn errno(error: &Error) -> c_int {
    let io = || {
        error
            .source()?
            .downcast_ref::<std::io::Error>()?
            .raw_os_error()
    };
    match error.kind() {
        ErrorKind::NotFound => Errno::NOENT.raw_os_error(),
        ErrorKind::NoArchive => Errno::OPNOTSUPP.raw_os_error(),
        ErrorKind::InvalidBtf | ErrorKind::Object => Errno::INVAL.raw_os_error(),
        ErrorKind::NoFact => Errno::SRCH.raw_os_error(),
        ErrorKind::Archive => io().unwrap_or(Errno::BADMSG.raw_os_error()),
        _ => io().unwrap_or(Errno::IO.raw_os_error()),
    }
}

/// An error with its causes, in one line.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |&e| e.source());
    causes.fold(error.message().to_owned(), |text, cause| {
        format!("{text}: {cause}")
    })
}
