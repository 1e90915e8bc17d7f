//! The rungs of a lookup, from the BTF that was named to any unambiguous entry of the archive.

use std::path::{Path, PathBuf};

use btfgen_archive::{Archive, KernelId};

use crate::archive::{damaged, open_archive};
use crate::build_id::{Build, Builds};
use crate::distribution::{self, Directory};
use crate::environment::{Environment, Variable};
use crate::error::{Error, ErrorKind, Result};
use crate::facts;
use crate::found::{Content, Entry, Found, Origin};
use crate::host::{self, Host};
use crate::inspect::inspect;
use crate::lookup::{ELSEWHERE, Lookup};
use crate::machine::{self, Machine};
use crate::os_release::OsRelease;
use crate::own;
use crate::source::Source;
use crate::step::{Rung, Steps};

const BTF_VARIABLE: &str = "BTFGEN_BTF";
const OS_RELEASE_VARIABLE: &str = "BTFGEN_OS_RELEASE";

/// The largest number of entries to compare. A real archive has fewer distributions with the same release; a hostile archive
/// may have more.
const MAX_COMPARED: usize = 100;

impl Lookup<'_> {
    /// Finds the BTF.
    ///
    /// # Errors
    /// Every error has the steps that were tried.
    ///
    /// - [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) or [`NoArchive`](crate::ErrorKind::NoArchive): there is no BTF for
    ///   this kernel.
    /// - [`Io`](crate::ErrorKind::Io): a named file cannot be read, or the machine failed to read the kernel's own BTF.
    /// - [`InvalidBtf`](crate::ErrorKind::InvalidBtf): a named file or an archive's entry is not usable BTF.
    /// - [`Archive`](crate::ErrorKind::Archive): the archive is damaged. With [`Lookup::facts`] it is read in any case.
    pub fn find(&self) -> Result<Found> {
        let mut steps = Steps::default();
        let environment = self.decide_environment();
        let mut find = || -> Result<_> {
            let (origin, content) = climb(self, environment, &mut steps)?;
            let facts = facts::read(self, &origin, &mut steps)?;
            Ok((origin, content, facts))
        };
        match find() {
            Ok((origin, content, facts)) => Ok(Found {
                origin,
                content,
                kernel_btf: own::may_be_used(self, environment),
                facts,
                steps: steps.into_vec(),
            }),
            Err(e) => Err(e.with_steps(steps.into_vec())),
        }
    }
}

impl Lookup<'_> {
    /// Decides whether the lookup reads the environment. All steps of a lookup use the same decision.
    fn decide_environment(&self) -> Environment {
        Environment::decide(!self.forbids_environment)
    }

    /// The name of this host's kernel in a hub: `ID/VERSION_ID` of os-release, then machine and release of uname. It is the
    /// first entry that [`find`](Self::find) looks for in an archive.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if no os-release file names the distribution and its version;
    /// [`Io`](crate::ErrorKind::Io) if a named file cannot be read. Every error has the steps that were tried.
    pub fn kernel_id(&self) -> Result<KernelId> {
        let mut steps = Steps::default();
        named(self, self.decide_environment(), &mut steps)
            .map_err(|e| e.with_steps(steps.into_vec()))
    }
}

fn named(lookup: &Lookup<'_>, environment: Environment, steps: &mut Steps) -> Result<KernelId> {
    let host = find_host(lookup, environment, steps)?;
    let directories = host.os.as_ref().map(distribution::directories);
    directories
        .iter()
        .flatten()
        .find_map(|d| KernelId::new(&d.distro, &d.version, &host.machine, &host.release).ok())
        .ok_or_else(|| {
            let message = "no os-release file names the distribution and its version";
            Error::new(ErrorKind::NotFound, message)
        })
}

/// Climbs until it finds a BTF. Adds every step to `steps`.
fn climb(
    lookup: &Lookup<'_>,
    environment: Environment,
    steps: &mut Steps,
) -> Result<(Origin, Content)> {
    if let Some(path) = &lookup.btf_file {
        return file(path, Rung::Explicit, &path.display().to_string(), steps);
    }
    if let Some(path) = named_by_environment(lookup, environment, steps) {
        let subject = format!("{BTF_VARIABLE}={}", path.display());
        return file(&path, Rung::Environment, &subject, steps);
    }
    own::find(lookup, environment, steps).or_else(|not_taken| {
        from_archive(lookup, environment, steps).or_else(|e| not_taken.instead_of(e, steps))
    })
}

fn from_archive(
    lookup: &Lookup<'_>,
    environment: Environment,
    steps: &mut Steps,
) -> Result<(Origin, Content)> {
    let Some(source) = &lookup.archive else {
        return Err(no_archive());
    };
    let host = find_host(lookup, environment, steps)?;
    let mut from_file = Vec::new();
    let archive = open_archive(source, &mut from_file, steps)?;
    let (kernel, bytes) = find_entry(lookup, &archive, &host, steps)?;
    inspect(&bytes).map_err(|e| {
        Error::new(
            ErrorKind::InvalidBtf,
            format!("the archive's entry {kernel} {e}"),
        )
    })?;
    let entry = Entry::new(bytes, environment);
    Ok((Origin::Archive(kernel), Content::Entry(entry)))
}

fn named_by_environment(
    lookup: &Lookup<'_>,
    environment: Environment,
    steps: &mut Steps,
) -> Option<PathBuf> {
    let why_not = match environment.variable(BTF_VARIABLE) {
        Variable::NotAsked(why) => why,
        _ if lookup.is_elsewhere() => ELSEWHERE,
        Variable::Set(path) => return Some(path.into()),
        Variable::Unset => "not set",
    };
    steps.passed(Rung::Environment, BTF_VARIABLE, why_not);
    None
}

/// Uses a named file. A problem is an error, because a fallback would hide a typing error.
fn file(path: &Path, rung: Rung, subject: &str, steps: &mut Steps) -> Result<(Origin, Content)> {
    let inspected = Source::open(path).and_then(|source| inspect(&source));
    inspected.map_err(|e| {
        steps.passed(rung, subject, &e);
        e.of_file(path)
    })?;
    steps.taken(rung, subject, "taken");
    let path = path.to_owned();
    Ok((Origin::File(path.clone()), Content::File(path)))
}

fn no_archive() -> Error {
    let message = "there is no BTF for this kernel, and no archive was given";
    Error::new(ErrorKind::NoArchive, message)
}

fn find_host(lookup: &Lookup<'_>, environment: Environment, steps: &mut Steps) -> Result<Host> {
    let (release, machine) = host::uname();
    let host = Host {
        release: lookup.release.clone().unwrap_or(release),
        machine: match &lookup.arch {
            Some(arch) => arch.clone(),
            None => machine_of(machine, steps)?,
        },
        os: named_os_release(lookup, environment, steps)?.or_else(|| host::find_os_release(steps)),
    };
    steps.passed(
        Rung::Host,
        "kernel",
        format_args!("{} {}", host.machine, host.release),
    );
    Ok(host)
}

/// The machine of the running kernel, which uname(2) calls `told`.
fn machine_of(told: String, steps: &mut Steps) -> Result<String> {
    match machine::machine(&told, steps) {
        Machine::AsTold => Ok(told),
        Machine::Other(real) => Ok(real.to_owned()),
        Machine::Unknown(real) => {
            let message = format!(
                "uname says {told}, as {real} kernels do to programs of 32 bits, and /proc does not tell which kernel this is"
            );
            Err(Error::new(ErrorKind::NotFound, message))
        }
    }
}

/// The os-release file that the program or the environment names.
fn named_os_release(
    lookup: &Lookup<'_>,
    environment: Environment,
    steps: &mut Steps,
) -> Result<Option<OsRelease>> {
    let (path, subject) = if let Some(path) = &lookup.os_release {
        (path.clone(), path.display().to_string())
    } else if let Some(path) = environment.value(OS_RELEASE_VARIABLE, Rung::Host, steps) {
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

/// Finds the archive's entry for a host.
fn find_entry(
    lookup: &Lookup<'_>,
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
    let directories = directories.unwrap_or_default();
    let (builds, compared) =
        Builds::compare(lookup, archive, &here, steps).map_err(|e| damaged(e, steps))?;
    let is_equal = |n: &usize| compared[*n] == Build::Equal;
    let mut by_name = directories.iter().flat_map(|d| d.all_of(&here));
    let equal = by_name.find(is_equal).or((0..here.len()).find(is_equal));
    if let Some(n) = equal {
        return take(archive, &here[n], Rung::BuildId, "equal build id", steps);
    }
    for directory in &directories {
        let Some(n) = directory.all_of(&here).next() else {
            let subject = directory.entry(&spellings, &host.release);
            let outcome = format_args!("not in the archive ({})", directory.reason);
            steps.passed(directory.rung(&spellings, None), subject, outcome);
            continue;
        };
        let rung = directory.rung(&spellings, Some(&here[n]));
        if compared[n] == Build::Other {
            return Err(builds.refused(&here[n], rung, steps));
        }
        return take(archive, &here[n], rung, &directory.reason, steps);
    }
    if let Some(n) = compared.iter().position(|build| *build == Build::Other) {
        return Err(builds.refused(&here[n], Rung::AnyDistribution, steps));
    }
    any_distribution(archive, host, &here, steps)
}

fn take(
    archive: &Archive<'_>,
    kernel: &KernelId,
    rung: Rung,
    reason: &str,
    steps: &mut Steps,
) -> Result<(KernelId, Vec<u8>)> {
    let bytes = read_entry(archive, kernel, steps)?;
    let outcome = format_args!("taken ({reason}), {} bytes", bytes.len());
    steps.taken(rung, kernel, outcome);
    Ok((kernel.clone(), bytes))
}

impl Directory {
    /// The indexes of the kernels in this directory.
    fn all_of<'k>(&'k self, kernels: &'k [KernelId]) -> impl Iterator<Item = usize> + 'k {
        let is_here = |k: &KernelId| k.distro() == self.distro && k.version() == self.version;
        (0..kernels.len()).filter(move |n| is_here(&kernels[*n]))
    }

    /// The entry that was looked for, with the first two spellings of the architecture: more do not fit into a line.
    fn entry(&self, spellings: &[&str], release: &str) -> String {
        let Self {
            distro, version, ..
        } = self;
        let arch = spellings[..spellings.len().min(2)].join("|");
        format!("{distro}/{version}/{arch}/{release}")
    }

    /// The rung is exact only if all parts are literally from os-release and uname.
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
            format_args!("none of the archive's {all} kernels"),
        );
        return Err(missing(format!(
            "the archive has no BTF for the kernel {machine} {release}"
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
        format_args!(
            "ambiguous, {} entries differ: {}",
            here.len(),
            names.join(", ")
        ),
    );
    Err(missing(format!(
        "the archive has several different BTFs for the kernel {machine} {release}"
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
            let message = format!("the archive lists {kernel}, but does not contain it");
            Err(Error::new(ErrorKind::Archive, message))
        }
        Err(e) => Err(damaged(e, steps)),
    }
}
