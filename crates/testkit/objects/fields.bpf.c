// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Byte offset, size, existence and signedness of ordinary fields.
#include "probe.h"

/* Chains of pointers, as programs follow them: one relocation for each step. */
PROGRAM(chains)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	KEEP(BPF_CORE_READ(task, pid));
	KEEP(BPF_CORE_READ(task, real_parent, tgid));
	KEEP(BPF_CORE_READ(task, mm, exe_file, f_inode, i_ino));
	KEEP(BPF_CORE_READ(task, nsproxy, uts_ns, ns.inum));
	KEEP(BPF_CORE_READ(task, cred, uid.val));
	KEEP(BPF_CORE_READ(task, signal, live.counter));
	KEEP(BPF_CORE_READ(task, mm, start_code));
	KEEP(BPF_CORE_READ(task, fs, pwd.dentry, d_name.name));
	KEEP(BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id));
	return 0;
}

PROGRAM(strings)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	char comm[16], node[65];

	KEEP(bpf_core_read_str(comm, sizeof(comm), &task->comm));
	KEEP(BPF_CORE_READ_STR_INTO(&node, task, nsproxy, uts_ns, name.nodename));
	KEEP(comm[0] + node[0]);
	return 0;
}

PROGRAM(sizes)
{
	KEEP(bpf_core_field_size(NOWHERE(struct task_struct)->comm));
	KEEP(bpf_core_field_size(NOWHERE(struct task_struct)->thread_info));
	KEEP(bpf_core_field_size(NOWHERE(struct task_struct)->cpus_mask));
	KEEP(bpf_core_field_size(NOWHERE(struct task_struct)->start_time));
	KEEP(bpf_core_field_size(NOWHERE(struct sock)->sk_protocol));
	KEEP(bpf_core_field_size(NOWHERE(struct mm_struct)->rss_stat));
	KEEP(bpf_core_field_size(NOWHERE(struct sk_buff)->cb));
	KEEP(bpf_core_field_size(NOWHERE(struct dentry)->d_name));
	return 0;
}

PROGRAM(existence)
{
	KEEP(bpf_core_field_exists(NOWHERE(struct task_struct)->__state));
	KEEP(bpf_core_field_exists(NOWHERE(struct task_struct)->saved_state));
	KEEP(bpf_core_field_exists(NOWHERE(struct task_struct)->scx) << 1);
	KEEP(bpf_core_field_exists(NOWHERE(struct mm_struct)->mm_mt) << 2);
	KEEP(bpf_core_field_exists(NOWHERE(struct file)->f_inode) << 3);
	KEEP(bpf_core_field_exists(NOWHERE(struct trace_event_raw_sched_process_exit)->group_dead) << 4);
	return 0;
}

PROGRAM(signedness)
{
	KEEP(FIELD_IS_SIGNED(NOWHERE(struct task_struct)->exit_code));
	KEEP(FIELD_IS_SIGNED(NOWHERE(struct task_struct)->flags) << 1);
	KEEP(FIELD_IS_SIGNED(NOWHERE(struct inode)->i_nlink) << 2);
	return 0;
}

PROGRAM(offsets)
{
	KEEP(bpf_core_field_offset(NOWHERE(struct sock)->sk_rcvbuf));
	KEEP(bpf_core_field_offset(NOWHERE(struct net_device)->ifindex));
	KEEP(bpf_core_field_offset(NOWHERE(struct inode)->i_sb));
	KEEP(bpf_core_field_offset(NOWHERE(struct bpf_prog)->aux));
	KEEP(bpf_core_field_offset(NOWHERE(struct request)->q));
	return 0;
}
