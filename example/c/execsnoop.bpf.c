// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Reports each execve: who called it, which program, with which arguments.
 *
 * The program needs Linux 5.4: a perf event array rather than a ring buffer, and tracepoints rather than fentry.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "execsnoop.h"

/* Since 5.14 the field is called `__state`; before, it was called `state` and was signed. vmlinux.h has one of the two. */
struct task_struct___since_5_14 {
	unsigned int __state;
} __attribute__((preserve_access_index));

struct task_struct___before_5_14 {
	volatile long state;
} __attribute__((preserve_access_index));

/* Set by user space before loading: report calls that failed too. */
const volatile bool include_failed = false;

/*
 * An event is larger than the BPF stack, so it is put together in the map, where it waits for the return of execve. Some
 * never return here, as those of 64-bit processes that start a 32-bit program: the map makes room by itself.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, int);
	__type(value, struct execsnoop_event);
} running SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} events SEC(".maps");

static const struct execsnoop_event empty;

static unsigned int state_of(struct task_struct *task)
{
	struct task_struct___since_5_14 *new = (void *)task;
	struct task_struct___before_5_14 *old = (void *)task;

	if (bpf_core_field_exists(new->__state))
		return BPF_CORE_READ(new, __state);
	return BPF_CORE_READ(old, state);
}

/*
 * Reads `argv[index]`. Pointers of a BPF program have 8 bytes, but those of a process on a 32-bit kernel have 4. On a
 * 64-bit kernel all have 8 here, because these tracepoints do not see the calls of 32-bit processes.
 */
static long read_arg(const char **arg, const char *const *argv, unsigned int index)
{
	struct task_struct *task = NULL;
	unsigned int narrow;
	long error;

	if (bpf_core_field_size(task->real_parent) == sizeof(*arg))
		return bpf_probe_read_user(arg, sizeof(*arg), &argv[index]);
	error = bpf_probe_read_user(&narrow, sizeof(narrow), (const unsigned int *)argv + index);
	*arg = error ? NULL : (const char *)(unsigned long)narrow;
	return error;
}

/* Copies the strings of `argv`, a user-space array that ends with NULL. */
static void copy_args(struct execsnoop_event *event, const char *const *argv)
{
	unsigned int used = 0, count;
	const char *arg;
	long len;

	for (count = 0; count < EXECSNOOP_MAX_ARGS; count++) {
		if (read_arg(&arg, argv, count) || !arg)
			break;
		/* Old verifiers want to see with their own eyes that a full argument fits. */
		if (used > EXECSNOOP_ARGS_LEN - EXECSNOOP_ARG_LEN)
			break;
		len = bpf_probe_read_user_str(&event->args[used], EXECSNOOP_ARG_LEN, arg);
		if (len < 0 || len > EXECSNOOP_ARG_LEN)
			break;
		/* Older kernels return 0 for an empty string, which has its NUL too. */
		used += len ? len : 1;
	}
	event->args_count = count;
	event->args_len = used;
	event->args_cut = argv && (read_arg(&arg, argv, count) || arg);
}

SEC("tp/syscalls/sys_enter_execve")
int execve_enter(struct trace_event_raw_sys_enter *ctx)
{
	/* The process, not the thread: the thread that calls execve takes over the thread id of the process. */
	int pid = bpf_get_current_pid_tgid() >> 32;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct execsnoop_event *event;

	if (bpf_map_update_elem(&running, &pid, &empty, BPF_ANY))
		return 0;
	event = bpf_map_lookup_elem(&running, &pid);
	if (!event)
		return 0;

	event->pid = pid;
	event->ppid = BPF_CORE_READ(parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	event->parent_state = state_of(parent);
	bpf_probe_read_user_str(event->path, sizeof(event->path), (const char *)ctx->args[0]);
	copy_args(event, (const char *const *)ctx->args[1]);
	return 0;
}

SEC("tp/syscalls/sys_exit_execve")
int execve_exit(struct trace_event_raw_sys_exit *ctx)
{
	int pid = bpf_get_current_pid_tgid() >> 32;
	struct execsnoop_event *event = bpf_map_lookup_elem(&running, &pid);
	unsigned int len;

	if (!event)
		return 0;
	/* Not ctx->ret: it is a signed long, and libbpf refuses to load a signed number that has another size in the kernel. */
	event->result = BPF_CORE_READ_BITFIELD_PROBED(ctx, ret);
	if (event->result == 0 || include_failed) {
		bpf_get_current_comm(event->comm, sizeof(event->comm));
		len = event->args_len;
		if (len <= EXECSNOOP_ARGS_LEN)
			bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, event,
					      __builtin_offsetof(struct execsnoop_event, args) + len);
	}
	bpf_map_delete_elem(&running, &pid);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
