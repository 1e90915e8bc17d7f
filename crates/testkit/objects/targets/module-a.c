// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A module of targets/modular.c. As a kernel of its own, it has only the module's types.

struct in_all {
	int count;
} in_all;

struct task_struct;

struct in_a {
	int before;
	long number;
	struct task_struct *task;
} in_a;

struct in_a_and_b {
	long pad;
	int number;
} in_a_and_b;

struct disputed {
	int number;
	int same;
} disputed;
