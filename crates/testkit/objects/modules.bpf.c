// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Types that only modules have. The kernel is targets/modular.c, its modules are targets/module-a.c and module-b.c.
#include "probe.h"

struct in_all {
	int count;
} __attribute__((preserve_access_index));

struct in_a {
	int before, number;
	struct task_struct *task;
} __attribute__((preserve_access_index));

struct in_a_and_b {
	int number;
} __attribute__((preserve_access_index));

struct disputed {
	int number, same;
} __attribute__((preserve_access_index));

enum in_b {
	IN_B_SECOND,
};

struct in_no_module {
	int number;
} __attribute__((preserve_access_index));

/* The kernel has it, and both modules have another one. */
PROGRAM(of_kernel)
{
	KEEP(bpf_core_field_offset(NOWHERE(struct in_all)->count));
	return 0;
}

PROGRAM(of_modules)
{
	KEEP(bpf_core_field_offset(NOWHERE(struct in_a)->number));
	KEEP(bpf_core_type_size(struct in_a));
	KEEP(bpf_core_field_offset(NOWHERE(struct in_a_and_b)->number));
	KEEP(bpf_core_field_offset(NOWHERE(struct disputed)->same));
	KEEP(bpf_core_enum_value(enum in_b, IN_B_SECOND));
	return 0;
}

/* The modules disagree. */
PROGRAM(disputed)
{
	KEEP(bpf_core_field_offset(NOWHERE(struct disputed)->number));
	return 0;
}

PROGRAM(nowhere)
{
	KEEP(bpf_core_type_exists(struct in_no_module));
	KEEP(bpf_core_field_offset(NOWHERE(struct in_no_module)->number));
	return 0;
}
