//! One kernel of a hub.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_btf::Btf;
use btfgen_chunk::Digest;

use crate::arch::arch_fits;
use crate::chunk_file::{ChunkFile, within};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::{self, parse_kernel, read_kernel};
use crate::modules::{Module, ModulesFile};

/// One kernel of a hub: a file, or a part of a chunk. It is not read until [`HubKernel::read`].
#[derive(Debug, Clone)]
pub struct HubKernel {
    pub(crate) id: KernelId,
    source: Source,
    file_bytes: u64,
    pub(crate) modules: Option<ModulesFile>,
    pub(crate) has_build_id: bool,
}

/// Where a kernel's BTF is.
#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Chunk {
        chunk: Arc<ChunkFile>,
        /// The index among the chunk's entries.
        index: usize,
    },
}

impl HubKernel {
    /// A kernel with its own file.
    pub(crate) fn in_file(id: KernelId, path: PathBuf, file_bytes: u64) -> Self {
        Self {
            id,
            source: Source::File(path),
            file_bytes,
            modules: None,
            has_build_id: false,
        }
    }

    /// The kernels of a chunk, and the releases in it that are no kernel's.
    pub(crate) fn in_chunk(chunk: &Arc<ChunkFile>) -> (Vec<Self>, Vec<String>) {
        let (mut kernels, mut invalid) = (Vec::new(), Vec::new());
        for (index, (entry, share)) in chunk.entries().iter().zip(chunk.shares()).enumerate() {
            match chunk.place().kernel(&entry.release) {
                Some(id) => kernels.push(Self {
                    id,
                    source: Source::Chunk {
                        chunk: Arc::clone(chunk),
                        index,
                    },
                    file_bytes: share,
                    modules: None,
                    has_build_id: false,
                }),
                None => invalid.push(entry.release.clone()),
            }
        }
        (kernels, invalid)
    }

    /// The kernel's id, with the hub's name of the architecture, whatever its folder is called.
    pub fn id(&self) -> &KernelId {
        &self.id
    }

    /// Its file, or the chunk that contains it.
    pub fn path(&self) -> &Path {
        match &self.source {
            Source::File(path) => path,
            Source::Chunk { chunk, .. } => chunk.path(),
        }
    }

    /// Whether its folder or chunk has the hub's name of the architecture.
    pub(crate) fn has_hubs_place(&self) -> bool {
        let path = self.path();
        let name = match &self.source {
            Source::File(_) => path.parent().and_then(Path::file_name),
            Source::Chunk { .. } => path.file_stem(),
        };
        name.is_some_and(|name| name == self.id.arch())
    }

    /// The size of the file in bytes, before it is unpacked. For a kernel in a chunk, its share of the chunk by the size of its
    /// BTF: the shares of a chunk's kernels add up to the chunk.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The chunk that contains the kernel; `None` if the kernel has its own file.
    pub fn chunk(&self) -> Option<&Arc<ChunkFile>> {
        match &self.source {
            Source::File(_) => None,
            Source::Chunk { chunk, .. } => Some(chunk),
        }
    }

    /// The digest of the BTF by the index of the chunk; `None` if the kernel has its own file. [`HubKernel::read`] compares
    /// the BTF with it.
    pub fn chunk_digest(&self) -> Option<Digest> {
        match &self.source {
            Source::File(_) => None,
            Source::Chunk { chunk, index } => Some(chunk.entries()[*index].digest),
        }
    }

    /// Reads and unpacks the BTF, which may have at most `max_bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::InvalidKernel`] for a damaged file, [`ErrorKind::OtherForm`], [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Machine`].
    pub fn read(&self, max_bytes: u64) -> Result<Vec<u8>> {
        match &self.source {
            Source::File(path) => Ok(kernel_file::read(path, max_bytes)?.btf),
            Source::Chunk { chunk, index } => chunk.read(*index, max_bytes),
        }
    }

    /// Checks that the file can be read, and that libbpf accepts it as BTF of the architecture's byte order. The name inside
    /// a `.btf.tar.xz` must be that of the release.
    ///
    /// # Errors
    /// Those of [`HubKernel::read`]; [`ErrorKind::InvalidKernel`] or [`ErrorKind::Unsupported`] if the BTF is not usable;
    /// [`ErrorKind::InvalidName`] if the name or the byte order is that of another kernel.
    pub fn verify(&self, max_bytes: u64) -> Result<()> {
        self.read_verified(max_bytes).map(drop)
    }

    /// Reads the BTF, and checks it as [`HubKernel::verify`] does.
    ///
    /// # Errors
    /// Those of [`HubKernel::verify`].
    pub fn read_verified(&self, max_bytes: u64) -> Result<Vec<u8>> {
        let path = match &self.source {
            Source::File(path) => path,
            Source::Chunk { chunk, index } => {
                let btf = chunk.read(*index, max_bytes)?;
                self.check(&btf).map_err(|e| within(self.id.release(), e))?;
                return Ok(btf);
            }
        };
        let read = kernel_file::read(path, max_bytes)?;
        if let Some(name) = read.name
            && name.file_stem() != Some(self.id.release().as_ref())
        {
            let message = format!(
                "contains {}, which is another kernel's name",
                name.display()
            );
            return Err(Error::new(ErrorKind::InvalidName, path.display(), message));
        }
        self.check(&read.btf)?;
        Ok(read.btf)
    }

    /// Whether libbpf accepts a BTF, and it has the architecture's byte order.
    fn check(&self, btf: &[u8]) -> Result<()> {
        let btf = parse_kernel(self.path(), btf)?;
        if !arch_fits(self.id.arch(), &btf) {
            let message = format!("does not have the byte order of {}", self.id.arch());
            return Err(Error::new(
                ErrorKind::InvalidName,
                self.path().display(),
                message,
            ));
        }
        Ok(())
    }
}

impl HubKernel {
    /// The file with the BTFs of the kernel's modules; `None` if the hub has none.
    pub fn modules_path(&self) -> Option<&Path> {
        Some(&self.modules.as_ref()?.path)
    }

    /// The size of [`HubKernel::modules_path`] in bytes; 0 if there is none.
    pub fn modules_file_bytes(&self) -> u64 {
        self.modules.as_ref().map_or(0, |file| file.file_bytes)
    }

    /// Reads the BTFs of the kernel's modules, sorted by name; none if the hub has none. `base` is the kernel's own BTF; the
    /// modules' together may have `max_bytes`. Each continues the base, as far as [`Btf::check_base`] tells.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidKernel`] for a damaged file, [`ErrorKind::InvalidName`] if the modules are those of another BTF,
    /// [`ErrorKind::Unsupported`], [`ErrorKind::TooLarge`], [`ErrorKind::Io`], [`ErrorKind::Machine`].
    pub fn read_modules(&self, base: &Btf<'_>, max_bytes: u64) -> Result<Vec<Module>> {
        match &self.modules {
            Some(file) => file.read(max_bytes)?.unpack(self.path(), base, max_bytes),
            None => Ok(Vec::new()),
        }
    }

    /// The kernel's own BTF.
    ///
    /// # Errors
    /// Those of [`HubKernel::read`]; [`ErrorKind::InvalidKernel`] and [`ErrorKind::Unsupported`] for a BTF that is not usable.
    pub fn read_btf(&self, max_bytes: u64) -> Result<Btf<'static>> {
        read_kernel(self.path(), self.read(max_bytes)?)
    }

    /// The kernel's BTF together with those of its modules ([`Btf::with_modules`]).
    ///
    /// # Errors
    /// Those of [`HubKernel::read_btf`] and [`HubKernel::read_modules`].
    pub fn read_with_modules(&self, max_bytes: u64) -> Result<Btf<'static>> {
        let base = self.read_btf(max_bytes)?;
        match &self.modules {
            Some(file) => file.read(max_bytes)?.join(self.path(), &base, max_bytes),
            None => Ok(base),
        }
    }
}
