//! Outputs: refused before the work starts if they cannot be written, never half written.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, ErrorKind, Result};

/// A file to be written at the end of long work.
///
/// Nothing is left behind unless [`Output::write`] succeeds: the content goes to a temporary file in the same
/// folder, which then takes the name; an older file stays as it was until then.
#[derive(Debug, Clone)]
pub struct Output {
    path: PathBuf,
    /// A device or pipe: written to, not replaced.
    special: bool,
}

impl Output {
    /// Checks that the file can be written.
    ///
    /// # Errors
    /// [`ErrorKind::Output`]: the folder is missing or not writable, or the path is a folder's.
    pub fn probe(path: impl Into<PathBuf>) -> Result<Self> {
        let mut output = Self {
            path: path.into(),
            special: false,
        };
        if output.path.is_symlink()
            && let Ok(target) = output.path.canonicalize()
        {
            output.path = target;
        }
        output.special = std::fs::metadata(&output.path).is_ok_and(|m| !m.is_file() && !m.is_dir());
        if output.special {
            return Ok(output);
        }
        let refused = |message: &str| Error::new(ErrorKind::Output, output.path.display(), message);
        if output.path.is_dir() {
            return Err(refused("is a folder; name the file to write"));
        }
        if output.path.file_name().is_none() {
            return Err(refused("is not a file's name"));
        }
        let folder = output.folder();
        if !folder.is_dir() {
            return Err(refused("the folder to write to does not exist")
                .with_help("create it first, or write somewhere else with -o"));
        }
        output.temporary().map_err(|e| {
            refused("cannot be written there")
                .with_source(e)
                .with_help("write to a folder you may write to with -o")
        })?;
        Ok(output)
    }

    /// Writes the whole content, and takes the name when it is safely on disk.
    ///
    /// # Errors
    /// [`ErrorKind::Output`], for instance on a full disk.
    pub fn write(&self, content: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let failed = |e: std::io::Error| {
            Error::new(ErrorKind::Output, self.path.display(), "cannot be written").with_source(e)
        };
        if self.special {
            return content(
                &mut File::options()
                    .write(true)
                    .open(&self.path)
                    .map_err(failed)?,
            );
        }
        let mut file = self.temporary().map_err(failed)?;
        content(file.as_file_mut())?;
        file.flush()
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        file.persist(&self.path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    /// As [`Output::write`], with a content that is in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Output`].
    pub fn write_all(&self, content: &[u8]) -> Result<()> {
        self.write(|file| {
            file.write_all(content).map_err(|e| {
                Error::new(ErrorKind::Output, self.path.display(), "cannot be written")
                    .with_source(e)
            })
        })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        }
    }

    fn temporary(&self) -> std::io::Result<NamedTempFile> {
        let mut builder = Builder::new();
        builder.prefix(".btfgen-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any new file: the umask takes away what the user does not want to give.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        builder.tempfile_in(self.folder())
    }
}
