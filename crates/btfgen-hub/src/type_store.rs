//! The type store of a hub: the definitions of its kernels' types, so that a later pack reads no kernel.
//!
//! The store is a file in the hub's folder [`OWN_FOLDER`]. The store of several hubs, or of a hub that this user cannot write,
//! is in the user's cache folder. The file only saves work: a store that is missing, damaged, of another version or cut off is
//! made again without a word, and what it does not have is added. It is written whole under a temporary name and renamed, so
//! readers and writers need no lock. Of two processes that add kernels at the same time, one may lose its additions, and a later
//! one adds them again.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, FileTimes};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use btfgen_btf::{Btf, Type};
use btfgen_files::{TempFile, open_regular, read_regular, remove_stale};
use btfgen_store::{Definitions, Digest, Files, Stamp, Stored, Tables, stored_bytes};
use rustix::fs::{Access, access};

use crate::default_hub::cache_folder;
use crate::error::{Error, ErrorKind, Result};
use crate::hub::Hub;
use crate::hub_kernel::HubKernel;
use crate::kernel_file::{Packed, read_kernel};
use crate::lock::OWN_FOLDER;

/// The name of the store's file in the hub's own folder.
pub(crate) const STORE: &str = "types";

/// Behind the name of a store's file: the proofs.
const PROOFS: &str = ".proofs";

/// The most proofs that are kept: 1 MB. The oldest ones go.
const MAX_PROOFS: usize = 1 << 16;

/// The folder for stores below the user's cache folder.
const CACHED: &str = "btfgen/types";

/// The definitions of some kernels' types.
#[derive(Debug)]
pub struct TypeStore {
    /// The file, and where to write it; `None` for a store in memory.
    place: Option<PathBuf>,
    /// The kernels of the hub; `None` keeps all that are stored.
    kept: Option<HashSet<String>>,
    stored: Option<Stored>,
    state: RwLock<State>,
    /// Not in the state, because a proof is noted while the definitions are read.
    proofs: Mutex<Proofs>,
}

#[derive(Debug, Default)]
struct State {
    /// What is stored and what was added. Empty as long as nothing was added to what is stored.
    tables: Option<Tables>,
    files: Files,
    by_digest: HashMap<Digest, usize>,
    is_changed: bool,
}

/// Digests of proofs that packs have made, so that later packs make others.
#[derive(Debug, Default)]
struct Proofs {
    oldest_first: Vec<Digest>,
    all: HashSet<Digest>,
    are_changed: bool,
}

/// A kernel whose definitions are in a store.
#[derive(Debug)]
pub struct Ingested {
    /// Its number in the store.
    pub number: usize,
    /// Its BTF, if it had to be unpacked.
    pub btf: Option<Btf<'static>>,
}

impl TypeStore {
    /// The store of a hub, with what is usable of its file. The hub should have all its kernels: the store forgets others.
    pub fn of(hub: &Hub) -> Self {
        let mut store = Self::new_of(hub);
        if let Some(place) = &store.place {
            store.proofs = Mutex::new(Proofs::read(place));
        }
        let stored = places(hub).into_iter().find_map(|place| {
            let file = open_regular(&place).ok()?;
            Stored::open(&file).ok()
        });
        if let Some(stored) = stored
            && let Ok(definitions) = stored.definitions()
        {
            let kernels: Vec<_> = definitions.kernels().map(|k| k.digest).collect();
            let by_digest = kernels.into_iter().zip(0..).collect();
            let files = stored.files().clone();
            store.stored = Some(stored);
            let mut state = store.write();
            state.files = files;
            state.by_digest = by_digest;
            drop(state);
        }
        store
    }

    /// A store that replaces the one of a hub.
    pub fn new_of(hub: &Hub) -> Self {
        let place = places(hub).into_iter().find(|place| is_writable(place));
        let ids = hub.kernels().iter().map(|kernel| kernel.id().to_string());
        Self {
            place,
            kept: hub.is_whole().then(|| ids.collect()),
            stored: None,
            state: RwLock::default(),
            proofs: Mutex::default(),
        }
    }

    /// A store that is only in memory.
    pub fn in_memory() -> Self {
        Self {
            place: None,
            kept: None,
            stored: None,
            state: RwLock::default(),
            proofs: Mutex::default(),
        }
    }

    /// A store for the same kernels in the same place, but without what was stored.
    pub fn anew(self) -> Self {
        Self {
            stored: None,
            state: RwLock::default(),
            proofs: Mutex::default(),
            ..self
        }
    }

    /// The store's file; `None` for a store that is only in memory.
    pub fn path(&self) -> Option<&Path> {
        self.place.as_deref()
    }

    /// The size of the file that was opened, in bytes; 0 if none was.
    pub fn stored_bytes(&self) -> u64 {
        self.stored.as_ref().map_or(0, Stored::bytes)
    }

    /// Whether the store is written to a file.
    pub fn is_kept(&self) -> bool {
        self.place.is_some()
    }

    /// The number of a kernel that is in the store and whose file or chunk has not changed.
    pub fn find(&self, kernel: &HubKernel) -> Option<usize> {
        let name = kernel.id().to_string();
        let state = self.read();
        match kernel.chunk_digest() {
            Some(digest) => state.files.find_same(&name, digest.0.into()),
            None => {
                let metadata = fs::metadata(kernel.path()).ok()?;
                state.files.find(&name, &Stamp::of(&metadata))
            }
        }
    }

    /// Whether the proof with this digest was made, by this pack or an earlier one.
    pub fn is_proved(&self, proof: Digest) -> bool {
        self.proofs().all.contains(&proof)
    }

    /// Notes a proof.
    pub fn note_proof(&self, proof: Digest) {
        self.proofs().add(proof);
    }

    /// Adds a kernel, unless it is there. `is_wanted` chooses the named types that are added if the store is not kept.
    ///
    /// # Errors
    /// Those of [`HubKernel::read`]; [`ErrorKind::InvalidKernel`] and [`ErrorKind::Unsupported`] for a BTF that is not
    /// usable; [`ErrorKind::Unproven`] if the definitions are not those of the BTF, which is an error in btfgen.
    pub fn ingest(
        &self,
        kernel: &HubKernel,
        max_btf_bytes: u64,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> Result<Ingested> {
        let path = kernel.path();
        let (digest, stamp, file) = match kernel.chunk_digest() {
            // The digest says enough: a chunk that is replaced has others.
            Some(digest) => (digest.0.into(), Stamp::default(), None),
            None => {
                let file = Packed::read(path, max_btf_bytes)?;
                (Digest::of(&file.bytes), file.stamp, Some(file))
            }
        };
        let known = self.read().find(digest);
        let ingested = match known {
            Some(number) => Ingested { number, btf: None },
            None => {
                let bytes = match file {
                    Some(file) => file.unpack(path, max_btf_bytes)?.btf,
                    None => kernel.read(max_btf_bytes)?,
                };
                let btf = read_kernel(path, bytes)?;
                let number = self.add_compared(path, &btf, is_wanted)?;
                let btf = Some(btf);
                Ingested { number, btf }
            }
        };
        self.note(&kernel.id().to_string(), stamp, digest, ingested.number);
        Ok(ingested)
    }

    /// The number of a kernel together with its modules, if they are in the store and have not changed. `own` is the number of
    /// the kernel alone.
    pub fn find_with_modules(&self, kernel: &HubKernel, own: usize) -> Option<usize> {
        let name = with_modules(&kernel.id().to_string(), self.digest(own)?);
        let metadata = fs::metadata(kernel.modules_path()?).ok()?;
        self.read().files.find(&name, &Stamp::of(&metadata))
    }

    /// Like [`TypeStore::ingest`], for a kernel together with its modules ([`HubKernel::read_with_modules`]). `own` is the number
    /// of the kernel alone.
    ///
    /// # Errors
    /// Those of [`TypeStore::ingest`] and of [`HubKernel::read_with_modules`].
    pub fn ingest_with_modules(
        &self,
        kernel: &HubKernel,
        own: usize,
        max_btf_bytes: u64,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> Result<Ingested> {
        let Some(modules) = &kernel.modules else {
            return self.ingest(kernel, max_btf_bytes, is_wanted);
        };
        let changed = || {
            let message = "has changed while it was read";
            Error::new(ErrorKind::InvalidKernel, kernel.path().display(), message)
        };
        let file = modules.read(max_btf_bytes)?;
        let own = self.digest(own).ok_or_else(changed)?;
        let name = with_modules(&kernel.id().to_string(), own);
        let digest = Digest::of_value(&(own, Digest::of(&file.bytes)));
        let known = self.read().find(digest);
        let ingested = match known {
            Some(number) => Ingested { number, btf: None },
            None => {
                let base = kernel.read_btf(max_btf_bytes)?;
                if Digest::of(base.bytes()) != own {
                    return Err(changed());
                }
                let all = file.join(kernel.path(), &base, max_btf_bytes)?;
                let number = self.add_compared(&modules.path, &all, is_wanted)?;
                let btf = Some(all);
                Ingested { number, btf }
            }
        };
        self.note(&name, file.stamp, digest, ingested.number);
        Ok(ingested)
    }

    /// The digest of a kernel's BTF.
    fn digest(&self, number: usize) -> Option<Digest> {
        let kernel = self.with(|definitions| definitions.kernel(number));
        Some(kernel.ok()??.digest)
    }

    fn note(&self, name: &str, stamp: Stamp, digest: Digest, number: usize) {
        let mut state = self.write();
        state.files.note(name, stamp, digest, number);
        state.is_changed = true;
    }

    /// Adds a BTF, and compares what was added with it.
    fn add_compared(
        &self,
        path: &Path,
        btf: &Btf<'_>,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> Result<usize> {
        let failed = |e| {
            let message = "its types cannot be added to the type store";
            Error::new(ErrorKind::Machine, path.display(), message).with_source(e)
        };
        let number = self.add(btf, &is_wanted).map_err(failed)?;
        let same = self.with(|definitions| match self.is_kept() {
            true => definitions.compare(number, btf),
            false => definitions.compare_some(number, btf, &is_wanted),
        });
        if let Err(difference) = same.map_err(failed)? {
            if let Some(tables) = &mut self.write().tables {
                tables.uncover(number);
            }
            let message = "its definitions differ from its BTF";
            let error = Error::new(ErrorKind::Unproven, path.display(), message);
            return Err(error.with_source(difference));
        }
        Ok(number)
    }

    fn add(
        &self,
        btf: &Btf<'_>,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> btfgen_store::Result<usize> {
        let mut state = self.write();
        if state.tables.is_none() {
            state.tables = Some(match &self.stored {
                Some(stored) => Tables::from(&stored.definitions()?),
                None => Tables::new(),
            });
        }
        let Some(tables) = &mut state.tables else {
            return Err(btfgen_store::Error::Full);
        };
        let number = match self.is_kept() {
            true => tables.ingest(btf)?,
            false => tables.ingest_some(btf, is_wanted)?,
        };
        state.by_digest.insert(Digest::of(btf.bytes()), number);
        state.is_changed = true;
        Ok(number)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn proofs(&self) -> MutexGuard<'_, Proofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a function with all definitions. Meanwhile, no kernel is added.
    ///
    /// # Errors
    /// [`btfgen_store::Error::Damaged`] if the file was changed since it was opened.
    pub fn with<R>(&self, see: impl FnOnce(&Definitions<'_>) -> R) -> btfgen_store::Result<R> {
        self.read().see(&self.stored, see)
    }

    /// Writes the store to its file if it has changed, without kernels whose files are gone from the hub. The result is the size
    /// of the file, or `None` if nothing was written.
    ///
    /// # Errors
    /// The error of the system or of the store. The file is then as it was.
    pub fn save(&self) -> io::Result<Option<u64>> {
        let state = self.read();
        let Some(place) = &self.place else {
            return Ok(None);
        };
        let proofs = self.proofs();
        if proofs.are_changed {
            write(&proofs_of(place), &proofs.bytes())?;
        }
        drop(proofs);
        if !state.is_changed {
            return Ok(None);
        }
        let mut files = state.files.clone();
        if let Some(kept) = &self.kept {
            let with_modules = state.see(&self.stored, |all| {
                let names = kept.iter().filter_map(|id| {
                    let kernel = all.kernel(files.kernel_of(id)?)?;
                    Some(with_modules(id, kernel.digest))
                });
                names.collect::<HashSet<_>>()
            });
            let with_modules = with_modules.map_err(io::Error::other)?;
            files.retain(|name| kept.contains(name) || with_modules.contains(name));
        }
        let used: HashSet<usize> = files.kernels().collect();
        let bytes = state.see(&self.stored, |all| {
            if used.len() == all.kernels().len() {
                return stored_bytes(all, &files);
            }
            let (tables, numbers) = Tables::of_some(all, |number| used.contains(&number))?;
            files.renumber(|number| numbers.get(number).copied().flatten());
            stored_bytes(&tables.definitions(), &files)
        });
        let bytes = bytes.and_then(|bytes| bytes).map_err(io::Error::other)?;
        write(place, &bytes)?;
        Ok(Some(bytes.len() as u64))
    }
}

impl State {
    /// The number of the kernel whose file, or whose BTF, has this digest.
    fn find(&self, digest: Digest) -> Option<usize> {
        let by_file = self.files.find_content(digest);
        by_file.or_else(|| self.by_digest.get(&digest).copied())
    }

    fn see<R>(
        &self,
        stored: &Option<Stored>,
        see: impl FnOnce(&Definitions<'_>) -> R,
    ) -> btfgen_store::Result<R> {
        Ok(match (&self.tables, stored) {
            (Some(tables), _) => see(&tables.definitions()),
            (None, Some(stored)) => see(&stored.definitions()?),
            (None, None) => see(&Tables::new().definitions()),
        })
    }
}

impl Proofs {
    /// The proofs beside a store's file; none if there is no file or it is not whole.
    fn read(place: &Path) -> Self {
        let mut proofs = Self::default();
        let most = (MAX_PROOFS + 1) * size_of::<u128>();
        let bytes = read_regular(&proofs_of(place), most as u64).unwrap_or_default();
        let Some((digests, sum)) = bytes.split_last_chunk() else {
            return proofs;
        };
        let (digests, rest) = digests.as_chunks();
        let sum: Digest = u128::from_be_bytes(*sum).into();
        if rest.is_empty() && sum == Digest::of(digests.as_flattened()) {
            let digests = digests.iter().map(|digest| u128::from_be_bytes(*digest));
            digests.for_each(|digest| proofs.add(digest.into()));
        }
        proofs.are_changed = false;
        proofs
    }

    fn add(&mut self, proof: Digest) {
        if self.all.insert(proof) {
            self.oldest_first.push(proof);
            self.are_changed = true;
        }
    }

    /// The digests of the newest proofs, and the digest of these bytes.
    fn bytes(&self) -> Vec<u8> {
        let oldest = self.oldest_first.len().saturating_sub(MAX_PROOFS);
        let digests = self.oldest_first[oldest..].iter();
        let digests = digests.flat_map(|&digest| u128::from(digest).to_be_bytes());
        let mut bytes: Vec<u8> = digests.collect();
        let sum = Digest::of(&bytes);
        bytes.extend(u128::from(sum).to_be_bytes());
        bytes
    }
}

/// The name in a store of a kernel together with its modules. With another BTF, the kernel has another name, because its modules
/// continue the BTF.
fn with_modules(id: &str, own: Digest) -> String {
    format!("{id}/{own}")
}

/// The file for the proofs of the store in this file.
fn proofs_of(place: &Path) -> PathBuf {
    let mut path = place.as_os_str().to_owned();
    path.push(PROOFS);
    path.into()
}

/// The files in which a hub's store may be, the best one first.
fn places(hub: &Hub) -> Vec<PathBuf> {
    let folders = hub.folders().map(|folder| folder.canonicalize().ok());
    let Some(folders) = folders.collect::<Option<Vec<PathBuf>>>() else {
        return Vec::new();
    };
    let own = match folders.as_slice() {
        [one] => Some(one.join(OWN_FOLDER).join(STORE)),
        _ => None,
    };
    let names: Vec<&[u8]> = folders.iter().map(|f| f.as_os_str().as_bytes()).collect();
    let name = Digest::of(&names.join(&0)).to_string();
    let cached = cache_folder().map(|cache| cache.join(CACHED).join(name));
    let mut places: Vec<PathBuf> = own.into_iter().chain(cached).collect();
    places.sort_by_key(|place| !is_writable(place));
    places
}

/// Whether this user may create the file, and its folder if that is missing.
fn is_writable(place: &Path) -> bool {
    let existing = place.ancestors().skip(1).find(|folder| folder.exists());
    existing.is_some_and(|folder| access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

/// Replaces a store's file, and removes what a killed process left of another one. The store says nothing that the kernels do not say, so it gets the time of the hub's folder, and
/// folders keep their times: cargo would run a build script again for a newer file in the hub.
fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let outer = folder.parent().unwrap_or(Path::new("."));
    let time = |path: &Path| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    let set = |file: &File, time: SystemTime| file.set_times(FileTimes::new().set_modified(time));
    let (of_outer, of_folder) = (time(outer), time(folder));
    fs::create_dir_all(folder)?;
    remove_stale(folder);
    let mut file = TempFile::create_in(folder)?;
    file.as_file_mut().write_all(bytes)?;
    if let Some(time) = of_outer {
        set(file.as_file_mut(), time)?;
    }
    file.persist(place)?;
    if let Some(time) = of_folder.or(of_outer) {
        set(&File::open(folder)?, time)?;
    }
    match of_outer {
        Some(time) => set(&File::open(outer)?, time),
        None => Ok(()),
    }
}
