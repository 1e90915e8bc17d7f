// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Relocations whose root is a typedef, mostly of a struct that has no name of its own.
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Before 6.3 an array of two halves. */
typedef struct {
	__u32 cap[2];
} kernel_cap_t___before_6_3;

typedef struct {
	u64 val;
} kernel_cap_t___since_6_3;

/* A typedef of a typedef. */
typedef struct {
	int counter;
} atomic_t___local;
typedef atomic_t___local atomic_t___twice;

typedef struct {
	union {
		void *kernel;
		void *user;
	};
} sockptr_t___local;

/* A struct's name here is a typedef's name in the kernel: other kinds, so no candidates. */
struct kuid_t {
	unsigned int val;
};

typedef struct {
	int no_such_member;
} atomic64_t___other;

#pragma clang attribute pop

PROGRAM(roots)
{
	atomic_t___local *counter = (void *)bpf_get_current_task();
	atomic_t___twice *twice = (void *)counter;
	kernel_cap_t___before_6_3 *halves = (void *)counter;
	kernel_cap_t___since_6_3 *whole = (void *)counter;
	struct kuid_t *uid = (void *)counter;
	atomic64_t___other *other = (void *)counter;

	KEEP(BPF_CORE_READ(counter, counter));
	KEEP(BPF_CORE_READ(twice, counter));
	if (bpf_core_field_exists(halves->cap))
		KEEP(BPF_CORE_READ(halves, cap[1]));
	else
		KEEP(BPF_CORE_READ(whole, val));
	KEEP(bpf_core_field_exists(uid->val));
	KEEP(bpf_core_field_exists(other->no_such_member));
	return 0;
}

PROGRAM(pointers)
{
	sockptr_t___local *pointer = (void *)bpf_get_current_task();
	spinlock_t *lock = (void *)pointer;
	wait_queue_head_t *queue = (void *)pointer;
	seqcount_t *sequence = (void *)pointer;
	nodemask_t *nodes = (void *)pointer;

	KEEP(BPF_CORE_READ(pointer, user));
	KEEP(BPF_CORE_READ(pointer, kernel));
	KEEP(bpf_core_field_exists(lock->rlock.raw_lock));
	KEEP(BPF_CORE_READ(queue, head.next));
	KEEP(BPF_CORE_READ(sequence, sequence));
	KEEP(BPF_CORE_READ(nodes, bits[0]));
	return 0;
}
