//! Modules that have only debug information (DWARF): pahole makes their BTFs, which continue that of the kernel.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use btfgen_files::TempFolder;

use crate::content::{Content, MAX_FILE_BYTES, no_room};
use crate::error::{Error, ErrorKind, Result};
use crate::modules::{self, Contents, ModuleBtf, lock, sorted};
use crate::pahole::Pahole;
use crate::place::Place;

/// The kernel's BTF beside the modules. No module's file has this name.
const BASE: &str = "vmlinux.btf";

const COPY_BYTES: usize = 128 << 10;

/// Unpacked files of modules. They need names, because pahole opens them.
#[derive(Debug, Default)]
pub(crate) struct DwarfModules {
    folder: Option<TempFolder>,
    modules: Vec<DwarfModule>,
    is_debug_package: bool,
}

#[derive(Debug)]
struct DwarfModule {
    name: String,
    file: PathBuf,
    place: Place,
}

impl DwarfModules {
    /// Notes that the package has debug symbols of modules.
    pub(crate) fn note_debug_package(&mut self) {
        self.is_debug_package = true;
    }

    pub(crate) fn is_debug_package(&self) -> bool {
        self.is_debug_package
    }

    /// Unpacks the file of a module.
    pub(crate) fn unpack(&mut self, name: String, from: &mut dyn Read, place: Place) -> Result<()> {
        let temp_dir = place.budget.options().temp_dir.clone();
        let full = |e| no_room(&temp_dir, e);
        let folder = match &mut self.folder {
            Some(folder) => folder,
            none => none.insert(TempFolder::create_in(&temp_dir).map_err(full)?),
        };
        // Numbers, because two modules may have one name.
        let file = folder.path().join(format!("{}.ko", self.modules.len()));
        let mut to = File::create_new(&file).map_err(full)?;
        let mut from = from.take(MAX_FILE_BYTES);
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let got = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(place.unreadable(e)),
            };
            to.write_all(&buffer[..got]).map_err(full)?;
        }
        self.modules.push(DwarfModule { name, file, place });
        Ok(())
    }

    /// Adds the BTFs of all modules to the kernel's. A module that pahole cannot read is left out.
    pub(crate) fn make_btfs(&self, contents: &mut Contents) -> Result<()> {
        let (Some(folder), Some(first)) = (&self.folder, self.modules.first()) else {
            return Ok(());
        };
        let Some(kernel) = &contents.kernel else {
            let message = "the modules have debug information, but the BTF of their kernel is not in the package";
            return Err(first.place.error(ErrorKind::NoKernel, message));
        };
        let pahole = Pahole::find(&first.place)?;
        let base = folder.path().join(BASE);
        fs::write(&base, kernel.btf()).map_err(|e| no_room(folder.path(), e))?;
        let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(module) = self.modules.get(next.fetch_add(1, Ordering::Relaxed)) {
                let btf = module.make_btf(&pahole, &base);
                lock(&made).push((module, btf));
            }
        };
        thread::scope(|scope| {
            let threads = thread::available_parallelism().map_or(1, usize::from);
            for _ in 1..threads {
                // If a thread cannot be started, the others do its work.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let made = std::mem::take(&mut *lock(&made));
        for (module, btf) in made {
            match btf {
                Ok(Some(btf)) if !module.place.budget.take_module(btf.btf.len() as u64) => {
                    return Err(modules::too_large(&module.place));
                }
                Ok(Some(btf)) => contents.modules.push(btf),
                Ok(None) => contents.without_btf += 1,
                Err(e) if is_fatal(&e) => return Err(e),
                Err(e) => contents.left_out.push(e),
            }
        }
        *contents = sorted(std::mem::take(contents));
        Ok(())
    }
}

fn is_fatal(error: &Error) -> bool {
    error.is_machine_fault() || error.kind() == ErrorKind::Cancelled
}

impl DwarfModule {
    /// The module's BTF: its own, or what pahole makes. `None` if it has neither BTF nor debug information with types.
    fn make_btf(&self, pahole: &Pahole<'_>, base: &Path) -> Result<Option<ModuleBtf>> {
        let content = Content::open(&self.file, &self.place)?;
        if let Some(own) = modules::read(content, &self.place, self.name.clone())? {
            return Ok(Some(own));
        }
        let out = self.file.with_extension("btf");
        pahole.encode(&self.file, &out, Some(base), &self.place)?;
        // Without types, pahole writes nothing.
        if !out.exists() {
            return Ok(None);
        }
        let content = Content::open(&out, &self.place)?;
        modules::read(content, &self.place, self.name.clone())
    }
}
