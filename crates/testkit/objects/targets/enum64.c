// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// bpf-objects: clang 16
// Enums of 64 bits where edge.bpf.c has 32.

enum edge_enum {
	EDGE_ZERO,
	EDGE_ONE = 0x123456789aULL,
	EDGE_NEGATIVE = -5,
};

/* 64 bits for the sake of one value; the other ones would do with 32. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_HUGE = 0xffffffffffffffffULL,
};

enum edge_enum enumerated;
enum bpf_map_type map_type;
