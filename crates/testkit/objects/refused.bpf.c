// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Relocations that compilers write and libbpf refuses, other than those whose instruction it poisons.
#include "probe.h"

/* A root without a name has no candidates. */
PROGRAM(anonymous_root)
{
	struct {
		void *pointer;
		bool is_kernel : 1;
	} __attribute__((preserve_access_index)) *pointer = (void *)bpf_get_current_task();

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

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct nonsense {
	int four[4];
	int flexible[];
};

/* Bits 60 to 121: no load of 8 bytes has them all. */
struct straddling {
	char bytes[7];
	unsigned int before : 4;
	unsigned long long bits : 62;
} __attribute__((packed));

#pragma clang attribute pop

/* These make no sense in the program's own types, so no kernel is asked. */
PROGRAM(nonsense)
{
	struct nonsense *nonsense = (void *)bpf_get_current_task();
	struct straddling *straddling = (void *)nonsense;

	KEEP(bpf_core_field_offset(nonsense->four[5]));
	KEEP(__builtin_preserve_field_info(nonsense->four[1], BPF_FIELD_LSHIFT_U64));
	KEEP(__builtin_preserve_field_info(nonsense->four[1], BPF_FIELD_RSHIFT_U64));
	KEEP(FIELD_IS_SIGNED(straddling->bits));
	return 0;
}

/* And these do. */
PROGRAM(sense)
{
	struct nonsense *nonsense = (void *)bpf_get_current_task();
	struct straddling *straddling = (void *)nonsense;

	KEEP(bpf_core_field_offset(nonsense->four[3]));
	KEEP(bpf_core_field_offset(nonsense->flexible[5]));
	KEEP(bpf_core_field_size(nonsense->four[1]));
	KEEP(bpf_core_field_exists(straddling->bits));
	return 0;
}
