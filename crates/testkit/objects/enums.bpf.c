// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Existence and value of enumerators that come, go, move and change sign between kernels.
#include "probe.h"

/* Enumerators of other kernels. The values are made up: the kernel's count. */
enum node_stat_item___other {
	NR_SLAB_RECLAIMABLE___other = 1000,
	NR_KERNEL_STACK_KB___other = 1001,
	NR_SECONDARY_PAGETABLE___other = 1002,
};

enum zone_stat_item___before_5_8 {
	NR_KERNEL_STACK_KB___before_5_8 = 1000,
};

enum bpf_cgroup_storage_type___none { BPF_CGROUP_STORAGE_NO_SUCH___none };
enum perf_event_state___other { PERF_EVENT_STATE_REVOKED___other = 1 };
enum no_such_enum { NO_SUCH_VALUE = 3 };

PROGRAM(existence)
{
	KEEP(bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_RINGBUF));
	KEEP(bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_USER_RINGBUF) << 1);
	KEEP(bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_ARENA) << 2);
	KEEP(bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf) << 3);
	KEEP(bpf_core_enum_value_exists(enum bpf_prog_type, BPF_PROG_TYPE_NETFILTER) << 4);
	KEEP(bpf_core_enum_value_exists(enum node_stat_item___other, NR_SLAB_RECLAIMABLE___other) << 5);
	KEEP(bpf_core_enum_value_exists(enum node_stat_item___other, NR_KERNEL_STACK_KB___other) << 6);
	KEEP(bpf_core_enum_value_exists(enum node_stat_item___other, NR_SECONDARY_PAGETABLE___other) << 7);
	KEEP(bpf_core_enum_value_exists(enum zone_stat_item___before_5_8, NR_KERNEL_STACK_KB___before_5_8) << 8);
	KEEP(bpf_core_enum_value_exists(enum perf_event_state___other, PERF_EVENT_STATE_REVOKED___other) << 9);
	KEEP(bpf_core_enum_value_exists(enum bpf_cgroup_storage_type___none, BPF_CGROUP_STORAGE_NO_SUCH___none) << 10);
	KEEP(bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_VALUE) << 11);
	return 0;
}

PROGRAM(values)
{
	KEEP(bpf_core_enum_value(enum bpf_func_id, BPF_FUNC_map_lookup_elem));
	KEEP(bpf_core_enum_value(enum node_stat_item, NR_FILE_PAGES));
	KEEP(bpf_core_enum_value(enum zone_stat_item, NR_FREE_PAGES));
	KEEP(bpf_core_enum_value(enum pid_type, PIDTYPE_SID));
	KEEP(bpf_core_enum_value(enum perf_event_state, PERF_EVENT_STATE_DEAD));
	KEEP(bpf_core_enum_value(enum perf_event_state, PERF_EVENT_STATE_ACTIVE));
	KEEP(bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
	if (bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_ARENA))
		KEEP(bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_ARENA));
	if (bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_VALUE))
		KEEP(bpf_core_enum_value(enum no_such_enum, NO_SUCH_VALUE));
	return 0;
}
