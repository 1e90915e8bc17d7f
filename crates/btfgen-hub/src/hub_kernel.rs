//! One kernel of a hub.

use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;

use crate::arch::arch_fits;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::{self, parse_kernel};

/// One kernel of a hub. Its file is not read until [`HubKernel::read`].
#[derive(Debug, Clone)]
pub struct HubKernel {
    pub(crate) id: KernelId,
    pub(crate) path: PathBuf,
    pub(crate) file_bytes: u64,
}

impl HubKernel {
    /// The kernel's id.
    pub fn id(&self) -> &KernelId {
        &self.id
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file in bytes, before it is unpacked.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Reads and unpacks the BTF, which may have at most `max_bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::InvalidKernel`] for a damaged file, [`ErrorKind::OtherForm`], [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Machine`].
    pub fn read(&self, max_bytes: u64) -> Result<Vec<u8>> {
        Ok(kernel_file::read(&self.path, max_bytes)?.btf)
    }

    /// Checks that the file can be read, and that libbpf accepts it as BTF of the architecture's byte order. The name inside
    /// a `.btf.tar.xz` must be that of the release.
    ///
    /// # Errors
    /// Those of [`HubKernel::read`]; [`ErrorKind::InvalidKernel`] or [`ErrorKind::Unsupported`] if the BTF is not usable;
    /// [`ErrorKind::InvalidName`] if the name or the byte order is that of another kernel.
    pub fn verify(&self, max_bytes: u64) -> Result<()> {
        let read = kernel_file::read(&self.path, max_bytes)?;
        if let Some(name) = read.name
            && name.file_stem() != Some(self.id.release().as_ref())
        {
            let message = format!(
                "contains {}, which is another kernel's name",
                name.display()
            );
            return Err(Error::new(
                ErrorKind::InvalidName,
                self.path.display(),
                message,
            ));
        }
        let btf = parse_kernel(&self.path, read.btf)?;
        if !arch_fits(self.id.arch(), &btf) {
            let message = format!("does not have the byte order of {}", self.id.arch());
            return Err(Error::new(
                ErrorKind::InvalidName,
                self.path.display(),
                message,
            ));
        }
        Ok(())
    }
}
