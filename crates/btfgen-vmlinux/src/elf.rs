//! ELF files: a vmlinux with BTF, or with debug information.

use std::cell::Cell;
use std::io::{self, Read as _};
use std::ops::Range;

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader as _};
use object::read::{ReadCache, ReadCacheOps};
use object::{Endian as _, Endianness};

use crate::arch;
use crate::banner;
use crate::boot;
use crate::btf;
use crate::build_id;
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::{Layer, Peeled};
use crate::place::Place;

/// The largest number of sections. A vmlinux has about 80, a module a few hundred.
const MAX_SECTIONS: u32 = 1 << 14;

pub(crate) fn read(content: Content, mut place: Place) -> Result<Layer> {
    let file = Outline::of_any(&content, &place)?;
    file.refuse_what_is_no_kernel(&place)?;
    if let Some(arch) = file.arch {
        place.image.arch = Some(arch.to_owned());
    }
    if let Some(range) = file.wrapped_kernel {
        // The wrapper may have another class than the kernel: ppc64's wrapper is a 32-bit program.
        place.image.arch = None;
        let inner = place.inside("POWER boot wrapper")?;
        return boot::read_payload(&content, range, &inner);
    }
    if file.btf.is_none() && !file.debug_info {
        return Err(without_btf(&content, &place)?);
    }
    place.build_id = build_id::of_sections(&content, &file.notes, file.is_little_endian, &place)?;
    if place.image.release.is_none() {
        place.image.release = release(&content, file.read_only_data, &place)?;
    }
    Ok(Layer::Peeled(match file.btf {
        Some(range) => {
            let len = range.end - range.start;
            let btf = btf::read(content.window(range), len, &place)?;
            Peeled::Btf(place.found(btf, ".BTF section"))
        }
        None => Peeled::Dwarf(content, place),
    }))
}

/// The sections of a module.
pub(crate) struct ModuleSections {
    pub(crate) btf: Option<Range<u64>>,
    /// Whether the BTF continues a `.BTF.base` instead of the kernel's BTF.
    pub(crate) has_distilled_base: bool,
    /// `.modinfo`
    pub(crate) info: Option<Range<u64>>,
}

/// Finds the sections of a module.
pub(crate) fn read_module(content: &Content, place: &Place) -> Result<ModuleSections> {
    let file = Outline::of_any(content, place)?;
    if file.file_type != elf::ET_REL || !file.is_module {
        return Err(place.error(ErrorKind::NotAKernel, "is an ELF file, but not a module"));
    }
    Ok(ModuleSections {
        btf: file.btf,
        has_distilled_base: file.has_distilled_base,
        info: file.module_info,
    })
}

/// Remembers the error of a read, because the ELF reader does not return it.
struct Remembering<'c> {
    content: &'c Content,
    at: u64,
    failure: &'c Cell<Option<io::Error>>,
}

impl Remembering<'_> {
    fn remember<T>(&self, result: io::Result<T>) -> Result<T, ()> {
        result.map_err(|e| self.failure.set(Some(e)))
    }
}

impl ReadCacheOps for Remembering<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        Ok(self.content.len())
    }

    fn seek(&mut self, at: u64) -> Result<u64, ()> {
        self.at = at;
        Ok(at)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let mut window = self.content.window(self.at..u64::MAX);
        let got = self.remember(window.read(buffer))?;
        self.at += got as u64;
        Ok(got)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        let mut window = self.content.window(self.at..u64::MAX);
        self.remember(window.read_exact(buffer))?;
        self.at += buffer.len() as u64;
        Ok(())
    }
}

/// The relevant sections.
struct Outline {
    machine: elf::Machine,
    file_type: elf::FileType,
    arch: Option<&'static str>,
    btf: Option<Range<u64>>,
    debug_info: bool,
    is_module: bool,
    module_info: Option<Range<u64>>,
    /// Whether there is a `.BTF.base`.
    has_distilled_base: bool,
    read_only_data: Option<Range<u64>>,
    is_little_endian: bool,
    notes: Vec<Range<u64>>,
    /// The kernel in the wrapper from arch/powerpc/boot.
    wrapped_kernel: Option<Range<u64>>,
}

impl Outline {
    /// The sections of an ELF file of either class.
    fn of_any(content: &Content, place: &Place) -> Result<Self> {
        let class = content.read(4, 1, place)?;
        match class[..] {
            [1] => Self::of::<FileHeader32<Endianness>>(content, place),
            _ => Self::of::<FileHeader64<Endianness>>(content, place),
        }
    }

    fn of<H: FileHeader<Endian = Endianness>>(content: &Content, place: &Place) -> Result<Self> {
        let failure = Cell::new(None);
        let damaged = |e: object::read::Error| match failure.take() {
            Some(failure) => place.unreadable(failure),
            None => place
                .error(ErrorKind::Damaged, "is a damaged or truncated ELF file")
                .with_source(e),
        };
        let data = &ReadCache::new(Remembering {
            content,
            at: 0,
            failure: &failure,
        });
        let header = H::parse(data).map_err(damaged)?;
        let endian = header.endian().map_err(damaged)?;
        if header.shnum(endian, data).map_err(damaged)? > MAX_SECTIONS {
            return Err(place.error(
                ErrorKind::TooLarge,
                format!("has more than {MAX_SECTIONS} sections"),
            ));
        }
        let machine = header.e_machine(endian);
        let mut outline = Self {
            machine,
            file_type: header.e_type(endian),
            arch: arch::of_elf(machine, header.is_type_64(), endian.is_little_endian()),
            btf: None,
            debug_info: false,
            is_module: false,
            module_info: None,
            has_distilled_base: false,
            read_only_data: None,
            is_little_endian: endian.is_little_endian(),
            notes: Vec::new(),
            wrapped_kernel: None,
        };
        let sections = header.sections(endian, data).map_err(damaged)?;
        for section in sections.iter() {
            // In a file of only debug information, other sections have a size but no bytes.
            let Some((start, len)) = section.file_range(endian) else {
                continue;
            };
            let range = start..start.saturating_add(len);
            if section.sh_type(endian) == elf::SHT_NOTE {
                outline.notes.push(range.clone());
            }
            match sections.section_name(endian, section).map_err(damaged)? {
                _ if len == 0 => {}
                b".BTF" => outline.btf = Some(range),
                b".BTF.base" => outline.has_distilled_base = true,
                b".debug_info" | b".zdebug_info" => outline.debug_info = true,
                b".modinfo" => {
                    outline.is_module = true;
                    outline.module_info = Some(range);
                }
                b".gnu.linkonce.this_module" => outline.is_module = true,
                b".rodata" => outline.read_only_data = Some(range),
                b".kernel:vmlinux.strip" => outline.wrapped_kernel = Some(range),
                _ => {}
            }
        }
        Ok(outline)
    }

    fn refuse_what_is_no_kernel(&self, place: &Place) -> Result<()> {
        if self.machine == elf::EM_BPF {
            return Err(place.error(ErrorKind::NotAKernel, "is a BPF object, not a kernel"));
        }
        // A vmlinux may have a .modinfo of built-in modules, too. Only a module is also relocatable.
        if self.is_module && self.file_type == elf::ET_REL {
            return Err(place.error(ErrorKind::Module, "is a kernel module, not a kernel"));
        }
        if self.file_type == elf::ET_REL && self.btf.is_none() {
            return Err(place.error(ErrorKind::NotAKernel, "is an object file, not a kernel"));
        }
        Ok(())
    }
}

/// The error for a file with neither BTF nor debug information, which may not be a kernel.
fn without_btf(content: &Content, place: &Place) -> Result<Error> {
    let is_kernel = place.is_kernel || banner::release(content, 0..content.len(), place)?.is_some();
    Ok(if is_kernel {
        place.without_btf()
    } else {
        place.error(
            ErrorKind::NotAKernel,
            "is a program or library, not a kernel",
        )
    })
}

/// Finds the release in the banner, which is in the read-only data. Searches the whole vmlinux only if nothing else gives the
/// release, because a vmlinux with debug information is large.
fn release(
    content: &Content,
    read_only_data: Option<Range<u64>>,
    place: &Place,
) -> Result<Option<String>> {
    if let Some(range) = read_only_data
        && let Some(release) = banner::release(content, range, place)?
    {
        return Ok(Some(release));
    }
    if place.package.release.is_some() {
        return Ok(None);
    }
    banner::release(content, 0..content.len(), place)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::budget::{Budget, Options};

    /// Check that an unreadable file does not count as damaged.
    #[test]
    fn unreadable() {
        let place = Place::of(Path::new("vmlinux"), Budget::new(Options::default()));
        let content = Content::unreadable(1 << 20, &place);
        let error = Outline::of::<FileHeader64<Endianness>>(&content, &place)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
        assert!(error.is_machine_fault(), "{error:?}");
    }
}
