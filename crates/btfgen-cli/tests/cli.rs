//! The command, run as a user runs it.

#![cfg(unix)]

mod suite;
