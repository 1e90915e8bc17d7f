// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// More than 30,000 relocations, three hundred of them distinct, as in large programs; few.bpf.c is its twin.
#include "probe.h"
#include "few.h"

/* Takes a value and forgets it: with KEEP, this file takes twice as long to compile. */
#define USE(value) asm volatile("" ::"r"((__u64)(value)) : "memory")

#define ASK(type, field)                                         \
	USE(bpf_core_field_offset(NOWHERE(struct type)->field)); \
	USE(bpf_core_field_exists(NOWHERE(struct type)->field));

#define ASK_FOUR_TIMES(tracepoint)    \
	SEC("raw_tp/" #tracepoint)    \
	int on_##tracepoint(void *ctx) \
	{                             \
		FEW_FIELDS(ASK)       \
		FEW_FIELDS(ASK)       \
		FEW_FIELDS(ASK)       \
		FEW_FIELDS(ASK)       \
		return 0;             \
	}

ASK_FOUR_TIMES(sys_enter)
ASK_FOUR_TIMES(sys_exit)
ASK_FOUR_TIMES(sched_kthread_stop)
ASK_FOUR_TIMES(sched_waking)
ASK_FOUR_TIMES(sched_wakeup)
ASK_FOUR_TIMES(sched_wakeup_new)
ASK_FOUR_TIMES(sched_switch)
ASK_FOUR_TIMES(sched_migrate_task)
ASK_FOUR_TIMES(sched_process_free)
ASK_FOUR_TIMES(sched_process_exit)
ASK_FOUR_TIMES(sched_process_wait)
ASK_FOUR_TIMES(sched_process_fork)
ASK_FOUR_TIMES(sched_process_exec)
ASK_FOUR_TIMES(task_newtask)
ASK_FOUR_TIMES(task_rename)
ASK_FOUR_TIMES(signal_generate)
ASK_FOUR_TIMES(signal_deliver)
ASK_FOUR_TIMES(block_rq_insert)
ASK_FOUR_TIMES(block_rq_issue)
ASK_FOUR_TIMES(block_rq_complete)
ASK_FOUR_TIMES(net_dev_queue)
ASK_FOUR_TIMES(net_dev_xmit)
ASK_FOUR_TIMES(netif_receive_skb)
ASK_FOUR_TIMES(kfree_skb)
ASK_FOUR_TIMES(consume_skb)
ASK_FOUR_TIMES(tcp_probe)
ASK_FOUR_TIMES(cgroup_mkdir)
ASK_FOUR_TIMES(cgroup_rmdir)
