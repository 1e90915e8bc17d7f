//! BTF from a kernel's debug information (DWARF), by the tool that the kernel's own build uses.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use tempfile::{NamedTempFile, TempDir};

use crate::btf;
use crate::content::{Content, no_room};
use crate::error::{ErrorKind, Result};
use crate::place::Place;
use crate::reader::Reader;
use crate::vmlinux::Vmlinux;

/// The first version with `--btf_encode_detached` (dwarves' changes-v1.22).
const OLDEST: Version = Version(1, 22);

const INSTALL_HELP: &str =
    "install pahole 1.22 or later (package dwarves on Debian, Ubuntu and Fedora, pahole on others)";

const NEWER_HELP: &str = "see whether a newer pahole can read this kernel's debug information";

/// How much of pahole's messages is looked at: it may complain of every type.
const MESSAGE_BYTES: u64 = 4 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// Makes the BTF of a vmlinux. One thread: with more, the order of the types differs from run to run.
pub(crate) fn make_btf(reader: &Reader, content: &Content, place: Place) -> Result<Vmlinux> {
    let pahole = Pahole::find(reader, &place)?;
    let temp_dir = reader.unpack_dir();
    let folder = TempDir::new_in(&temp_dir).map_err(|e| no_room(&temp_dir, e))?;
    let out = folder.path().join("btf");
    let copy;
    let vmlinux = match content.path() {
        // Never an option, whatever its name.
        Some(path) => Path::new(".").join(path),
        None => {
            copy = named_copy(content, folder.path()).map_err(|e| no_room(&temp_dir, e))?;
            copy.path().to_owned()
        }
    };
    pahole.encode(&vmlinux, &out, &place)?;

    let made_nothing = |e| {
        place
            .error(
                ErrorKind::Pahole,
                "pahole made no BTF of the debug information",
            )
            .with_help(NEWER_HELP)
            .with_source(e)
    };
    let file = File::open(&out).map_err(made_nothing)?;
    let len = file.metadata().map_err(made_nothing)?.len();
    let btf = reader.take_btf(file, 0..len, &place)?;
    // Debug information that dwz compressed is beyond older versions: they leave most types out, and do not mind.
    if !btf::survey(&btf).is_ok_and(|survey| survey.defines_task_struct) {
        let message = format!(
            "pahole {} makes a BTF of it that is not a kernel's: it has no task_struct",
            pahole.version
        );
        return Err(place
            .error(ErrorKind::Pahole, message)
            .with_help(NEWER_HELP));
    }
    let step = format!("made by pahole {} from debug information", pahole.version);
    Ok(place.found(btf, &step))
}

struct Pahole {
    program: PathBuf,
    version: String,
}

impl Pahole {
    fn find(reader: &Reader, place: &Place) -> Result<Self> {
        let program = reader.pahole.clone().unwrap_or_else(|| "pahole".into());
        let unusable = |message: String| {
            place
                .error(ErrorKind::Pahole, message)
                .with_help(INSTALL_HELP)
        };
        let needed = "the kernel has debug information but no BTF, which pahole can make";
        let output = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| {
                match e.kind() {
                    io::ErrorKind::NotFound => {
                        unusable(format!("{needed}; {} was not found", program.display()))
                    }
                    _ => unusable(format!("{needed}; {} cannot be run", program.display())),
                }
                .with_source(e)
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().trim_start_matches('v').to_owned();
        match parse_version(&version) {
            Some(found) if found >= OLDEST => Ok(Self { program, version }),
            Some(found) => Err(unusable(format!(
                "{needed}; {} is version {}.{}, and 1.22 is needed",
                program.display(),
                found.0,
                found.1
            ))),
            None => Err(unusable(format!(
                "{needed}; {} does not tell its version",
                program.display()
            ))),
        }
    }

    fn encode(&self, vmlinux: &Path, out: &Path, place: &Place) -> Result<()> {
        let failed = |message: String| {
            place
                .error(ErrorKind::Pahole, message)
                .with_help(NEWER_HELP)
        };
        let mut messages =
            tempfile::tempfile_in(out.parent().unwrap_or(out)).map_err(|e| no_room(out, e))?;
        let status = messages.try_clone().and_then(|stderr| {
            Command::new(&self.program)
                .args(["-J", "--btf_gen_floats"])
                .arg(joined("--btf_encode_detached=", out))
                .arg(vmlinux)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(stderr)
                .status()
        });
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(match last_line(&mut messages) {
                Some(line) => format!("pahole {} failed: {line}", self.version),
                None => format!("pahole {} failed: {}", self.version, ending(status)),
            })),
            Err(e) => Err(failed("pahole cannot be run".to_owned()).with_source(e)),
        }
    }
}

fn joined(option: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(option);
    argument.push(path);
    argument
}

fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "ended by a signal".to_owned(),
    }
}

/// `1.24`, `1.29.1`
fn parse_version(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(|part| {
        let digits = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part[..digits].parse().ok()
    });
    Some(Version(numbers.next()??, numbers.next()??))
}

/// The last thing that was said, without what a terminal would take for commands.
fn last_line(messages: &mut File) -> Option<String> {
    let len = messages.seek(SeekFrom::End(0)).ok()?;
    messages
        .seek(SeekFrom::Start(len.saturating_sub(MESSAGE_BYTES)))
        .ok()?;
    let mut tail = Vec::new();
    messages.take(MESSAGE_BYTES).read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
}

/// pahole opens a file by its name, so what was unpacked needs one. It goes with its folder.
fn named_copy(content: &Content, folder: &Path) -> io::Result<NamedTempFile> {
    let mut copy = NamedTempFile::new_in(folder)?;
    content.file().rewind()?;
    io::copy(&mut content.file(), copy.as_file_mut())?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the versions that pahole has told so far are understood and ordered.
    #[test]
    fn versions() {
        for (text, expected) in [
            ("1.24", Some(Version(1, 24))),
            ("1.9", Some(Version(1, 9))),
            ("1.29.1", Some(Version(1, 29))),
            ("1.30-rc2", Some(Version(1, 30))),
            ("2.0", Some(Version(2, 0))),
            ("", None),
            ("pahole", None),
        ] {
            assert_eq!(parse_version(text), expected, "{text}");
        }
        assert!(Version(1, 9) < OLDEST && OLDEST < Version(2, 0));
    }
}
