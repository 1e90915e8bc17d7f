//! Runs pahole to make BTF from a kernel's debug information (DWARF), as the kernel's own build does.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use btfgen_files::TempFolder;

use crate::btf;
use crate::budget::Options;
use crate::content::{Content, no_room};
use crate::error::{ErrorKind, Result};
use crate::place::Place;
use crate::vmlinux::Vmlinux;

/// The first version with `--btf_encode_detached` (dwarves' changes-v1.22).
const OLDEST: Version = Version(1, 22);

const INSTALL_HELP: &str =
    "install pahole 1.22 or later (package dwarves on Debian, Ubuntu and Fedora, pahole on others)";

/// How much of pahole's messages to read: pahole may complain about every type.
const MESSAGE_BYTES: u64 = 4 << 10;

/// How long pahole may take to print its version on a busy machine.
const VERSION_TIME: Duration = Duration::from_secs(30);

/// How often to check a running pahole.
const POLL: Duration = Duration::from_millis(10);

const COPY_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// Makes the BTF of a vmlinux. pahole uses one thread, because with more threads the order of the types differs between runs.
pub(crate) fn make_btf(content: &Content, place: Place) -> Result<Vmlinux> {
    let pahole = Pahole::find(&place)?;
    let temp_dir = &place.budget.options().temp_dir;
    let folder = TempFolder::create_in(temp_dir).map_err(|e| no_room(temp_dir, e))?;
    let out = folder.path().join("btf");
    let vmlinux = match content.path() {
        // So that pahole never takes the name for an option.
        Some(path) => Path::new(".").join(path),
        None => {
            let copy = folder.path().join("vmlinux");
            write_copy(content, &copy).map_err(|e| {
                if place.budget.is_cancelled() {
                    place.cancelled()
                } else {
                    no_room(temp_dir, e)
                }
            })?;
            copy
        }
    };
    pahole.encode(&vmlinux, &out, None, &place)?;

    let made_nothing = |e| {
        place
            .error(
                ErrorKind::Pahole,
                "pahole made no BTF from the debug information",
            )
            .with_source(e)
    };
    let file = File::open(&out).map_err(made_nothing)?;
    let len = file.metadata().map_err(made_nothing)?.len();
    let btf = btf::read(file, len, &place)?;
    // Older versions cannot read debug information that dwz compressed: they leave out most types without an error.
    if !btf::is_kernels(&btf) {
        let message = format!(
            "pahole {} made a BTF without task_struct, so it is not a kernel's",
            pahole.version
        );
        return Err(place.error(ErrorKind::Pahole, message));
    }
    let step = format!("made by pahole {} from debug information", pahole.version);
    Ok(place.found(btf, &step))
}

pub(crate) struct Pahole<'p> {
    program: &'p Path,
    version: String,
}

impl<'p> Pahole<'p> {
    pub(crate) fn find(place: &'p Place) -> Result<Self> {
        let Options {
            pahole: program,
            temp_dir,
            ..
        } = place.budget.options();
        let unusable = |why: &str| {
            let message = format!(
                "the kernel has debug information but no BTF, which pahole can make; {} {why}",
                program.display()
            );
            place
                .error(ErrorKind::Pahole, message)
                .with_help(INSTALL_HELP)
        };
        // A process that pahole starts could keep a pipe open.
        let mut answer = tempfile::tempfile_in(temp_dir).map_err(|e| no_room(temp_dir, e))?;
        let stdout = answer.try_clone().map_err(|e| no_room(temp_dir, e))?;
        let mut command = Command::new(program);
        command
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::null());
        let ended = run(&mut command, place, Some(VERSION_TIME)).map_err(|e| {
            let is_missing = e.kind() == io::ErrorKind::NotFound;
            unusable(if is_missing {
                "was not found"
            } else {
                "cannot be run"
            })
            .with_source(e)
        })?;
        if ended.is_none() {
            if place.budget.is_cancelled() {
                return Err(place.cancelled());
            }
            let seconds = VERSION_TIME.as_secs();
            return Err(unusable(&format!(
                "did not print its version within {seconds} seconds"
            )));
        }
        let mut text = Vec::new();
        answer
            .rewind()
            .and_then(|()| answer.take(MESSAGE_BYTES).read_to_end(&mut text))
            .map_err(|e| place.unreadable(e))?;
        let text = String::from_utf8_lossy(&text);
        let version = text.trim().trim_start_matches('v').to_owned();
        match parse_version(&version) {
            Some(found) if found >= OLDEST => Ok(Self { program, version }),
            Some(Version(major, minor)) => Err(unusable(&format!(
                "has version {major}.{minor}, but 1.22 or later is needed"
            ))),
            None => Err(unusable("did not print its version")),
        }
    }

    /// Makes the BTF of a kernel, or of a module, which continues that of its kernel.
    pub(crate) fn encode(
        &self,
        file: &Path,
        out: &Path,
        base: Option<&Path>,
        place: &Place,
    ) -> Result<()> {
        let failed = |message: String| place.error(ErrorKind::Pahole, message);
        let mut messages =
            tempfile::tempfile_in(out.parent().unwrap_or(out)).map_err(|e| no_room(out, e))?;
        let status = messages.try_clone().and_then(|stderr| {
            let mut command = Command::new(self.program);
            command
                .args(["-J", "--btf_gen_floats"])
                .arg(joined("--btf_encode_detached=", out))
                .args(base.map(|base| joined("--btf_base=", base)))
                .arg(file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(stderr);
            run(&mut command, place, None)
        });
        match status {
            Ok(None) => Err(place.cancelled()),
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(failed(match last_line(&mut messages) {
                Some(line) => format!("pahole {} failed: {line}", self.version),
                None => format!("pahole {} failed: {}", self.version, ending(status)),
            })),
            Err(e) => Err(failed("pahole cannot be run".to_owned()).with_source(e)),
        }
    }
}

/// Runs a command. Returns `None` if it ended the command because of the caller's flag or the time limit.
///
/// # Errors
/// If it cannot be started.
fn run(
    command: &mut Command,
    place: &Place,
    limit: Option<Duration>,
) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    let mut running = Running(command.spawn().map_err(without_processes)?);
    loop {
        let ended = running.0.try_wait()?;
        // First: the signal that made the caller cancel may have ended the command too.
        if place.budget.is_cancelled() {
            return Ok(None);
        }
        if ended.is_some() {
            return Ok(ended);
        }
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// fork(2) returns EAGAIN if there are too many processes. This is a failure of the machine; for a file EAGAIN is not.
fn without_processes(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::OutOfMemory, error),
        _ => error,
    }
}

/// A process that does not outlive this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the process has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
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

/// The last message, without control characters.
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

/// Copies an unpacked file to a file with a name, because pahole opens files by name.
fn write_copy(content: &Content, to: &Path) -> io::Result<()> {
    let mut copy = BufWriter::with_capacity(COPY_BYTES, File::create_new(to)?);
    io::copy(&mut content.all(), &mut copy)?;
    copy.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::budget::Budget;

    fn place(cancel: Option<Arc<AtomicBool>>) -> Place {
        let budget = Budget::new(Options {
            cancel,
            ..Options::default()
        });
        Place::of(Path::new("vmlinux"), budget)
    }

    /// Check that a command is ended if it takes too long or is cancelled, and otherwise ends by itself.
    #[test]
    fn commands_are_ended() {
        let sleep = |time: &str| {
            let mut command = Command::new("sleep");
            command.arg(time);
            command
        };
        let limit = Some(Duration::from_millis(50));
        assert!(
            run(&mut sleep("1000"), &place(None), limit)
                .unwrap()
                .is_none()
        );
        let cancelled = place(Some(Arc::new(AtomicBool::new(true))));
        assert!(run(&mut sleep("1000"), &cancelled, None).unwrap().is_none());
        let status = run(&mut sleep("0"), &place(None), None).unwrap();
        assert!(status.unwrap().success());
    }

    /// Check that too many processes are a failure of the machine, and a missing program is not.
    #[test]
    fn what_cannot_be_started() {
        const EAGAIN: i32 = 11;
        let too_many = without_processes(io::Error::from_raw_os_error(EAGAIN));
        assert!(btfgen_files::is_machine_fault(&too_many));
        let missing = run(&mut Command::new("/nonexistent/pahole"), &place(None), None);
        assert!(!btfgen_files::is_machine_fault(&missing.unwrap_err()));
    }

    /// Check that the known formats of pahole's version are parsed.
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
