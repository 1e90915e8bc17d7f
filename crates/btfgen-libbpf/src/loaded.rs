//! A BTF that libbpf has loaded.

use std::borrow::Cow;
use std::ffi::c_void;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Once;

use btfgen_btf::Btf;

use crate::errno::error_text;
use crate::error::{Error, ErrorKind};

/// A BTF, and libbpf's own copy of it, against which relocations run. It can be read as a [`Btf`].
///
/// libbpf gets only bytes that [`Btf::parse`] has checked, in a form that it can read: see [`Btf::to_classic`].
#[derive(Debug)]
pub struct LoadedBtf<'d> {
    data: Btf<'d>,
    raw: NonNull<libbpf_sys::btf>,
}

// SAFETY: libbpf's `struct btf` has no thread affinity.
unsafe impl Send for LoadedBtf<'_> {}
// SAFETY: all functions called through `&LoadedBtf` only read. The one lazily written field, the pointer size, is
// settled in `load`.
unsafe impl Sync for LoadedBtf<'_> {}

impl Drop for LoadedBtf<'_> {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `btf__new` and is freed once.
        unsafe { libbpf_sys::btf__free(self.raw.as_ptr()) }
    }
}

impl<'d> Deref for LoadedBtf<'d> {
    type Target = Btf<'d>;

    fn deref(&self) -> &Btf<'d> {
        &self.data
    }
}

impl<'d> LoadedBtf<'d> {
    /// Reads a BTF and loads it into libbpf: [`Btf::parse`] and [`LoadedBtf::new`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidBtf`], and those of [`LoadedBtf::new`].
    pub fn parse(bytes: impl Into<Cow<'d, [u8]>>) -> Result<Self, Error> {
        Self::new(Btf::parse(bytes)?)
    }

    /// Loads a BTF into libbpf, which copies it. The BTF has no base.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfMemory`]; [`ErrorKind::InvalidBtf`] if libbpf refuses a BTF that [`Btf::parse`] accepted.
    pub fn new(data: Btf<'d>) -> Result<Self, Error> {
        Self::load(data, None)
    }

    /// Like [`LoadedBtf::new`], for the types of a BPF object. Pointers of a BPF object have 8 bytes, whatever the types
    /// say.
    ///
    /// # Errors
    /// Those of [`LoadedBtf::new`].
    pub fn of_object(data: Btf<'d>) -> Result<Self, Error> {
        Self::load(data, Some(8))
    }

    fn load(data: Btf<'d>, pointer_size: Option<libbpf_sys::size_t>) -> Result<Self, Error> {
        silence_libbpf();
        let bytes = data.to_classic();
        let size = u32::try_from(bytes.len())
            .map_err(|_| Error::new(ErrorKind::InvalidBtf, "larger than 4 GiB"))?;
        // SAFETY: the pointer and the length are those of one live slice, which libbpf copies.
        let raw = unsafe { libbpf_sys::btf__new(bytes.as_ptr().cast::<c_void>(), size) };
        let Some(raw) = NonNull::new(raw) else {
            // libbpf leaves the reason in errno.
            return Err(refusal(&io::Error::last_os_error(), size));
        };
        drop(bytes);
        // libbpf would take the size of its own pointers, and then the result would depend on the host.
        let pointer_size = pointer_size.or(data.pointer_size().is_none().then_some(8));
        let loaded = Self { data, raw };
        // SAFETY: `raw` is a valid BTF that nobody else sees yet. 8 is a size that it accepts. Reading the size settles the
        // field where it is stored.
        unsafe {
            if let Some(size) = pointer_size {
                libbpf_sys::btf__set_pointer_size(loaded.raw.as_ptr(), size);
            }
            libbpf_sys::btf__pointer_size(loaded.raw.as_ptr());
        }
        Ok(loaded)
    }

    pub(crate) fn as_ptr(&self) -> *const libbpf_sys::btf {
        self.raw.as_ptr()
    }
}

/// libbpf prints its errors to stderr; this crate returns errors instead.
fn silence_libbpf() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `None` is the documented way to switch messages off.
        unsafe { libbpf_sys::libbpf_set_print(None) };
    });
}

/// The error behind a NULL of `btf__new`.
fn refusal(errno: &io::Error, size: u32) -> Error {
    if errno.kind() == io::ErrorKind::OutOfMemory {
        let message = format!("no memory for a BTF of {size} bytes");
        return Error::new(ErrorKind::OutOfMemory, message);
    }
    Error::new(
        ErrorKind::InvalidBtf,
        format!("libbpf refuses it: {}", error_text(errno)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use btfgen_btf::{Kind, TypeId, testing::made_up_btf};
    use std::ffi::CStr;

    /// Check that libbpf loads BTFs of future kernels, with a placeholder for each type that it does not know, so that ids
    /// stay the same.
    #[test]
    fn future_btfs() {
        let int = [1, (Kind::Int as u32) << 24, 4, 32];
        let location_section = [1, 22 << 24 | 1, 0, 1, 1, 0];
        let bytes = made_up_btf(
            &[&location_section, &int, &[0, (Kind::Ptr as u32) << 24, 2]],
            b"\0int\0",
        );
        let btf = LoadedBtf::parse(bytes).expect("it is good");
        assert_eq!(
            btf.type_by_id(TypeId(1)).map(|ty| ty.kind()),
            Some(Kind::Unknown)
        );
        // SAFETY: the BTF is valid, and has these types and names.
        let as_libbpf_sees_it = |id| unsafe {
            let ty = &*libbpf_sys::btf__type_by_id(btf.as_ptr(), id);
            let name = libbpf_sys::btf__name_by_offset(btf.as_ptr(), ty.name_off);
            (CStr::from_ptr(name), ty.info, ty.__bindgen_anon_1.size)
        };
        assert_eq!(as_libbpf_sees_it(1), (c"", (Kind::Datasec as u32) << 24, 0));
        assert_eq!(as_libbpf_sees_it(2).0, c"int");
        assert_eq!(as_libbpf_sees_it(3).2, 2);
    }
}
