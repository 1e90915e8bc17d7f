// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Relocations in sections of several names, some in functions that programs of other sections call.
#include "probe.h"

/* A function of its own in .text, not inlined. */
static __noinline int parent_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, real_parent, tgid);
}

/* A global function: verified by itself. */
__noinline unsigned int flags_of_current(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, flags);
}

SEC("tp/sched/sched_switch")
int switched(struct trace_event_raw_sched_switch *ctx)
{
	KEEP(ctx->prev_pid);
	KEEP(ctx->next_pid);
	KEEP(parent_of((void *)bpf_get_current_task()));
	return 0;
}

SEC("raw_tp/sched_process_fork")
int forked(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (void *)ctx->args[1];

	KEEP(BPF_CORE_READ(child, pid));
	KEEP(parent_of(child));
	return 0;
}

SEC("kprobe/do_exit")
int exiting(struct pt_regs *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	KEEP(BPF_CORE_READ(task, exit_code));
	KEEP(flags_of_current());
	return 0;
}

SEC("socket")
int filter(struct __sk_buff *ctx)
{
	KEEP(ctx->len);
	return 0;
}

/* A section without relocations between others. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}
