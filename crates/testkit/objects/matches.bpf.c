// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// bpf-objects: clang 16
// Whether a type here matches the kernel's: member by member, not just by name.
#include "probe.h"

#define user __attribute__((btf_type_tag("user")))
#define rcu __attribute__((btf_type_tag("rcu")))

/* Fewer members than the kernel's, in another order, with pointers to what is only declared here. */
struct task_struct___part {
	int pid;
	struct mm_struct *mm;
	struct css_set *cgroups;
	void *stack;
};

/* One member more than any kernel has. */
struct task_struct___more {
	int pid;
	int no_such_member;
};

/* A member of another type. */
struct task_struct___other {
	struct mm_struct *pid;
};

/* Matches since 5.14. */
struct task_struct___since_5_14 {
	unsigned int __state;
};

struct iovec___tagged {
	void user *iov_base;
	size_t iov_len;
};

struct task_struct___tagged {
	struct task_struct rcu *real_parent;
	const struct cred rcu *cred;
};

/* Arrays must agree in their elements and in their length. */
struct task_struct___comm {
	char comm[16];
};

struct sock___bits {
	unsigned char sk_no_check_tx : 1;
	u16 sk_protocol;
};

union bpf_attr___part {
	struct {
		u32 map_type;
		u32 key_size;
	};
};

union thread_union___part {
	unsigned long stack[2048];
};

/* Enumerators that the kernel's has among others; what they stand for is of no matter. */
enum bpf_map_type___part {
	BPF_MAP_TYPE_HASH___part = 7,
	BPF_MAP_TYPE_RINGBUF___part = 8,
};

enum bpf_map_type___more {
	BPF_MAP_TYPE_NO_SUCH___more,
};

typedef int pid_t___same;
typedef void (*work_func_t___same)(struct work_struct *);
typedef int (*work_func_t___other)(struct work_struct *);

PROGRAM(structs)
{
	KEEP(bpf_core_type_matches(struct task_struct));
	KEEP(bpf_core_type_matches(struct task_struct___part) << 1);
	KEEP(bpf_core_type_matches(struct task_struct___more) << 2);
	KEEP(bpf_core_type_matches(struct task_struct___other) << 3);
	KEEP(bpf_core_type_matches(struct task_struct___since_5_14) << 4);
	KEEP(bpf_core_type_matches(struct iovec___tagged) << 5);
	KEEP(bpf_core_type_matches(struct task_struct___tagged) << 6);
	KEEP(bpf_core_type_matches(struct task_struct___comm) << 7);
	KEEP(bpf_core_type_matches(struct sock___bits) << 8);
	KEEP(bpf_core_type_matches(struct list_head) << 9);
	KEEP(bpf_core_type_matches(struct qstr) << 10);
	KEEP(bpf_core_type_matches(struct file_operations) << 11);
	return 0;
}

PROGRAM(others)
{
	KEEP(bpf_core_type_matches(union bpf_attr___part));
	KEEP(bpf_core_type_matches(union thread_union___part) << 1);
	KEEP(bpf_core_type_matches(enum bpf_map_type___part) << 2);
	KEEP(bpf_core_type_matches(enum bpf_map_type___more) << 3);
	KEEP(bpf_core_type_matches(enum hmm_pfn_flags) << 4);
	KEEP(bpf_core_type_matches(enum pid_type) << 5);
	KEEP(bpf_core_type_matches(pid_t___same) << 6);
	KEEP(bpf_core_type_matches(work_func_t___same) << 7);
	KEEP(bpf_core_type_matches(work_func_t___other) << 8);
	KEEP(bpf_core_type_matches(atomic_t) << 9);
	KEEP(bpf_core_type_matches(kernel_cap_t) << 10);
	return 0;
}
