//! Where in the nest of containers the reading is, and what is known by then.

use std::path::Path;

use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::vmlinux::Vmlinux;

/// A package holds a compressed image, which holds a compressed kernel: that is four. No more than twice that.
const MAX_DEPTH: usize = 8;

/// What a layer says of the kernel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) release: Option<String>,
    pub(crate) arch: Option<String>,
}

/// One layer, as errors name it and [`Vmlinux`] tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    subject: String,
    trail: Vec<String>,
    /// By the package's metadata and the path in it.
    pub(crate) package: Known,
    /// By the image itself.
    pub(crate) image: Known,
    /// A header told that this is a kernel's image.
    pub(crate) is_kernel: bool,
    /// This came out of a stream that was hunted for, so there is to be no hunt inside it.
    pub(crate) hunted: bool,
    /// One for all layers.
    pub(crate) budget: Budget,
    depth: usize,
}

impl Place {
    pub(crate) fn of(path: &Path, budget: Budget) -> Self {
        Self {
            subject: path.display().to_string(),
            trail: Vec::new(),
            package: Known::default(),
            image: Known::default(),
            is_kernel: false,
            hunted: false,
            budget,
            depth: 0,
        }
    }

    /// One layer further in. `step` is what it is, for people to read.
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

    /// A file of a package or another archive.
    pub(crate) fn member(&self, path: &str, of: &str) -> Result<Self, Error> {
        let mut inner = self.inside(format!("{path} in the {of}"))?;
        inner.subject = format!("{}:{path}", self.subject);
        Ok(inner)
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, &self.subject, message)
    }

    /// The error for what could not be read, or is not to be read any more.
    pub(crate) fn unreadable(&self, source: std::io::Error) -> Error {
        if self.budget.is_cancelled() {
            return self.cancelled();
        }
        Error::read(&self.subject, source)
    }

    pub(crate) fn cancelled(&self) -> Error {
        self.error(ErrorKind::Cancelled, "the reading was cancelled")
    }

    /// The end of the way.
    pub(crate) fn found(self, btf: Vec<u8>, last_step: &str) -> Vmlinux {
        let arch = match (self.image.arch, self.package.arch) {
            // A package tells the kinds of 32-bit ARM apart, an image does not.
            (Some(image), Some(package)) if image == "arm" && package.starts_with("arm") => {
                Some(package)
            }
            (image, package) => image.or(package),
        };
        let mut trail = self.trail;
        trail.push(last_step.to_owned());
        Vmlinux {
            btf,
            release: self.image.release.or(self.package.release),
            arch,
            origin: trail.join(", "),
        }
    }
}
