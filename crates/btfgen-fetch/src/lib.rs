//! Brings published BTFs into a hub, from git repositories such as btfhub-archive.
//!
//! [`Fetch`] does the work. Only this crate depends on git: on libgit2, which is built in, and on the `git` executable, if there
//! is one.

#![forbid(unsafe_code)]

mod address;
mod codenames;
mod contents;
mod fetch;
mod git;
mod listing;
mod messages;
mod partial;
mod plan;
mod report;
mod session;
mod shallow;
mod source;
mod staging;
mod store;
mod target;
mod trouble;

pub use btfgen_hub::{Error, ErrorKind, Result, Waiting};

pub use crate::fetch::{BTFHUB_ARCHIVE, Fetch};
pub use crate::report::{
    Collision, Fetched, FetchedChunks, FetchedRepository, LeftOut, Preview, PreviewedRepository,
    Transport,
};
pub use crate::session::{FetchProgress, Transfer};
