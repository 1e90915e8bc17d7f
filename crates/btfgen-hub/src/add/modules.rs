//! The modules that [`Add`](crate::Add) puts beside their kernel.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;
use btfgen_btf::Btf;
use btfgen_chunk::Digest;
use btfgen_files::TempFile;
use btfgen_vmlinux::{Contents, ModuleBtf};
use serde::Serialize;

use super::unreadable;
use crate::error::{Error, ErrorKind, Result};
use crate::modules::{self, MODULES_ENDING, Module, check_module, is_module_name, write_modules};
use crate::seen::look;

/// The help for a module that does not fit its kernel.
pub(super) const BUILD_HELP: &str =
    "name the modules' package of the same version as the kernel's package";

/// The name of a module for types that somebody has merged into a kernel's BTF. The names of their modules are lost.
const MERGED: &str = "merged";

/// From so many modules on that do not fit their kernel, one error tells of all.
const MANY_MISFITS: usize = 8;

/// What was done with the modules of a kernel.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct AddedModules {
    /// Their file in the hub; `None` if the hub has none.
    pub path: Option<PathBuf>,
    /// What was done; `None` if no modules were given and none were removed.
    pub change: Option<ModulesChange>,
    /// The number of modules that the hub has of the kernel now.
    pub count: usize,
    /// The number of given modules without BTF of their own.
    pub without_btf: usize,
    /// The modules that were given and are not in the hub, with the reasons.
    #[serde(skip)]
    pub left_out: Vec<Error>,
}

/// How the modules of a kernel changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModulesChange {
    /// The hub had none of this kernel.
    New,
    /// The hub already had these modules with the same BTFs.
    Unchanged,
    /// Modules came to those of the hub, or replaced some of them.
    Changed,
    /// The hub's modules were those of another BTF of the kernel.
    Replaced,
    /// The hub's modules were those of another BTF of the kernel, and none were given.
    Removed,
}

/// Modules from a file, which continue the BTF of their kernel.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) modules: Vec<ModuleBtf>,
    pub(super) without_btf: usize,
    pub(super) left_out: Vec<Error>,
}

impl Given {
    /// Takes the modules of a file's content.
    pub(super) fn take(contents: &mut Contents) -> Self {
        Self {
            modules: std::mem::take(&mut contents.modules),
            without_btf: contents.without_btf,
            left_out: contents.left_out.drain(..).map(unreadable).collect(),
        }
    }

    /// Adds the modules of another file.
    pub(super) fn append(&mut self, other: Self) {
        self.modules.extend(other.modules);
        self.without_btf += other.without_btf;
        self.left_out.extend(other.left_out);
    }

    /// Adds types that somebody has merged into a kernel's BTF, as one module.
    pub(super) fn add_merged(&mut self, path: &Path, btf: Vec<u8>) {
        self.modules.push(ModuleBtf {
            name: MERGED.to_owned(),
            release: None,
            btf,
            subject: path.display().to_string(),
        });
    }

    /// The release that the modules say. `None` if none says one.
    pub(super) fn release(&self) -> Option<&str> {
        self.modules
            .iter()
            .find_map(|module| module.release.as_deref())
    }

    /// How many of the modules continue this BTF.
    pub(super) fn fitting(&self, base: &Btf<'_>) -> usize {
        let fits = |module: &&ModuleBtf| check_module(&module.btf, base).is_ok();
        self.modules.iter().filter(fits).count()
    }

    /// The modules that continue the kernel's BTF, by name. The others go to `left_out`.
    fn checked(&mut self, kernel: &KernelId, base: &Btf<'_>) -> BTreeMap<String, Vec<u8>> {
        let mut checked = BTreeMap::new();
        let mut misfits: Vec<Error> = Vec::new();
        for module in std::mem::take(&mut self.modules) {
            let refused = |kind, message: String| {
                Error::new(kind, &module.subject, message).with_kernel(kernel)
            };
            if !is_module_name(&module.name) {
                let message = format!("{:?} cannot be the name of a module in a hub", module.name);
                self.left_out.push(refused(ErrorKind::InvalidName, message));
            } else if let Err(e) = check_module(&module.btf, base) {
                let message = format!(
                    "its BTF does not continue that of {kernel}: it is of another build of the kernel, or damaged"
                );
                let error = refused(ErrorKind::InvalidKernel, message).with_help(BUILD_HELP);
                misfits.push(error.with_source(e));
            } else if let Some(first) = checked.get(&module.name) {
                if *first != module.btf {
                    let message = format!("is another module {} than an earlier one", module.name);
                    let error = refused(ErrorKind::Exists, message);
                    self.left_out
                        .push(error.with_help("name only one of the two"));
                }
            } else {
                checked.insert(module.name, module.btf);
            }
        }
        // A package of another build would give a thousand errors.
        let more = misfits.len().saturating_sub(1);
        if more < MANY_MISFITS {
            self.left_out.extend(misfits);
        } else if let Some(first) = misfits.into_iter().next() {
            let message = format!("{}; so are {more} more modules", first.message());
            self.left_out.push(first.with_message(message));
        }
        checked
    }
}

/// A modules file of the hub, when it was looked at.
pub(super) struct PresentModules {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
}

impl PresentModules {
    /// The modules file of a release in a folder `ID/VERSION/ARCH`.
    pub(super) fn find(folder: &Path, release: &str) -> io::Result<Option<Self>> {
        let path = folder.join(format!("{release}{MODULES_ENDING}"));
        let metadata = look(&path)?;
        Ok(metadata.map(|metadata| Self { path, metadata }))
    }
}

/// What happens to the modules of a kernel.
pub(super) struct Plan {
    pub(super) added: AddedModules,
    /// The modules to write; `None` to write no file.
    write: Option<Vec<Module>>,
}

impl Plan {
    /// Compares modules with those that the hub has. `is_new_base` says that the hub's BTF of the kernel is another one, which
    /// is replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`] if the hub has other modules, unless `force` is set.
    pub(super) fn of(
        mut given: Given,
        kernel: &KernelId,
        base: &Btf<'_>,
        present: Option<&PresentModules>,
        force: bool,
        max_bytes: u64,
    ) -> Result<Self> {
        let checked = given.checked(kernel, base);
        let mut added = AddedModules {
            path: present.map(|present| present.path.clone()),
            without_btf: given.without_btf,
            left_out: given.left_out,
            ..AddedModules::default()
        };
        let Some(present) = present else {
            added.change = (!checked.is_empty()).then_some(ModulesChange::New);
            added.count = checked.len();
            let write = (!checked.is_empty()).then(|| listed(checked));
            return Ok(Self { added, write });
        };
        let path = &*present.path;
        let exists = |message: String| {
            Error::new(ErrorKind::Exists, path.display(), message)
                .with_kernel(kernel)
                .with_help("--force replaces it")
        };
        let there = match modules::read(path, max_bytes) {
            Ok(there) if there.base == Digest::of(base.bytes()).to_string() => there.modules,
            Err(e) if e.kind() == ErrorKind::Machine => return Err(e),
            _ if force && checked.is_empty() => {
                added.path = None;
                added.change = Some(ModulesChange::Removed);
                return Ok(Self { added, write: None });
            }
            _ if force => {
                added.change = Some(ModulesChange::Replaced);
                added.count = checked.len();
                let write = Some(listed(checked));
                return Ok(Self { added, write });
            }
            // `hub verify` tells what is wrong with it.
            _ if checked.is_empty() => return Ok(Self { added, write: None }),
            Ok(_) => {
                return Err(exists(
                    "has modules of another BTF of this kernel".to_owned(),
                ));
            }
            Err(e) => return Err(exists("is unusable".to_owned()).with_source(e)),
        };
        let is_given = !checked.is_empty();
        let mut all: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let before = there.len();
        for module in there {
            all.insert(module.name, module.btf);
        }
        let mut changed = false;
        for (name, btf) in checked {
            match all.get(&name) {
                Some(there) if *there == btf => continue,
                Some(_) if !force => {
                    return Err(exists(format!("has another BTF of the module {name}")));
                }
                _ => {}
            }
            changed = true;
            all.insert(name, btf);
        }
        debug_assert!(changed || all.len() == before);
        added.count = all.len();
        added.change = is_given.then_some(match changed {
            true => ModulesChange::Changed,
            false => ModulesChange::Unchanged,
        });
        Ok(Self {
            added,
            write: changed.then(|| listed(all)),
        })
    }

    /// Whether the hub's modules change.
    pub(super) fn is_change(&self) -> bool {
        self.write.is_some() || self.replaces()
    }

    /// Whether the hub's modules file is replaced or removed.
    pub(super) fn replaces(&self) -> bool {
        matches!(
            self.added.change,
            Some(ModulesChange::Changed | ModulesChange::Replaced | ModulesChange::Removed)
        )
    }

    /// Writes the modules' file under a temporary name. `None` if there is nothing to write.
    pub(super) fn write(
        &self,
        folder: &Path,
        kernel: &KernelId,
        base: &[u8],
    ) -> io::Result<Option<TempFile>> {
        let Some(modules) = &self.write else {
            return Ok(None);
        };
        let mut file = TempFile::create_in(folder)?;
        write_modules(file.as_file_mut(), base, kernel.release(), modules)?;
        file.sync()?;
        Ok(Some(file))
    }
}

fn listed(modules: BTreeMap<String, Vec<u8>>) -> Vec<Module> {
    let modules = modules.into_iter();
    modules.map(|(name, btf)| Module { name, btf }).collect()
}
