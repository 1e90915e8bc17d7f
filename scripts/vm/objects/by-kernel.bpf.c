// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Programs that some kernels load and others do not, because of what they access.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 sink = 0;

struct task_struct___before_5_14 {
	volatile long state;
} __attribute__((preserve_access_index));

/* Only before 5.14. */
SEC("raw_tp/sys_enter")
int old_state(void *ctx)
{
	struct task_struct___before_5_14 *task = (void *)bpf_get_current_task();

	sink = BPF_CORE_READ(task, state);
	return 0;
}

/* Only since 6.9. */
SEC("raw_tp/sys_enter")
int new_enumerator(void *ctx)
{
	sink = bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_ARENA);
	return 0;
}

/* On all. */
SEC("raw_tp/sys_enter")
int guarded_enumerator(void *ctx)
{
	if (bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_ARENA))
		sink = bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_ARENA);
	return 0;
}

/* Only on 64 bits: libbpf does not change the size of a load of a signed number. */
SEC("tp/syscalls/sys_enter_openat")
int signed_long(struct trace_event_raw_sys_enter *ctx)
{
	sink = ctx->id;
	return 0;
}

/* On all. */
SEC("tp/syscalls/sys_enter_openat")
int guarded_signed_long(struct trace_event_raw_sys_enter *ctx)
{
	if (bpf_core_field_size(ctx->id) == sizeof(ctx->id))
		sink = ctx->id;
	return 0;
}

/* On all, because libbpf does for an unsigned one. */
SEC("tp/syscalls/sys_enter_openat")
int unsigned_long(struct trace_event_raw_sys_enter *ctx)
{
	sink = ctx->args[1];
	return 0;
}
