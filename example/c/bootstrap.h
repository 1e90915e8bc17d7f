/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The events that bootstrap's BPF program sends to user space. */
#ifndef BOOTSTRAP_H
#define BOOTSTRAP_H

#define BOOTSTRAP_COMM_LEN 16
#define BOOTSTRAP_PATH_LEN 256

enum bootstrap_kind {
	BOOTSTRAP_START,
	BOOTSTRAP_EXIT,
};

struct bootstrap_event {
	enum bootstrap_kind kind;
	int pid;
	int ppid;
	/* BOOTSTRAP_EXIT: as in wait(2): the exit status in bits 8 to 15, the signal in bits 0 to 6. */
	unsigned int exit_code;
	/* When the process was created, in nanoseconds since boot, including suspend. */
	unsigned long long started_ns;
	/* BOOTSTRAP_EXIT: how long the process lived, in nanoseconds, excluding suspend. */
	unsigned long long duration_ns;
	char comm[BOOTSTRAP_COMM_LEN];
	/* BOOTSTRAP_START: the program. */
	char path[BOOTSTRAP_PATH_LEN];
};

#endif
