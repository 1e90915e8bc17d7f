//! Chunks as their users see them, and as they come from outside.

mod suite;
