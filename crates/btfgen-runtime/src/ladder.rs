//! The rungs, from the BTF that was named to any that must be right.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use btfgen_archive::{Archive, KernelId};

use crate::btf_file::BtfFile;
use crate::distribution::{self, Directory};
use crate::error::{Error, ErrorKind, Result};
use crate::found::{Entry, Found, Origin};
use crate::host::{self, Host, Variable};
use crate::lookup::{ArchiveSource, Lookup};
use crate::os_release::OsRelease;
use crate::step::{Rung, Steps};

const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";
const BTF_VARIABLE: &str = "BTFGEN_BTF";
const OS_RELEASE_VARIABLE: &str = "BTFGEN_OS_RELEASE";
const REQUIRE_CUSTOM_VARIABLE: &str = "BTFGEN_REQUIRE_CUSTOM";

/// An archive in a file is read whole, so there must be an end. Thousands of kernels are a few megabytes.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

/// No release has entries of as many distributions; a hostile archive may, and all of them would be compared.
const MAX_COMPARED: usize = 100;

impl Lookup<'_> {
    /// Finds the BTF.
    ///
    /// # Errors
    /// Each has the steps that were tried. [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) or
    /// [`NoArchive`](crate::ErrorKind::NoArchive) where there is none for this kernel,
    /// [`Io`](crate::ErrorKind::Io) or [`InvalidBtf`](crate::ErrorKind::InvalidBtf) where a file that was named cannot be
    /// used, [`Archive`](crate::ErrorKind::Archive) where the archive is damaged, and
    /// [`NoPlace`](crate::ErrorKind::NoPlace) where the BTF was found but no path can be made for it.
    pub fn find(&self) -> Result<Found> {
        let mut steps = Steps::default();
        match climb(self, &mut steps) {
            Ok((origin, entry)) => Ok(Found {
                origin,
                entry,
                steps: steps.into_vec(),
            }),
            Err(e) => Err(e.with_steps(steps.into_vec())),
        }
    }
}

impl Lookup<'_> {
    /// The name under which a hub has this host's kernel: `ID/VERSION_ID` of os-release, and what uname says. It is the
    /// first that [`find`](Self::find) looks for in an archive.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where no os-release file says what distribution it is, and which
    /// version; [`Io`](crate::ErrorKind::Io) where a file that was named cannot be read. Each has the steps that were tried.
    pub fn kernel_id(&self) -> Result<KernelId> {
        let mut steps = Steps::default();
        named(self, &mut steps).map_err(|e| e.with_steps(steps.into_vec()))
    }
}

fn named(lookup: &Lookup<'_>, steps: &mut Steps) -> Result<KernelId> {
    let host = find_host(lookup, steps)?;
    let directories = host.os.as_ref().map(distribution::directories);
    directories
        .iter()
        .flatten()
        .find_map(|d| KernelId::new(&d.distro, &d.version, &host.machine, &host.release).ok())
        .ok_or_else(|| {
            let message = "no os-release file says what distribution this is, and which version";
            Error::new(ErrorKind::NotFound, message)
        })
}

/// Climbs until there is a BTF. Whatever was tried is in `steps`.
fn climb(lookup: &Lookup<'_>, steps: &mut Steps) -> Result<(Origin, Option<Entry>)> {
    if let Some(path) = &lookup.btf_file {
        return file(path, Rung::Explicit, &path.display().to_string(), steps);
    }
    if let Some(path) = named_by_environment(lookup, steps) {
        let subject = format!("{BTF_VARIABLE}={}", path.display());
        return file(&path, Rung::Environment, &subject, steps);
    }
    if has_kernel_btf(lookup, steps) {
        return Ok((Origin::Kernel, None));
    }
    let Some(source) = &lookup.archive else {
        return Err(no_archive());
    };
    let host = find_host(lookup, steps)?;
    let from_file;
    let archive = match source {
        ArchiveSource::Bytes(bytes) => Archive::from_bytes(bytes),
        ArchiveSource::File(path) => {
            from_file = read_archive(path, steps)?;
            Archive::from_bytes(&from_file)
        }
    };
    let archive = archive.map_err(|e| damaged(e, steps))?;
    let (kernel, bytes) = find_entry(&archive, &host, steps)?;
    if !is_btf(&bytes) {
        let message = format!("the archive's entry {kernel} is no BTF");
        return Err(Error::new(ErrorKind::InvalidBtf, message));
    }
    let file = BtfFile::new(&bytes).map_err(|e| {
        let message = "there is nowhere to put the BTF for libbpf to open it";
        Error::new(ErrorKind::NoPlace, message).with_source(e)
    })?;
    Ok((Origin::Archive(kernel), Some(Entry { bytes, file })))
}

const ELSEWHERE: &str = "not looked at, for another host is asked about";

fn named_by_environment(lookup: &Lookup<'_>, steps: &mut Steps) -> Option<PathBuf> {
    let why_not = match Variable::of(BTF_VARIABLE) {
        _ if lookup.is_elsewhere() => ELSEWHERE,
        Variable::Set(path) => return Some(path.into()),
        Variable::Unset => "not set",
        Variable::Distrusted => "not asked, for the program has more privileges than its caller",
    };
    steps.passed(Rung::Environment, BTF_VARIABLE, why_not);
    None
}

/// A file that someone named: it is right or an error, for falling back would hide a typing error.
fn file(
    path: &Path,
    rung: Rung,
    subject: &str,
    steps: &mut Steps,
) -> Result<(Origin, Option<Entry>)> {
    let failed = |kind, what: &str| Error::new(kind, format!("{}: {what}", path.display()));
    let start = first_bytes(path).map_err(|e| {
        steps.passed(rung, subject, host::describe_error(&e));
        failed(ErrorKind::Io, "the BTF cannot be read").with_source(e)
    })?;
    if is_btf(&start) || start.starts_with(b"\x7fELF") {
        steps.taken(rung, subject, "taken");
        return Ok((Origin::File(path.to_owned()), None));
    }
    steps.passed(rung, subject, "neither a BTF nor an ELF file");
    Err(failed(
        ErrorKind::InvalidBtf,
        "neither a BTF nor an ELF file with one",
    ))
}

/// The first four bytes, or fewer.
fn first_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    btfgen_files::open_regular(path)?
        .take(4)
        .read_to_end(&mut start)?;
    Ok(start)
}

/// Whether these bytes begin as a BTF does, of either byte order: `struct btf_header` of the kernel's btf.rst.
fn is_btf(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x9f, 0xeb, 1]) || bytes.starts_with(&[0xeb, 0x9f, 1])
}

fn has_kernel_btf(lookup: &Lookup<'_>, steps: &mut Steps) -> bool {
    let why_not = if lookup.is_elsewhere() {
        ELSEWHERE.to_owned()
    } else if lookup.require_custom {
        "passed over, for the program wants another one".to_owned()
    } else if matches!(Variable::of(REQUIRE_CUSTOM_VARIABLE), Variable::Set(_)) {
        format!("passed over, for {REQUIRE_CUSTOM_VARIABLE} is set")
    } else {
        match File::open(KERNEL_BTF) {
            Ok(_) => {
                steps.taken(Rung::Kernel, KERNEL_BTF, "the kernel has its own BTF");
                return true;
            }
            Err(e) => host::describe_error(&e),
        }
    };
    steps.passed(Rung::Kernel, KERNEL_BTF, why_not);
    false
}

fn no_archive() -> Error {
    let message = "there is no BTF for this kernel, and no archive to look in";
    Error::new(ErrorKind::NoArchive, message)
}

fn find_host(lookup: &Lookup<'_>, steps: &mut Steps) -> Result<Host> {
    let (release, machine) = host::uname();
    let host = Host {
        release: lookup.release.clone().unwrap_or(release),
        machine: lookup.arch.clone().unwrap_or(machine),
        os: named_os_release(lookup, steps)?.or_else(|| host::find_os_release(steps)),
    };
    steps.passed(
        Rung::Host,
        "kernel",
        format_args!("{} {}", host.machine, host.release),
    );
    Ok(host)
}

/// The os-release file that the program or the environment names.
fn named_os_release(lookup: &Lookup<'_>, steps: &mut Steps) -> Result<Option<OsRelease>> {
    let (path, subject) = if let Some(path) = &lookup.os_release {
        (path.clone(), path.display().to_string())
    } else if let Some(path) = Variable::of(OS_RELEASE_VARIABLE).value() {
        let path = PathBuf::from(path);
        let subject = format!("{OS_RELEASE_VARIABLE}={}", path.display());
        (path, subject)
    } else {
        return Ok(None);
    };
    let os = OsRelease::read(&path).map_err(|e| {
        steps.passed(Rung::Host, subject.as_str(), host::describe_error(&e));
        let message = format!("{}: the os-release file cannot be read", path.display());
        Error::new(ErrorKind::Io, message).with_source(e)
    })?;
    steps.passed(Rung::Host, subject, host::describe(&os));
    Ok(Some(os))
}

fn read_archive(path: &Path, steps: &mut Steps) -> Result<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        btfgen_files::open_regular(path)?
            .take(MAX_ARCHIVE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_ARCHIVE_BYTES {
            let message = format!("larger than {} MiB", MAX_ARCHIVE_BYTES >> 20);
            return Err(io::Error::other(message));
        }
        Ok(bytes)
    };
    read().map_err(|e| {
        steps.passed(Rung::Exact, path.display(), host::describe_error(&e));
        let message = format!("{}: the archive cannot be read", path.display());
        Error::new(ErrorKind::Archive, message).with_source(e)
    })
}

fn damaged(error: btfgen_archive::Error, steps: &mut Steps) -> Error {
    steps.passed(Rung::Exact, "archive", &error);
    Error::new(ErrorKind::Archive, "the archive of BTFs cannot be read").with_source(error)
}

/// The archive's entry for a host.
fn find_entry(
    archive: &Archive<'_>,
    host: &Host,
    steps: &mut Steps,
) -> Result<(KernelId, Vec<u8>)> {
    let spellings = distribution::arch_spellings(&host.machine);
    let mut here = Vec::new();
    for arch in &spellings {
        let found = archive.find(&host.release, arch);
        here.extend(found.map_err(|e| damaged(e, steps))?);
    }
    let directories = host.os.as_ref().map(distribution::directories);
    for directory in directories.iter().flatten() {
        let Some(kernel) = directory.first_of(&here) else {
            let subject = directory.entry(&spellings, &host.release);
            let outcome = format_args!("not in the archive ({})", directory.reason);
            steps.passed(directory.rung(&spellings, None), subject, outcome);
            continue;
        };
        let bytes = read_entry(archive, kernel, steps)?;
        let rung = directory.rung(&spellings, Some(kernel));
        steps.taken(
            rung,
            kernel,
            format_args!("taken ({}), {} bytes", directory.reason, bytes.len()),
        );
        return Ok((kernel.clone(), bytes));
    }
    any_distribution(archive, host, &here, steps)
}

impl Directory {
    /// The kernel in this directory.
    fn first_of<'k>(&self, kernels: &'k [KernelId]) -> Option<&'k KernelId> {
        kernels
            .iter()
            .find(|k| k.distro() == self.distro && k.version() == self.version)
    }

    /// What was looked for, with all spellings of the architecture.
    fn entry(&self, spellings: &[&str], release: &str) -> String {
        let Self {
            distro, version, ..
        } = self;
        format!("{distro}/{version}/{}/{release}", spellings.join("|"))
    }

    /// Only what os-release and uname say literally is exact.
    fn rung(&self, spellings: &[&str], kernel: Option<&KernelId>) -> Rung {
        let literal = kernel.is_none_or(|k| spellings.first() == Some(&k.arch()));
        if self.exact && literal {
            Rung::Exact
        } else {
            Rung::Normalized
        }
    }
}

fn any_distribution(
    archive: &Archive<'_>,
    host: &Host,
    here: &[KernelId],
    steps: &mut Steps,
) -> Result<(KernelId, Vec<u8>)> {
    let Host {
        release, machine, ..
    } = host;
    let subject = format!("any distribution's {machine} {release}");
    let missing = |message: String| Error::new(ErrorKind::NotFound, message);
    let Some((first, others)) = here.split_first() else {
        let all = archive.kernels().map_err(|e| damaged(e, steps))?.len();
        steps.passed(
            Rung::AnyDistribution,
            subject,
            format_args!("none among the archive's {all} kernels"),
        );
        return Err(missing(format!(
            "the archive holds no BTF for the kernel {machine} {release}"
        )));
    };
    let bytes = read_entry(archive, first, steps)?;
    if others.len() < MAX_COMPARED && all_equal(archive, &bytes, others, steps)? {
        let outcome = format_args!(
            "{first} taken ({} with this content), {} bytes",
            here.len(),
            bytes.len()
        );
        steps.taken(Rung::AnyDistribution, subject, outcome);
        return Ok((first.clone(), bytes));
    }
    let names: Vec<String> = here
        .iter()
        .take(MAX_COMPARED)
        .map(ToString::to_string)
        .collect();
    steps.passed(
        Rung::AnyDistribution,
        subject,
        format_args!("{} that differ: {}", here.len(), names.join(", ")),
    );
    Err(missing(format!(
        "which of the archive's different BTFs is for the kernel {machine} {release} cannot be told"
    )))
}

fn all_equal(
    archive: &Archive<'_>,
    bytes: &[u8],
    kernels: &[KernelId],
    steps: &mut Steps,
) -> Result<bool> {
    for kernel in kernels {
        if read_entry(archive, kernel, steps)? != bytes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_entry(archive: &Archive<'_>, kernel: &KernelId, steps: &mut Steps) -> Result<Vec<u8>> {
    match archive.get(kernel) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            let message = format!("the archive lists {kernel}, but does not hold it");
            Err(Error::new(ErrorKind::Archive, message))
        }
        Err(e) => Err(damaged(e, steps)),
    }
}
