// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Reads the state of the current task, as vmlinux.h of a new kernel has it. Linux 5.14 renamed `state` to `__state`.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 state = 0;

SEC("raw_tp/sys_enter")
int read_state(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	state = BPF_CORE_READ(task, __state);
	return 0;
}
