// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "host.h"

/* The effective capabilities of this process, one bit each; all of them if unknown. */
static unsigned long long capabilities(void)
{
	unsigned long long mask = -1ULL;
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");

	while (status && fgets(line, sizeof(line), status)) {
		if (sscanf(line, "CapEff: %llx", &mask) == 1)
			break;
	}
	if (status)
		fclose(status);
	return mask;
}

static bool has(int capability)
{
	return capabilities() >> capability & 1;
}

/* Whether the list of tracepoints, where libbpf looks them up, can be read: 0, or a negative errno. */
static int find_tracepoints(void)
{
	static const char *const paths[] = { "/sys/kernel/debug/tracing/events", "/sys/kernel/tracing/events" };
	int fd = -1;
	size_t i;

	for (i = 0; fd < 0 && i < sizeof(paths) / sizeof(*paths); i++)
		fd = open(paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

void explain_load_error(int error)
{
	if (error != -EPERM && error != -EACCES)
		return;
	if (has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON))) {
		if (error == -EPERM)
			fprintf(stderr, "This process has the capabilities. Something else forbids BPF: the limit of locked memory\n"
					"(before Linux 5.11: ulimit -l unlimited), kernel lockdown, the seccomp filter of a\n"
					"container, or a security module.\n");
		return;
	}
	fprintf(stderr,
		"It must run as root, or with CAP_BPF and CAP_PERFMON (before Linux 5.8: CAP_SYS_ADMIN). Missing:%s%s\n",
		has(CAP_BPF) ? "" : " CAP_BPF", has(CAP_PERFMON) ? "" : " CAP_PERFMON");
}

void explain_attach_error(int error)
{
	int tracepoints = find_tracepoints();

	if (tracepoints == -EACCES || tracepoints == -EPERM)
		fprintf(stderr, "It must be allowed to read /sys/kernel/tracing: run it as root, or with CAP_DAC_READ_SEARCH.\n");
	else if (tracepoints)
		fprintf(stderr, "There are no tracepoints in /sys/kernel/tracing. To mount it, as root:\n"
				"    mount -t tracefs tracefs /sys/kernel/tracing\n");
	else if ((error == -EACCES || error == -EPERM) && !has(CAP_SYS_ADMIN))
		fprintf(stderr, "It may not use perf events: run it as root, or with the sysctl kernel.perf_event_paranoid\n"
				"at 2 or below.\n");
	else
		explain_load_error(error);
}
