//! btfgen-libbpf
