// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Relocations that fail and are guarded by nothing: libbpf poisons the instruction, and the failure is the outcome.
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___missing {
	int no_such_field;
	/* Another type than the kernel's: not a match. */
	struct {
		int inner;
	} pid;
};

struct no_such_struct {
	struct no_such_inner {
		long value;
	} inner;
};

#pragma clang attribute pop

enum bpf_map_type___missing {
	BPF_MAP_TYPE_NO_SUCH___missing = 77,
};

PROGRAM(fields)
{
	struct task_struct___missing *task = (void *)bpf_get_current_task();
	struct no_such_struct *nothing = (void *)task;

	KEEP(BPF_CORE_READ(task, no_such_field));
	KEEP(BPF_CORE_READ(task, pid.inner));
	KEEP(BPF_CORE_READ(nothing, inner.value));
	KEEP(bpf_core_field_size(task->no_such_field));
	return 0;
}

PROGRAM(others)
{
	KEEP(bpf_core_type_id_kernel(struct no_such_struct));
	KEEP(bpf_core_type_size(struct no_such_struct));
	KEEP(bpf_core_enum_value(enum bpf_map_type___missing, BPF_MAP_TYPE_NO_SUCH___missing));
	return 0;
}
