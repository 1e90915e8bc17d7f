//! btfgen-archive
