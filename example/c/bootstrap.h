/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What bootstrap's BPF program tells its user space. */
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
	/* BOOTSTRAP_EXIT: as wait(2) tells it: the exit status in bits 8 to 15, the signal in bits 0 to 6. */
	unsigned int exit_code;
	/* When the process was made, in nanoseconds since boot, time in suspend included. */
	unsigned long long started_ns;
	/* BOOTSTRAP_EXIT: how long the process lived, in nanoseconds, time in suspend not included. */
	unsigned long long duration_ns;
	char comm[BOOTSTRAP_COMM_LEN];
	/* BOOTSTRAP_START: the program. */
	char path[BOOTSTRAP_PATH_LEN];
};

#endif
