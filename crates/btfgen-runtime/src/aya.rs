//! Support for programs that load with aya.

use ::aya::{Btf, BtfError, Endianness};

use crate::found::{Found, Origin};

impl Found {
    /// The BTF for `aya::EbpfLoader::btf`; also works for the kernel's own BTF.
    ///
    /// # Errors
    /// aya's errors, if a file cannot be read or is not BTF.
    ///
    /// ```no_run
    /// use aya::EbpfLoader;
    /// use btfgen_runtime::Lookup;
    /// # let (ARCHIVE, OBJECT): (&[u8], &[u8]) = (&[], &[]);
    ///
    /// let btf = Lookup::new().archive_bytes(ARCHIVE).find()?.aya_btf()?;
    /// let ebpf = EbpfLoader::new().btf(Some(&btf)).load(OBJECT)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aya_btf(&self) -> Result<Btf, BtfError> {
        match (self.origin(), self.bytes()) {
            (Origin::File(path), _) => Btf::parse_file(path, Endianness::default()),
            (_, Some(bytes)) => Btf::parse(bytes, Endianness::default()),
            (_, None) => Btf::from_sys_fs(),
        }
    }
}
