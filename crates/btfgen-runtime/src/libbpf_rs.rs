//! Support for programs that load with libbpf-rs.

use ::libbpf_rs::ObjectBuilder;

use crate::found::Found;

impl Found {
    /// Makes libbpf use this BTF: sets `btf_custom_path`, except for the kernel's own BTF.
    ///
    /// For a skeleton, the builder is `SkelBuilder::object_builder_mut`. Keep this [`Found`] until the object is
    /// loaded.
    ///
    /// # Errors
    /// If the path contains a NUL.
    ///
    /// ```no_run
    /// use btfgen_runtime::Lookup;
    /// use libbpf_rs::ObjectBuilder;
    /// # let (ARCHIVE, OBJECT): (&[u8], &[u8]) = (&[], &[]);
    ///
    /// let btf = Lookup::new().archive_bytes(ARCHIVE).find()?;
    /// let mut builder = ObjectBuilder::default();
    /// btf.set_custom_path(&mut builder)?;
    /// let object = builder.open_memory(OBJECT)?.load()?;
    /// drop(btf);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_custom_path(&self, builder: &mut ObjectBuilder) -> ::libbpf_rs::Result<()> {
        match self.path() {
            Some(path) => builder.btf_custom_path(path).map(drop),
            None => Ok(()),
        }
    }
}
