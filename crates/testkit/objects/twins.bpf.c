// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Two programs that count the same event, for kernels with and without BTF of their own: libbpf loads the first one only with the
// kernel's own BTF, and nothing of the object unless its autoload is off.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum twin { FIRST, SECOND, TWINS };

/* How many programs each of the two has seen a child of the parent start. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TWINS);
	__type(key, int);
	__type(value, __u64);
} counts SEC(".maps");

/* The process whose children count. */
const volatile int parent;

static __always_inline int count(int twin)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 *seen = bpf_map_lookup_elem(&counts, &twin);

	if (seen && BPF_CORE_READ(task, real_parent, tgid) == parent)
		__sync_fetch_and_add(seen, 1);
	return 0;
}

SEC("fentry/begin_new_exec")
int BPF_PROG(entered, struct linux_binprm *bprm)
{
	return count(FIRST);
}

SEC("tp/syscalls/sys_enter_execve")
int executed(void *ctx)
{
	return count(SECOND);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
