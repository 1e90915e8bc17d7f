// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Elements of arrays: one and more dimensions, flexible ones, and pointers that are indexed like arrays.
#include "probe.h"

/* Longer than the kernel's: an element of it lies outside. */
struct task_struct___long_comm {
	char comm[1024];
} __attribute__((preserve_access_index));

PROGRAM(elements)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___long_comm *long_comm = (void *)task;
	struct mm_struct *mm = (void *)task;
	struct pglist_data *node = (void *)task;

	KEEP(BPF_CORE_READ(task, comm[3]));
	KEEP(BPF_CORE_READ(mm, saved_auxv[5]));
	KEEP(BPF_CORE_READ(node, node_zones[1].spanned_pages));
	KEEP(BPF_CORE_READ(node, node_zonelists[0]._zonerefs[2].zone));
	KEEP(BPF_CORE_READ(node, node_zones[1].free_area[2].nr_free));
	if (bpf_core_field_exists(long_comm->comm[100]))
		KEEP(BPF_CORE_READ(long_comm, comm[100]));
	return 0;
}

/* pahole flattened these before 1.28: the same elements in an array of one dimension. */
PROGRAM(dimensions)
{
	struct psi_group *group = (void *)bpf_get_current_task();
	struct psi_group_cpu *cpu = (void *)group;
	struct vlan_group *vlans = (void *)group;

	KEEP(bpf_core_field_offset(group->total[1][2]));
	KEEP(bpf_core_field_offset(group->avg[0][1]));
	KEEP(bpf_core_field_offset(cpu->times_prev[1][3]));
	KEEP(bpf_core_field_size(vlans->vlan_devices_arrays[1]));
	KEEP(bpf_core_field_exists(group->total[1][2]));
	return 0;
}

PROGRAM(flexible)
{
	struct pid *pid = (void *)bpf_get_current_task();
	struct perf_callchain_entry *chain = (void *)pid;
	struct bpf_prog *prog = (void *)pid;
	struct fdtable *files = (void *)pid;
	struct cgroup *cgroup = (void *)pid;

	KEEP(BPF_CORE_READ(pid, numbers[0].nr));
	KEEP(BPF_CORE_READ(pid, numbers[2].nr));
	KEEP(BPF_CORE_READ(chain, ip[7]));
	KEEP(bpf_core_field_offset(prog->insnsi[1].imm));
	KEEP(bpf_core_field_exists(cgroup->ancestors[2]));
	KEEP(BPF_CORE_READ(files, fd));
	return 0;
}

/* The root itself is indexed. */
PROGRAM(roots)
{
	struct upid *numbers = (void *)bpf_get_current_task();
	struct bio_vec *vectors = (void *)numbers;
	struct task_struct *tasks = (void *)numbers;

	KEEP(bpf_core_field_offset(numbers[3].ns));
	KEEP(bpf_core_field_offset(vectors[15].bv_len));
	KEEP(bpf_core_field_offset(tasks[2].tgid));
	KEEP(bpf_core_field_size(vectors[1].bv_page));
	KEEP(bpf_core_field_exists(vectors[1].bv_offset));
	return 0;
}
