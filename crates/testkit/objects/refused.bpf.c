// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Relocations that compilers write and libbpf refuses, other than those whose instruction it poisons.
#include "probe.h"

/* clang sees through the typedef, and a root without a name has no candidates. */
typedef struct {
	void *pointer;
	bool is_kernel : 1;
} __attribute__((preserve_access_index)) sockptr_t___bitfield;

PROGRAM(anonymous_root)
{
	sockptr_t___bitfield *pointer = (void *)bpf_get_current_task();

	KEEP(BPF_CORE_READ_BITFIELD_PROBED(pointer, is_kernel));
	return 0;
}

/* Kernels that only declare the union can tell that it exists, but not its size. */
PROGRAM(size_of_declaration)
{
	KEEP(bpf_core_type_exists(union thread_union));
	KEEP(bpf_core_type_size(union thread_union));
	return 0;
}
