//! Writes a modules file.

use std::io::{self, Write};

use btfgen_chunk::Digest;
use zstd::stream::write::Encoder;
use zstd::zstd_safe::CParameter;

use super::{BASE, MAX_MODULES, MEMBER_ENDING, Module, WINDOW_LOG, is_module_name};

/// The level of zstd. 1121 modules with 8.7 MB of BTF have 2.0 MB at level 9 after 0.2 s, and 1.7 MB at level 19 after 5 s.
const LEVEL: i32 = 9;

/// Writes a file with the BTFs of a kernel's modules, which [`HubKernel::read_modules`](crate::HubKernel::read_modules)
/// reads. `base` is the kernel's own BTF. The same modules give the same bytes, in whatever order they are.
///
/// # Errors
/// Those of `out`; [`io::ErrorKind::InvalidInput`] if a name is not a module's, or two modules have the same.
pub fn write_modules<'m>(
    out: impl Write,
    base: &[u8],
    release: &str,
    modules: impl IntoIterator<Item = &'m Module>,
) -> io::Result<()> {
    let mut modules: Vec<&Module> = modules.into_iter().collect();
    modules.sort_by(|one, other| one.name.cmp(&other.name));
    let refused = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    if let Some(module) = modules.iter().find(|module| !is_module_name(&module.name)) {
        return refused(format!("{:?} is not a module's name", module.name));
    }
    if let Some(pair) = modules.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return refused(format!("two modules are called {}", pair[0].name));
    }
    if modules.len() > MAX_MODULES {
        return refused(format!("there are more than {MAX_MODULES} modules"));
    }
    let text = format!("digest {}\nrelease {release}\n", Digest::of(base));
    let mut encoder = Encoder::new(out, LEVEL)?;
    encoder.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
    encoder.window_log(WINDOW_LOG)?;
    // With the size, the encoder takes no larger window than is needed.
    encoder.set_pledged_src_size(Some(tar_bytes(text.len(), &modules)))?;
    encoder.include_checksum(true)?;
    let mut tar = tar::Builder::new(encoder);
    append(&mut tar, BASE, text.as_bytes())?;
    for module in modules {
        append(
            &mut tar,
            &format!("{}{MEMBER_ENDING}", module.name),
            &module.btf,
        )?;
    }
    tar.into_inner()?.finish()?.flush()
}

/// The size of the tar: a header and whole blocks for each member, and two blocks at the end.
fn tar_bytes(base: usize, modules: &[&Module]) -> u64 {
    const BLOCK: u64 = 512;
    let lens = modules.iter().map(|module| module.btf.len());
    let members = lens
        .chain([base])
        .map(|len| BLOCK + (len as u64).next_multiple_of(BLOCK));
    members.sum::<u64>() + 2 * BLOCK
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, name, content)
}
