//! btfgen
