// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// bpf-objects: clang 16
// What edge.bpf.c asks for, and whether its types match those of the made-up kernels.
#include "edge.bpf.c"

PROGRAM(matches)
{
	KEEP(bpf_core_type_matches(struct edge));
	KEEP(bpf_core_type_matches(struct edge_inner) << 1);
	KEEP(bpf_core_type_matches(edge_typedef) << 2);
	KEEP(bpf_core_type_matches(union edge_union) << 3);
	KEEP(bpf_core_type_matches(enum edge_enum) << 4);
	KEEP(bpf_core_type_matches(edge_callback) << 5);
	return 0;
}
