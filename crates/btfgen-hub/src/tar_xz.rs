//! Writes a kernel's file in btfhub-archive's form, for [`Add`](crate::Add) and [`Expand`](crate::Expand).

use std::io::{self, Read};
use std::path::Path;

use btfgen_files::TempFile;
use liblzma::stream::{Check, Stream};
use liblzma::write::XzEncoder;

/// The level of btfhub-archive's files: xz's default, with a dictionary of 8 MiB.
const XZ_LEVEL: u32 = 6;

/// Writes a BTF in btfhub's form into a temporary file: `RELEASE.btf` in a tar, compressed with xz. The same BTF gives the same
/// bytes. They are on the disk when this returns.
///
/// # Errors
/// The system's errors, and an error if `is_cancelled` returns true.
pub(crate) fn write(
    folder: &Path,
    release: &str,
    btf: &[u8],
    is_cancelled: &dyn Fn() -> bool,
) -> io::Result<TempFile> {
    let mut file = TempFile::create_in(folder)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(btf.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    // The encoder needs 94 MiB. XzEncoder::new would panic if there is not enough memory.
    let stream = Stream::new_easy_encoder(XZ_LEVEL, Check::Crc64).map_err(|e| match e {
        liblzma::stream::Error::Mem => io::ErrorKind::OutOfMemory.into(),
        e => io::Error::from(e),
    })?;
    let mut tar = tar::Builder::new(XzEncoder::new_stream(file.as_file_mut(), stream));
    let btf = UnlessCancelled {
        is_cancelled,
        from: btf,
    };
    tar.append_data(&mut header, format!("{release}.btf"), btf)?;
    tar.into_inner()?.finish()?;
    file.sync()?;
    Ok(file)
}

/// Returns an error when the caller has asked to stop, because xz takes seconds for a large BTF.
struct UnlessCancelled<'c, R> {
    is_cancelled: &'c dyn Fn() -> bool,
    from: R,
}

impl<R: Read> Read for UnlessCancelled<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_cancelled)() {
            return Err(io::Error::other("stopped"));
        }
        self.from.read(buffer)
    }
}
