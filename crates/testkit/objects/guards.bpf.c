// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Accesses with and without guards. `task_struct.state` became `__state` in Linux 5.14. A comment at the end of a line says
// what becomes of its access where the field is missing: `5.10: guarded` for kernels of 5.10. One above a program says what
// becomes of the program.
#include "probe.h"

struct task_struct___old {
	volatile long state;
} __attribute__((preserve_access_index));

struct no_such_struct {
	int field;
} __attribute__((preserve_access_index));

#define TASK ((struct task_struct *)bpf_get_current_task())
#define OLD(task) ((struct task_struct___old *)(task))

/* 5.10: fails, 6.1: loads */
PROGRAM(without_guard)
{
	KEEP(BPF_CORE_READ(TASK, __state)); /* 5.10: poisoned */
	return 0;
}

/* 5.10: loads, 6.1: loads */
PROGRAM(with_guard)
{
	struct task_struct *task = TASK;

	if (bpf_core_field_exists(task->__state)) /* 5.10: answer */
		KEEP(BPF_CORE_READ(task, __state)); /* 5.10: guarded */
	else
		KEEP(BPF_CORE_READ(OLD(task), state)); /* 6.1: guarded */
	return 0;
}

/* 5.10: poisoned, 6.1: loads */
PROGRAM(with_other_condition)
{
	if (bpf_get_smp_processor_id() != 1)
		return 0;
	KEEP(BPF_CORE_READ(TASK, __state)); /* 5.10: poisoned */
	return 0;
}

/* 5.10: fails, 6.1: loads */
PROGRAM(on_both_ways)
{
	__u64 state;

	if (bpf_get_smp_processor_id() == 1) {
		state = BPF_CORE_READ(TASK, __state); /* 5.10: poisoned */
	} else {
		state = bpf_ktime_get_ns();
		state += BPF_CORE_READ(TASK, __state); /* 5.10: poisoned */
	}
	KEEP(state);
	return 0;
}

static __noinline int read_state(struct task_struct *task)
{
	return BPF_CORE_READ(task, __state); /* 5.10: poisoned */
}

/* 5.10: fails, 6.1: loads */
PROGRAM(calls_without_guard)
{
	KEEP(read_state(TASK));
	return 0;
}

/* 5.10: loads, 6.1: loads */
PROGRAM(calls_with_guard)
{
	struct task_struct *task = TASK;

	if (bpf_core_field_exists(task->__state)) /* 5.10: answer */
		KEEP(read_state(task));
	return 0;
}

static __noinline int read_if(struct task_struct *task, int has_state)
{
	if (has_state)
		return BPF_CORE_READ(OLD(task), state); /* 6.1: guarded */
	return 0;
}

/* 5.10: loads, 6.1: loads */
PROGRAM(guard_is_argument)
{
	struct task_struct *task = TASK;

	KEEP(read_if(task, bpf_core_field_exists(OLD(task)->state))); /* 6.1: answer */
	return 0;
}

/* 5.10: loads, 6.1: loads */
PROGRAM(guard_by_size)
{
	struct no_such_struct *nothing = (void *)bpf_get_current_task();

	if (bpf_core_type_size(struct no_such_struct)) /* 5.10: answer, 6.1: answer */
		KEEP(BPF_CORE_READ(nothing, field)); /* 5.10: guarded, 6.1: guarded */
	return 0;
}

/* 5.10: loads, 6.1: loads */
PROGRAM(in_a_loop)
{
	struct task_struct *task = TASK;
	int i;

	for (i = 0; i < 100 && task; i++) {
		if (bpf_core_field_exists(task->__state)) /* 5.10: answer */
			KEEP(BPF_CORE_READ(task, __state)); /* 5.10: guarded */
		task = BPF_CORE_READ(task, real_parent);
	}
	return 0;
}
