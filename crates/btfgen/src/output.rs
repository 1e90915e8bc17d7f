//! Outputs: checked before the work starts, written completely or not at all, never mixed with those of another run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use btfgen_files::{TempFile, remove_stale};
use btfgen_hub::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, OFlags, fcntl_setfl, flock};
use rustix::io::Errno;

/// The most symbolic links that the kernel follows, see `path_resolution(7)`.
const MAX_LINKS: usize = 40;

/// How long to wait for a folder that another run holds: a run holds it for milliseconds, for its renames.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// A file to be written at the end of long work.
///
/// The content goes to a temporary file in the same folder, which then takes the name. Until then, an older file is
/// unchanged. A path that is not a regular file (a device, a pipe, `/dev/stdout`) is written to and not replaced.
#[derive(Debug, Clone)]
pub struct Output {
    /// The path as the caller gave it.
    path: PathBuf,
    /// The file itself, without links; its links may lead to a file that does not exist yet.
    target: PathBuf,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A regular file, or no file yet.
    File,
    /// A device or a pipe.
    Special,
    /// An open descriptor of some process, in /proc.
    Descriptor { number: String, is_ours: bool },
}

/// An output whose content is on the disk, but does not have its name yet. If it is dropped, no file remains.
#[derive(Debug)]
pub(crate) struct Staged {
    output: Output,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(TempFile),
    Through(Vec<u8>),
}

impl Output {
    /// Checks that the file can be written, and removes temporary files of killed runs from its folder.
    ///
    /// # Errors
    /// [`ErrorKind::Output`]: the folder is missing or not writable, or the path is that of a folder.
    pub fn probe(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let refused = |message: &str| Error::new(ErrorKind::Output, path.display(), message);
        let target = follow(&path).map_err(|e| refused("cannot be written").with_source(e))?;
        let place = place_of(&target);
        let output = Self {
            path: path.clone(),
            target,
            place,
        };
        if output.place != Place::File {
            return Ok(output);
        }
        if output.target.is_dir() {
            return Err(refused("is a folder; name the file to write"));
        }
        if output.target.file_name().is_none() {
            return Err(refused("is not the name of a file"));
        }
        let folder = output.folder();
        if !folder.is_dir() {
            return Err(refused("its folder does not exist")
                .with_help("create the folder first, or name another one"));
        }
        remove_stale(folder);
        TempFile::create_in(folder).map_err(|e| {
            refused("its folder is not writable")
                .with_source(e)
                .with_help("name a writable folder")
        })?;
        Ok(output)
    }

    /// Writes the whole content to the disk, under a temporary name.
    ///
    /// # Errors
    /// [`ErrorKind::Output`], for instance on a full disk.
    pub(crate) fn stage(&self, content: &[u8]) -> Result<Staged> {
        let content = if self.place == Place::File {
            let stage = || {
                let mut file = TempFile::create_in(self.folder())?;
                file.as_file_mut().write_all(content)?;
                file.sync()?;
                Ok(file)
            };
            Content::File(stage().map_err(|e| self.unwritten(e))?)
        } else {
            Content::Through(content.to_vec())
        };
        Ok(Staged {
            output: self.clone(),
            content,
        })
    }

    /// Writes the whole content to the disk, and then gives it its name.
    ///
    /// # Errors
    /// [`ErrorKind::Output`].
    pub fn write(&self, content: &[u8]) -> Result<()> {
        commit(vec![self.stage(content)?])
    }

    /// The path as the caller gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path without links.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    fn folder(&self) -> &Path {
        self.target.parent().unwrap_or(Path::new("/"))
    }

    fn unwritten(&self, e: io::Error) -> Error {
        Error::new(ErrorKind::Output, self.path.display(), "cannot be written").with_source(e)
    }

    /// Writes to a path that is not a regular file.
    fn write_through(&self, content: &[u8]) -> io::Result<()> {
        let mut file = match &self.place {
            // Share the open file, so that all its writers keep their order.
            Place::Descriptor {
                number,
                is_ours: true,
            } if number == "1" => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Place::Descriptor {
                number,
                is_ours: true,
            } if number == "2" => File::from(io::stderr().as_fd().try_clone_to_owned()?),
            // Append, because a newly opened file would be overwritten from its beginning.
            Place::Descriptor { .. } => OpenOptions::new().append(true).open(&self.target)?,
            Place::File | Place::Special => {
                // A pipe without a reader is an error, because waiting for a reader could take forever.
                let no_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
                let file = OpenOptions::new()
                    .write(true)
                    .custom_flags(no_wait.bits().cast_signed())
                    .open(&self.target)?;
                fcntl_setfl(&file, OFlags::empty())?;
                file
            }
        };
        file.write_all(content)
    }
}

/// Gives all outputs of one run their names.
///
/// The folders are locked while the files are renamed, so outputs of several runs do not mix. If one output cannot take its
/// name, the others get their older files back. If a folder cannot be locked within five seconds, or its file system has no
/// such locks, the outputs are still written; then the outputs of two simultaneous runs may mix.
///
/// # Errors
/// [`ErrorKind::Output`]. All older files are in place then, unless the error says otherwise.
pub(crate) fn commit(outputs: Vec<Staged>) -> Result<()> {
    let mut files = Vec::new();
    for Staged { output, content } in outputs {
        match content {
            Content::File(file) => files.push((output, file)),
            Content::Through(bytes) => output
                .write_through(&bytes)
                .map_err(|e| output.unwritten(e))?,
        }
    }
    let _locks = match &*files {
        [] | [_] => Vec::new(),
        several => lock_folders(several.iter().map(|(output, _)| output.folder())),
    };
    let last = files.len().saturating_sub(1);
    let mut replaced: Vec<Replaced> = Vec::new();
    for (n, (output, file)) in files.into_iter().enumerate() {
        let renamed = if n < last {
            Replaced::by(&output, file).map(|one| replaced.push(one))
        } else {
            file.persist(&output.target)
        };
        if let Err(e) = renamed {
            let error = output.unwritten(e);
            let stuck: Vec<String> = replaced.iter().rev().filter_map(Replaced::undo).collect();
            return Err(if stuck.is_empty() {
                error
            } else {
                let message = format!(
                    "cannot be written, but this run has already replaced {}",
                    stuck.join(", ")
                );
                error.with_message(message)
            });
        }
    }
    Ok(())
}

/// An output that has its name, and its older file, in case another output cannot take its name.
struct Replaced {
    output: Output,
    /// A second name of the older file; `None` where there was no file.
    older: Option<TempFile>,
}

impl Replaced {
    fn by(output: &Output, file: TempFile) -> io::Result<Self> {
        let older = match fs::symlink_metadata(&output.target) {
            Ok(_) => Some(TempFile::link_of(&output.target)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        file.persist(&output.target)?;
        Ok(Self {
            output: output.clone(),
            older,
        })
    }

    /// Restores the older file. Returns the path if that fails.
    fn undo(&self) -> Option<String> {
        let undone = match &self.older {
            Some(older) => fs::rename(older.path(), &self.output.target),
            None => fs::remove_file(&self.output.target),
        };
        undone.err().map(|_| self.output.path.display().to_string())
    }
}

/// Locks folders, each once. All processes use the same order, so they cannot wait for each other in a circle.
fn lock_folders<'f>(folders: impl Iterator<Item = &'f Path>) -> Vec<File> {
    let opened = folders.filter_map(|folder| {
        let file = File::open(folder).ok()?;
        let metadata = file.metadata().ok()?;
        Some(((metadata.dev(), metadata.ino()), file))
    });
    let mut opened: Vec<_> = opened.collect();
    opened.sort_by_key(|(id, _)| *id);
    opened.dedup_by_key(|(id, _)| *id);
    let end = Instant::now() + LOCK_PATIENCE;
    let locked = opened.into_iter().map(|(_, folder)| {
        // NFS has no locks of folders, and another program may hold a lock for any time. Without the lock the renames work
        // as well, but two runs may mix.
        let lock = FlockOperation::NonBlockingLockExclusive;
        while flock(&folder, lock) == Err(Errno::WOULDBLOCK) && Instant::now() < end {
            std::thread::sleep(LOCK_POLL);
        }
        folder
    });
    locked.collect()
}

/// The path without links. Unlike `canonicalize`, it accepts a path that does not exist yet. A descriptor in /proc stays as
/// it is, because its link only shows a name.
pub(crate) fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(name) = path.file_name() else {
            return path.canonicalize();
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let Ok(folder) = folder.canonicalize() else {
            // The folder is missing or is a file: the caller reports that.
            return Ok(path);
        };
        let real = folder.join(name);
        if descriptors_of(&folder).is_some() {
            return Ok(real);
        }
        match fs::read_link(&real) {
            Ok(target) => path = folder.join(target),
            Err(_) => return Ok(real),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The process whose open files a folder lists: `/proc/PID/fd`, or `/proc/PID/task/TID/fd`.
fn descriptors_of(folder: &Path) -> Option<u32> {
    let rest = folder.strip_prefix("/proc").ok()?;
    let process = rest.iter().next()?.to_str()?.parse().ok()?;
    rest.ends_with("fd").then_some(process)
}

fn place_of(path: &Path) -> Place {
    if let Some(process) = path.parent().and_then(descriptors_of)
        && let Some(number) = path.file_name()
    {
        return Place::Descriptor {
            number: number.to_string_lossy().into_owned(),
            is_ours: process == std::process::id(),
        };
    }
    match fs::metadata(path) {
        Ok(m) if !m.is_file() && !m.is_dir() => Place::Special,
        _ => Place::File,
    }
}
