//! The current layer of a reading, and what is known about the kernel so far.

use std::path::Path;
use std::sync::Arc;

use btfgen_archive::BuildId;

use crate::arch::have_equal_images;
use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::modules::Modules;
use crate::vmlinux::Vmlinux;

/// The largest number of layers: twice the four of a package with a compressed image with a compressed kernel.
const MAX_DEPTH: usize = 8;

/// What a layer says about the kernel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) release: Option<String>,
    pub(crate) arch: Option<String>,
}

/// One layer, for the texts of errors and of [`Vmlinux`].
#[derive(Debug, Clone)]
pub(crate) struct Place {
    subject: String,
    trail: Vec<String>,
    /// From the package's metadata and the path in the package.
    pub(crate) package: Known,
    /// From the image itself.
    pub(crate) image: Known,
    /// The kernel's build id, if the image gives it for sure.
    pub(crate) build_id: Option<BuildId>,
    /// Whether a header says that this is a kernel's image.
    pub(crate) is_kernel: bool,
    /// Whether this is from a stream that a search found. Then there is no second search inside it.
    pub(crate) hunted: bool,
    /// The budget that all layers share.
    pub(crate) budget: Budget,
    /// Where the modules of a package go, if the caller wants them.
    pub(crate) modules: Option<Arc<Modules>>,
    depth: usize,
}

impl Place {
    pub(crate) fn of(path: &Path, budget: Budget) -> Self {
        Self {
            subject: path.display().to_string(),
            trail: Vec::new(),
            package: Known::default(),
            image: Known::default(),
            build_id: None,
            is_kernel: false,
            hunted: false,
            budget,
            modules: None,
            depth: 0,
        }
    }

    /// The next inner layer. `step` describes the layer for people.
    pub(crate) fn inside(&self, step: impl Into<String>) -> Result<Self, Error> {
        let mut inner = self.clone();
        inner.trail.push(step.into());
        inner.depth += 1;
        if inner.depth > MAX_DEPTH {
            return Err(self.error(
                ErrorKind::TooLarge,
                format!("is nested more than {MAX_DEPTH} deep"),
            ));
        }
        Ok(inner)
    }

    /// A file inside a package or another archive.
    pub(crate) fn member(&self, path: &str, of: &str) -> Result<Self, Error> {
        let mut inner = self.inside(format!("{path} in the {of}"))?;
        inner.subject = format!("{}:{path}", self.subject);
        Ok(inner)
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, &self.subject, message)
    }

    /// The error for a failed read, or for a cancelled reading.
    pub(crate) fn unreadable(&self, source: std::io::Error) -> Error {
        if self.budget.is_cancelled() {
            return self.cancelled();
        }
        Error::read(&self.subject, source)
    }

    /// An empty list with this capacity, or the error for lack of memory.
    pub(crate) fn reserve<T>(&self, count: usize) -> Result<Vec<T>, Error> {
        let mut list = Vec::new();
        list.try_reserve_exact(count)
            .map_err(|e| self.unreadable(e.into()))?;
        Ok(list)
    }

    /// The error for a kernel with neither BTF nor debug information.
    pub(crate) fn without_btf(&self) -> Error {
        self.error(
            ErrorKind::NoBtf,
            "the kernel has no BTF: it was built without CONFIG_DEBUG_INFO_BTF",
        )
    }

    pub(crate) fn cancelled(&self) -> Error {
        self.error(ErrorKind::Cancelled, "the reading was cancelled")
    }

    /// The final result.
    pub(crate) fn found(self, btf: Vec<u8>, last_step: &str) -> Vmlinux {
        let is_image_arch = self.package.arch.is_none();
        let arch = match (self.image.arch, self.package.arch) {
            // A package distinguishes the kinds of 32-bit ARM, an image does not.
            (Some(image), Some(package)) if have_equal_images(&image, &package) => Some(package),
            (image, package) => image.or(package),
        };
        let mut trail = self.trail;
        trail.push(last_step.to_owned());
        Vmlinux {
            btf,
            release: self.image.release.or(self.package.release),
            arch,
            is_image_arch,
            build_id: self.build_id,
            origin: trail.join(", "),
        }
    }
}
