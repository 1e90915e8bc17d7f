//! Makes hubs of any number of kernels for benchmarks.
//!
//! No machine that tests this project has thousands of real kernels. [`Simulation`] makes them from a few: it edits their types
//! as the development of Linux does, so that series, patch levels, flavours and architectures share as much as real ones.
//! [`growth()`] counts how much that is, in a simulated hub and in a real one.
//!
//! The way of the data: real kernels → `model` → `thin` → `edit`, by the `plan` of kernels and the rates of each
//! `family` → the hub's files.

#![forbid(unsafe_code)]

mod dice;
mod edit;
mod family;
mod growth;
mod layout;
mod model;
mod plan;
mod simulate;
mod thin;

pub use crate::growth::{Growth, Rate, Step, growth, rates};
pub use crate::simulate::Simulation;
