// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A kernel for modules.bpf.c, without the types of its modules.

struct in_all {
	int pad[7];
	int count;
} in_all;

struct task_struct {
	int pid;
} task;
