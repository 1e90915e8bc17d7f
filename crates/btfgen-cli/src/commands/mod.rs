//! The subcommands. Each file has the arguments of one subcommand and runs it.

pub(crate) mod add;
pub(crate) mod cat;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod dump;
pub(crate) mod extract;
pub(crate) mod fetch;
pub(crate) mod hub;
pub(crate) mod index;
pub(crate) mod list;
pub(crate) mod lookup;
pub(crate) mod man;
pub(crate) mod minimize;
pub(crate) mod needs;
pub(crate) mod offsets;
pub(crate) mod pack;
