//! What the readers of layers return.

use crate::content::Content;
use crate::error::Result;
use crate::place::Place;
use crate::vmlinux::Vmlinux;

/// What is inside one layer.
#[derive(Debug)]
pub(crate) enum Layer {
    /// The next layer.
    Inner(Content, Place),
    /// There is no further layer.
    Peeled(Peeled),
}

/// The content below all layers.
#[derive(Debug)]
pub(crate) enum Peeled {
    Btf(Vmlinux),
    /// A vmlinux with debug information but without BTF. pahole makes the BTF if no other file has it.
    Dwarf(Content, Place),
}

/// Peels off all layers of a file. Searches through packages and images call it for each of their candidates.
pub(crate) type Peel = fn(Content, Place) -> Result<Peeled>;
