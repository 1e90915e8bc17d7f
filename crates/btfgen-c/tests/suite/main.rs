//! The library as C and C++ programs see it.

mod header;
mod programs;
mod util;
