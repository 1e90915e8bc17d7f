//! The files that one run reads and writes: no output may be an input or another output.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use btfgen_hub::seen::{FileId, file_id};
use btfgen_hub::{Error, ErrorKind, Hub, OWN_FOLDER, Result};

use crate::output::{Output, follow};

/// The files of one run. Each file is claimed before the work, and an output that would overwrite another file is refused.
///
/// Two paths are one file if their device and inode are the same, so links count. If there is no file yet, their paths
/// without links must be the same.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use btfgen::{Claims, Output};
///
/// # let dir = tempfile::tempdir()?;
/// # let object = dir.path().join("app.bpf.o");
/// # std::fs::write(&object, "")?;
/// let mut claims = Claims::default();
/// claims.reads("the BPF object", &object)?;
/// let error = claims.writes("the archive", &Output::probe(&object)?).unwrap_err();
/// assert!(error.to_string().contains("is the BPF object"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Claims {
    claims: Vec<Claim>,
    /// Files of hubs. The run reads all of them.
    kernels: HashSet<FileId>,
}

#[derive(Debug, Clone)]
struct Claim {
    what: &'static str,
    /// The path as the user gave it.
    named: PathBuf,
    /// The path without links.
    path: PathBuf,
    file: Option<FileId>,
    is_written: bool,
}

const HELP: &str = "name another file: each output needs its own file";

impl Claims {
    /// Claims a file to read. `what` describes it in messages, for instance "the BPF object".
    ///
    /// # Errors
    /// [`ErrorKind::Output`] if the run also writes it.
    pub fn reads(&mut self, what: &'static str, path: &Path) -> Result<()> {
        let claim = Claim {
            what,
            named: path.to_owned(),
            path: follow(path).unwrap_or_else(|_| path.to_owned()),
            file: fs::metadata(path).ok().as_ref().map(file_id),
            is_written: false,
        };
        for output in self.claims.iter().filter(|c| c.is_written) {
            output.refuse_if(&claim)?;
        }
        self.claims.push(claim);
        Ok(())
    }

    /// Claims a file to write. `what` describes it in messages, for instance "the archive".
    ///
    /// # Errors
    /// [`ErrorKind::Output`] if the run also reads it, already writes it, or if the file is in btfgen's own folder of a hub.
    pub fn writes(&mut self, what: &'static str, output: &Output) -> Result<()> {
        let path = output.target();
        let metadata = fs::metadata(path).ok();
        let claim = Claim {
            what,
            named: output.path().to_owned(),
            path: path.to_owned(),
            file: metadata.as_ref().map(file_id),
            is_written: true,
        };
        let mut folders = path.parent().into_iter().flat_map(Path::iter);
        if folders.any(|name| name == OWN_FOLDER) {
            return Err(claim.refused(&format!("is in {OWN_FOLDER}, btfgen's own folder")));
        }
        // Any number of outputs may go to a terminal or /dev/null.
        if metadata.is_some_and(|m| m.file_type().is_char_device()) {
            return Ok(());
        }
        self.write(claim)
    }

    /// Claims stdout to write, because it may be redirected to a file.
    ///
    /// # Errors
    /// Those of [`Claims::writes`].
    pub fn writes_stdout(&mut self, what: &'static str) -> Result<()> {
        let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let metadata = stdout.and_then(|stdout| stdout.metadata()).ok();
        match metadata.filter(fs::Metadata::is_file) {
            Some(metadata) => self.write(Claim {
                what,
                named: "stdout".into(),
                path: PathBuf::new(),
                file: Some(file_id(&metadata)),
                is_written: true,
            }),
            None => Ok(()),
        }
    }

    /// Claims all files of a hub that look like kernels, to read.
    ///
    /// # Errors
    /// [`ErrorKind::Output`] if the run also writes one of them.
    pub fn reads_hub(&mut self, hub: &Hub) -> Result<()> {
        self.kernels.extend(hub.files());
        let mut outputs = self.claims.iter().filter(|c| c.is_written);
        outputs.try_for_each(|output| self.not_a_kernel(output))
    }

    fn write(&mut self, claim: Claim) -> Result<()> {
        for other in &self.claims {
            claim.refuse_if(other)?;
        }
        self.not_a_kernel(&claim)?;
        self.claims.push(claim);
        Ok(())
    }

    fn not_a_kernel(&self, output: &Claim) -> Result<()> {
        if output.file.is_some_and(|file| self.kernels.contains(&file)) {
            return Err(output.refused("is a kernel of the hub"));
        }
        Ok(())
    }
}

impl Claim {
    /// Refuses this output if it is the same file as `other`.
    fn refuse_if(&self, other: &Self) -> Result<()> {
        let same = match (self.file, other.file) {
            (Some(one), Some(other)) => one == other,
            _ => self.path == other.path,
        };
        if !same {
            return Ok(());
        }
        let Self { what, .. } = other;
        let named = if self.named == other.named {
            String::new()
        } else {
            format!(" {}", other.named.display())
        };
        Err(self.refused(&format!("is {what}{named}")))
    }

    fn refused(&self, why: &str) -> Error {
        let message = format!("{why}, so {} cannot be written there", self.what);
        Error::new(ErrorKind::Output, self.named.display(), message).with_help(HELP)
    }
}
