// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// bpf-objects: clang 16
// Enumerators of 64 bits, here, in the kernel, or only in one of the two.
#include "probe.h"

/* 32 bits here; 64 bits in the kernel, whose other enumerators need them. */
enum hmm_pfn_flags___narrow {
	HMM_PFN_ORDER_SHIFT___narrow = 1,
};

/* 64 bits here; 32 bits in the kernel. */
enum bpf_map_type___wide {
	BPF_MAP_TYPE_HASH___wide = 1,
	BPF_MAP_TYPE_NO_SUCH___wide = 0x100000000ULL,
};

/* 6.1 to 6.11 know it by this name. */
enum netdev_priv_flags___until_6_12 {
	IFF_NO_QUEUE___until_6_12 = 1ULL << 21,
	IFF_CHANGE_PROTO_DOWN___until_6_12 = 1ULL << 32,
};

PROGRAM(values)
{
	KEEP(bpf_core_enum_value(enum hmm_pfn_flags, HMM_PFN_VALID));
	KEEP(bpf_core_enum_value(enum hmm_pfn_flags, HMM_PFN_ERROR));
	KEEP(bpf_core_enum_value(enum perf_callchain_context, PERF_CONTEXT_KERNEL));
	KEEP(bpf_core_enum_value(enum bpf_map_type___wide, BPF_MAP_TYPE_HASH___wide));
	return 0;
}

PROGRAM(existence)
{
	KEEP(bpf_core_enum_value_exists(enum hmm_pfn_flags, HMM_PFN_WRITE));
	KEEP(bpf_core_enum_value_exists(enum hmm_pfn_flags___narrow, HMM_PFN_ORDER_SHIFT___narrow) << 1);
	KEEP(bpf_core_enum_value_exists(enum bpf_map_type___wide, BPF_MAP_TYPE_NO_SUCH___wide) << 2);
	KEEP(bpf_core_enum_value_exists(enum netdev_priv_flags___until_6_12, IFF_NO_QUEUE___until_6_12) << 3);
	KEEP(bpf_core_enum_value_exists(enum netdev_priv_flags___until_6_12, IFF_CHANGE_PROTO_DOWN___until_6_12) << 4);
	KEEP(bpf_core_enum_value_exists(enum scx_enq_flags, SCX_ENQ_HEAD) << 5);
	return 0;
}
