// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Reports when processes start a program and when they exit, how long they lived and with which exit code.
 *
 * The program needs Linux 5.8 for the ring buffer.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "bootstrap.h"

/* Before 5.5 `start_boottime` was called `real_start_time`. Distributions took the new name into older kernels. */
struct task_struct___before_5_5 {
	u64 real_start_time;
} __attribute__((preserve_access_index));

/* Since 6.16 the tracepoint has a record of its own. vmlinux.h of older kernels does not know it. */
struct trace_event_raw_sched_process_exit___since_6_16 {
	bool group_dead;
} __attribute__((preserve_access_index));

/* Set by user space before loading: leave out processes that lived shorter than this. */
const volatile unsigned long long min_duration_ns = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static u64 started_ns(struct task_struct *task)
{
	struct task_struct___before_5_5 *old = (void *)task;

	if (bpf_core_field_exists(task->start_boottime))
		return BPF_CORE_READ(task, start_boottime);
	return BPF_CORE_READ(old, real_start_time);
}

/* Whether this is the exit of the last thread, and so of the process. */
static bool is_last_thread(void *ctx, struct task_struct *task)
{
	struct trace_event_raw_sched_process_exit___since_6_16 *record = ctx;

	if (bpf_core_field_exists(record->group_dead))
		return record->group_dead;
	return BPF_CORE_READ(task, signal, live.counter) == 0;
}

static void fill(struct bootstrap_event *event, struct task_struct *task)
{
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->exit_code = 0;
	event->started_ns = started_ns(task);
	event->duration_ns = 0;
	event->path[0] = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

SEC("tp/sched/sched_process_exec")
int process_exec(struct trace_event_raw_sched_process_exec *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct bootstrap_event *event;

	/* A process that lives long enough to be of interest is reported once, when it exits. */
	if (min_duration_ns)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	fill(event, task);
	event->kind = BOOTSTRAP_START;
	/* The low half of a __data_loc field is the offset of the string from the start of the record. */
	bpf_probe_read_kernel_str(event->path, sizeof(event->path), (void *)ctx + (ctx->__data_loc_filename & 0xffff));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp/sched/sched_process_exit")
int process_exit(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct bootstrap_event *event;
	u64 duration;

	if (!is_last_thread(ctx, task))
		return 0;
	duration = bpf_ktime_get_ns() - BPF_CORE_READ(task, start_time);
	if (duration < min_duration_ns)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	fill(event, task);
	event->kind = BOOTSTRAP_EXIT;
	event->exit_code = BPF_CORE_READ(task, exit_code);
	event->duration_ns = duration;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
