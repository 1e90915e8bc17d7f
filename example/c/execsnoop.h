/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The events that execsnoop's BPF program sends to user space. */
#ifndef EXECSNOOP_H
#define EXECSNOOP_H

#define EXECSNOOP_COMM_LEN 16
#define EXECSNOOP_PATH_LEN 256
/* Arguments beyond this many, or beyond this many bytes of each, are cut off. */
#define EXECSNOOP_MAX_ARGS 20
#define EXECSNOOP_ARG_LEN 128
#define EXECSNOOP_ARGS_LEN (EXECSNOOP_MAX_ARGS * EXECSNOOP_ARG_LEN)

struct execsnoop_event {
	int pid;
	int ppid;
	unsigned int uid;
	/* What execve returned: 0, or a negative errno. */
	int result;
	/* The parent's state, TASK_* of the kernel's sched.h: a shell that waits for its child sleeps. */
	unsigned int parent_state;
	/* The number of arguments in `args`, including argv[0]. */
	unsigned int args_count;
	/* The number of used bytes of `args`. */
	unsigned int args_len;
	/* Not 0 if arguments are missing: there were too many, or they were not in memory and a BPF program cannot wait for them. */
	unsigned int args_cut;
	char comm[EXECSNOOP_COMM_LEN];
	char path[EXECSNOOP_PATH_LEN];
	/* The arguments one after the other, each with its NUL. Only the used part is sent. */
	char args[EXECSNOOP_ARGS_LEN];
};

#endif
