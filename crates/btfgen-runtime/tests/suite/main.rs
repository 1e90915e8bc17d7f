//! The lookup as a program uses it.

mod distributions;
mod ladder;
