//! The hub: a folder of kernels' BTFs in btfhub-archive's layout, `ID/VERSION/ARCH/RELEASE.btf.tar.xz`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;
use globset::{Glob, GlobMatcher};
use walkdir::WalkDir;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::{self, Packing};

/// The kernels of one or more hubs.
#[derive(Debug, Default)]
pub struct Hub {
    kernels: Vec<HubKernel>,
    rejected: Vec<Error>,
}

/// One kernel of a hub. Its file is not read before [`HubKernel::read`].
#[derive(Debug, Clone)]
pub struct HubKernel {
    id: KernelId,
    path: PathBuf,
    packing: Packing,
    file_bytes: u64,
}

/// Which kernels of a hub to take; all, unless something is asked for.
#[derive(Debug, Clone, Default)]
pub struct KernelFilter {
    arches: Vec<String>,
    distros: Vec<String>,
    only: Vec<GlobMatcher>,
}

impl KernelFilter {
    /// Takes every kernel.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes kernels of this architecture as the hub names it (`x86_64`, `arm64`); several are alternatives. `arm64` and
    /// `aarch64` are the same, here and there.
    #[must_use]
    pub fn arch(mut self, arch: &str) -> Self {
        self.arches.push(normalized_arch(arch).to_owned());
        self
    }

    /// Takes kernels of this distribution (`ubuntu`, or `ubuntu/20.04`); several are alternatives.
    #[must_use]
    pub fn distro(mut self, distro: &str) -> Self {
        self.distros.push(distro.to_owned());
        self
    }

    /// Takes kernels whose `ID/VERSION/ARCH/RELEASE` matches a glob; several are alternatives. `*` crosses slashes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] if it is not a glob.
    pub fn only(mut self, glob: &str) -> Result<Self> {
        let glob = Glob::new(glob)
            .map_err(|e| Error::new(ErrorKind::InvalidName, glob, "not a glob").with_source(e))?;
        self.only.push(glob.compile_matcher());
        Ok(self)
    }

    /// Whether a kernel passes.
    pub fn matches(&self, kernel: &KernelId) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        any(
            self.arches.is_empty(),
            self.arches
                .iter()
                .any(|a| a == normalized_arch(kernel.arch())),
        ) && any(
            self.distros.is_empty(),
            self.distros.iter().any(|d| match d.split_once('/') {
                None => d == kernel.distro(),
                Some((distro, version)) => distro == kernel.distro() && version == kernel.version(),
            }),
        ) && any(
            self.only.is_empty(),
            self.only.iter().any(|g| g.is_match(kernel.to_string())),
        )
    }
}

fn normalized_arch(arch: &str) -> &str {
    match arch {
        "aarch64" => "arm64",
        "amd64" => "x86_64",
        arch => arch,
    }
}

const LAYOUT_HELP: &str =
    "a hub holds ID/VERSION/ARCH/RELEASE.btf.tar.xz (or .btf.xz, .btf), like btfhub-archive";

impl Hub {
    /// Looks into folders; where two hold the same kernel, the first one named has it.
    ///
    /// What is not a kernel is passed over, what looks like one and cannot be taken is listed in [`Hub::rejected`].
    ///
    /// # Errors
    /// [`ErrorKind::EmptyHub`] if a folder is missing or is none, [`ErrorKind::Io`] if it cannot be read.
    pub fn open<P: AsRef<Path>>(folders: &[P]) -> Result<Self> {
        let mut kernels = BTreeMap::new();
        let mut rejected = Vec::new();
        for folder in folders {
            walk(folder.as_ref(), &mut kernels, &mut rejected)?;
        }
        Ok(Self {
            kernels: kernels.into_values().collect(),
            rejected,
        })
    }

    /// The kernels, in the order of their ids.
    pub fn kernels(&self) -> &[HubKernel] {
        &self.kernels
    }

    /// Files that have a kernel's name but are left out, with the reason.
    pub fn rejected(&self) -> &[Error] {
        &self.rejected
    }

    /// Keeps the kernels that pass a filter.
    #[must_use]
    pub fn filtered(mut self, filter: &KernelFilter) -> Self {
        self.kernels.retain(|k| filter.matches(&k.id));
        self
    }

    pub(crate) fn into_parts(self) -> (Vec<HubKernel>, Vec<Error>) {
        (self.kernels, self.rejected)
    }
}

/// The folder that hubs live in unless another is named: `$BTFHUB_CACHE_DIR` or `$BTFHUB_CACHE`, else `btfgen/btfhub` in the XDG
/// cache folder (`$XDG_CACHE_HOME`, else `~/.cache`). `None` if not even a home folder is known.
pub fn default_hub() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("BTFHUB_CACHE_DIR")
        .or_else(|| var("BTFHUB_CACHE"))
        .or_else(|| {
            let cache = var("XDG_CACHE_HOME")
                // The specification has relative ones ignored.
                .filter(|p| p.is_absolute())
                .or_else(|| Some(var("HOME")?.join(".cache")))?;
            Some(cache.join("btfgen").join("btfhub"))
        })
}

fn walk(
    folder: &Path,
    kernels: &mut BTreeMap<KernelId, HubKernel>,
    rejected: &mut Vec<Error>,
) -> Result<()> {
    let root = folder.canonicalize().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::new(
            ErrorKind::EmptyHub,
            folder.display(),
            "there is no such hub",
        )
        .with_help("name an existing folder with --hub, or set BTFHUB_CACHE_DIR"),
        _ => Error::io(folder, "cannot open the hub", e),
    })?;
    if !root.is_dir() {
        return Err(Error::new(
            ErrorKind::EmptyHub,
            folder.display(),
            "a hub is a folder, this is a file",
        )
        .with_help(LAYOUT_HELP));
    }
    let visible =
        |e: &walkdir::DirEntry| e.depth() == 0 || !e.file_name().to_string_lossy().starts_with('.');
    // Sorted, so that of two forms of one kernel the same one is taken everywhere: `.btf` sorts first.
    for entry in WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(visible)
    {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                let path = e.path().unwrap_or(&root).to_owned();
                let unreadable = Error::new(ErrorKind::Io, path.display(), "cannot be read");
                rejected.push(unreadable.with_source(e));
                continue;
            }
        };
        if let Some(taken) = kernel(&root, &entry) {
            match taken {
                Err(e) => rejected.push(e),
                Ok(kernel) => {
                    if let Some(other) = kernels.get(&kernel.id) {
                        rejected.push(Error::new(
                            ErrorKind::InvalidName,
                            kernel.path.display(),
                            format!("the same kernel is in {}", other.path.display()),
                        ));
                    } else {
                        kernels.insert(kernel.id.clone(), kernel);
                    }
                }
            }
        }
    }
    Ok(())
}

/// The kernel in a walk's entry; `None` for what does not claim to be one.
fn kernel(root: &Path, entry: &walkdir::DirEntry) -> Option<Result<HubKernel>> {
    let path = entry.path();
    let file_type = entry.file_type();
    if file_type.is_dir() {
        return None;
    }
    let name = path.strip_prefix(root).ok()?.to_str()?;
    let packing = Packing::of(name);
    if file_type.is_symlink() {
        let inside = path.canonicalize().is_ok_and(|to| to.starts_with(root));
        // A folder outside may hold kernels, so it is not passed over in silence; a README may lie anywhere.
        if !inside && (packing.is_some() || path.is_dir()) {
            return Some(Err(Error::new(
                ErrorKind::InvalidName,
                path.display(),
                "a symbolic link that leads out of the hub is not followed",
            )));
        }
    }
    let (packing, stem) = packing?;
    let metadata = std::fs::metadata(path).ok()?;
    if metadata.is_dir() {
        // A link for a codename, `debian/buster` for `debian/10`: its kernels have their place already.
        return None;
    }
    match KernelId::from_btf_path(&format!("{stem}.btf")) {
        Ok(id) => Some(Ok(HubKernel {
            id,
            path: path.to_owned(),
            packing,
            file_bytes: metadata.len(),
        })),
        Err(e) => Some(Err(Error::new(
            ErrorKind::InvalidName,
            path.display(),
            "its place is not ID/VERSION/ARCH/RELEASE",
        )
        .with_source(e)
        .with_help(LAYOUT_HELP))),
    }
}

impl HubKernel {
    /// Which kernel it is.
    pub fn id(&self) -> &KernelId {
        &self.id
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of its file in bytes, compressed as it is.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Reads and unpacks the BTF, which may have at most `max_bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::InvalidKernel`] for a damaged file, [`ErrorKind::TooLarge`].
    pub fn read(&self, max_bytes: u64) -> Result<Vec<u8>> {
        kernel_file::read(&self.path, self.packing, max_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filter: &KernelFilter, kernel: &str) -> bool {
        filter.matches(&kernel.parse().expect("a kernel's id"))
    }

    const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic";
    const BOOKWORM: &str = "debian/12/aarch64/6.1.0-47-cloud-arm64";

    /// Check that values of one filter are alternatives, and different filters must all agree.
    #[test]
    fn filters_combine() {
        let all = KernelFilter::new();
        assert!(passes(&all, FOCAL) && passes(&all, BOOKWORM));
        let distros = KernelFilter::new().distro("ubuntu/20.04").distro("debian");
        assert!(passes(&distros, FOCAL) && passes(&distros, BOOKWORM));
        let both = distros.arch("x86_64");
        assert!(passes(&both, FOCAL) && !passes(&both, BOOKWORM));
        assert!(!passes(&KernelFilter::new().distro("ubuntu/18.04"), FOCAL));
    }

    /// Check that an architecture is the same under both of its names.
    #[test]
    fn architectures_have_two_names() {
        for name in ["arm64", "aarch64"] {
            assert!(passes(&KernelFilter::new().arch(name), BOOKWORM), "{name}");
        }
        assert!(passes(&KernelFilter::new().arch("amd64"), FOCAL));
    }

    /// Check that a glob matches the whole id, and that a star crosses slashes.
    #[test]
    fn globs_match_whole_ids() {
        let only = |glob| KernelFilter::new().only(glob).expect("a glob");
        assert!(passes(&only("ubuntu/*5.4.0-2?-generic"), FOCAL));
        assert!(!passes(&only("5.4.0-26-generic"), FOCAL));
        let error = KernelFilter::new().only("[").expect_err("not a glob");
        assert_eq!(error.kind(), ErrorKind::InvalidName);
    }
}
