// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Reads the state of the current task under both of its names. Linux 5.14 renamed `state` to `__state`.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What kernels before 5.14 have. libbpf ignores what follows the three underscores. */
struct task_struct___before_5_14 {
	volatile long state;
} __attribute__((preserve_access_index));

__u64 state = 0;

SEC("raw_tp/sys_enter")
int read_state(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___before_5_14 *old = (void *)task;

	if (bpf_core_field_exists(task->__state))
		state = BPF_CORE_READ(task, __state);
	else
		state = BPF_CORE_READ(old, state);
	return 0;
}
