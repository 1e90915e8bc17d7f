// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// One field under the names and in the places it had in different kernels, by flavours of its struct.
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___before_5_14 {
	volatile long state;
};

/* The atomic counters of 6.1 are per-CPU counters since 6.2. */
struct mm_struct___before_6_2 {
	struct mm_rss_stat___before_6_2 {
		struct {
			long counter;
		} count[4];
	} rss_stat;
};

struct kernfs_node___before_6_15 {
	struct kernfs_node *parent;
};

struct request___before_5_17 {
	struct gendisk *rq_disk;
};

struct bio___before_5_12 {
	struct gendisk *bi_disk;
};

struct inode___before_6_6 {
	struct timespec64 i_mtime;
};

struct inode___6_6_to_6_10 {
	struct timespec64 __i_mtime;
};

struct inode___since_6_11 {
	long i_mtime_sec;
	unsigned int i_mtime_nsec;
};

struct mm_struct___before_6_1 {
	struct vm_area_struct *mmap;
};

struct mount___before_6_18 {
	struct list_head mnt_instance;
};

/* libbpf cuts a name at its last "___": the essential name is dentry___one, which no kernel has. */
struct dentry___one___two {
	struct qstr d_name;
};

/* Flavours of structs that no kernel has. */
struct no_such_struct___one {
	int field;
};

#pragma clang attribute pop

PROGRAM(scheduler)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___before_5_14 *old = (void *)task;

	if (bpf_core_field_exists(task->__state))
		KEEP(BPF_CORE_READ(task, __state));
	else
		KEEP(BPF_CORE_READ(old, state));
	return 0;
}

PROGRAM(memory)
{
	struct mm_struct *mm = (void *)bpf_get_current_task();
	struct mm_struct___before_6_2 *atomic = (void *)mm;
	struct mm_struct___before_6_1 *listed = (void *)mm;

	if (bpf_core_type_exists(struct mm_rss_stat___before_6_2))
		KEEP(BPF_CORE_READ(atomic, rss_stat.count[1].counter));
	else
		KEEP(BPF_CORE_READ(mm, rss_stat[1].count));
	if (bpf_core_field_exists(listed->mmap))
		KEEP(BPF_CORE_READ(listed, mmap));
	return 0;
}

PROGRAM(files)
{
	struct inode *inode = (void *)bpf_get_current_task();
	struct inode___before_6_6 *old = (void *)inode;
	struct inode___6_6_to_6_10 *middle = (void *)inode;
	struct inode___since_6_11 *new = (void *)inode;
	struct kernfs_node *node = (void *)inode;
	struct kernfs_node___before_6_15 *old_node = (void *)inode;
	struct mount___before_6_18 *mount = (void *)inode;
	struct dentry___one___two *dentry = (void *)inode;

	if (bpf_core_field_exists(new->i_mtime_sec))
		KEEP(BPF_CORE_READ(new, i_mtime_sec) + BPF_CORE_READ(new, i_mtime_nsec));
	else if (bpf_core_field_exists(middle->__i_mtime))
		KEEP(BPF_CORE_READ(middle, __i_mtime.tv_sec));
	else
		KEEP(BPF_CORE_READ(old, i_mtime.tv_sec));
	if (bpf_core_field_exists(node->__parent))
		KEEP(BPF_CORE_READ(node, __parent, id));
	else
		KEEP(BPF_CORE_READ(old_node, parent, id));
	KEEP(bpf_core_field_exists(mount->mnt_instance));
	if (bpf_core_field_exists(dentry->d_name))
		KEEP(BPF_CORE_READ(dentry, d_name.name));
	KEEP(BPF_CORE_READ(inode, i_ino));
	return 0;
}

PROGRAM(block)
{
	struct request *request = (void *)bpf_get_current_task();
	struct request___before_5_17 *old_request = (void *)request;
	struct bio *bio = (void *)request;
	struct bio___before_5_12 *old_bio = (void *)request;
	struct no_such_struct___one *nothing = (void *)request;

	if (bpf_core_field_exists(old_request->rq_disk))
		KEEP(BPF_CORE_READ(old_request, rq_disk, major));
	else
		KEEP(BPF_CORE_READ(request, q, disk, major));
	if (bpf_core_field_exists(old_bio->bi_disk))
		KEEP(BPF_CORE_READ(old_bio, bi_disk, first_minor));
	else
		KEEP(BPF_CORE_READ(bio, bi_bdev, bd_disk, first_minor));
	if (bpf_core_type_exists(struct no_such_struct___one))
		KEEP(BPF_CORE_READ(nothing, field));
	return 0;
}
