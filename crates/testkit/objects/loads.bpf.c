// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Loads out of a kernel's structs by the program itself: libbpf before 1.6 compares the size of a whole array with the load.
#include "probe.h"

char out[64];

PROGRAM(whole_arrays)
{
	struct task_struct *task = *(void **)ctx;
	struct net_device *device = *(void **)ctx;
	struct sockaddr_in *address = *(void **)ctx;

	__builtin_memcpy(out, task->comm, 16);
	__builtin_memcpy(out + 16, device->perm_addr, 32);
	__builtin_memcpy(out + 48, address->__pad, 8);
	return 0;
}

PROGRAM(plain_fields)
{
	struct task_struct *task = *(void **)ctx;

	KEEP(task->pid);
	KEEP(task->start_time);
	KEEP(task->flags);
	KEEP(task->comm[3]);
	KEEP((unsigned long)task->real_parent);
	return 0;
}

PROGRAM(whole_structs)
{
	struct task_struct *task = *(void **)ctx;
	struct sock *sock = *(void **)ctx;

	__builtin_memcpy(out, &task->tasks, sizeof(struct list_head));
	__builtin_memcpy(out + 16, &sock->__sk_common.skc_v6_daddr, sizeof(struct in6_addr));
	return 0;
}
