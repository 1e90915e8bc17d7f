//! Strip kernel BTFs down to what CO-RE objects ask for, prove it, and pack them.
mod btf_ext;
mod candidates;
mod error;
mod literal;
mod minimize;
mod needs;
mod object;
mod outcome;
mod signature;
mod sketch;
mod writer;

pub use crate::error::{Error, ErrorKind, Result};
pub use crate::minimize::{MinimizeError, Minimized, Minimizer};
pub use crate::needs::{Need, Needs, Place};
pub use crate::object::{Object, RelocationUse, SourceLine};
pub use crate::outcome::Outcome;
