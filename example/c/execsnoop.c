// SPDX-License-Identifier: BSD-2-Clause
/* Prints each started program, its parent and its arguments. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <btf_helpers.h>
#include <execsnoop.skel.h>

#include "execsnoop.h"
#include "host.h"
#include "text.h"

/* The size of the buffer for each processor: 16 pages. */
#define BUFFER_PAGES 16
#define POLL_MS 200

static const char usage[] = "\
Usage: execsnoop [OPTIONS]\n\
\n\
Prints each started program, its parent and its arguments.\n\
Three dots mean that arguments were too many, too long, or not in memory.\n\
\n\
  -f, --failed   also print failed calls of execve; RET is the error\n\
  -v, --verbose  print on stderr which BTF is used and why, and when the\n\
                 program is attached; twice: also libbpf's messages\n\
  -h, --help     print this help\n\
\n\
It must run as root, or with CAP_BPF, CAP_PERFMON, the right to read\n\
/sys/kernel/tracing, and the sysctl kernel.perf_event_paranoid at 2 or below.\n\
Calls of execveat are not seen, nor, on a 64-bit kernel, those of 32-bit\n\
programs and starts of 32-bit programs.\n";

struct options {
	bool failed;
};

static int verbose;
static volatile sig_atomic_t stopped;
/* The error of stdout: a negative errno. */
static int stdout_error;

static struct options parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "failed", no_argument, NULL, 'f' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "fvh", names, NULL)) != -1) {
		switch (option) {
		case 'f':
			options.failed = true;
			break;
		case 'v':
			verbose++;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "execsnoop: unexpected argument: %s\n", argv[optind]);
		exit(2);
	}
	return options;
}

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void handle_signals(void)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* Printing fails if the reader has gone away. */
	signal(SIGPIPE, SIG_IGN);
}

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_WARN && verbose < 2)
		return 0;
	return vfprintf(stderr, format, args);
}

static void print_args(const struct execsnoop_event *event)
{
	const char *arg = event->args, *end = event->args + event->args_len;
	size_t len;

	/* If even the first argument is missing, print the path. */
	if (arg == end)
		print_word(event->path, strnlen(event->path, sizeof(event->path)));
	for (; arg < end; arg += len + 1) {
		len = strnlen(arg, end - arg);
		if (arg != event->args)
			putchar(' ');
		print_word(arg, len);
		if (len + 1 >= EXECSNOOP_ARG_LEN)
			printf("...");
	}
	if (event->args_cut)
		printf(" ...");
}

static void handle_event(void *context, int cpu, void *data, __u32 size)
{
	const struct execsnoop_event *event = data;
	const size_t fixed = offsetof(struct execsnoop_event, args);

	(void)context;
	(void)cpu;
	if (stdout_error || size < fixed || event->args_len > size - fixed)
		return;
	print_column(event->comm, sizeof(event->comm), 16);
	printf(" %-7d %-7d %3d ", event->pid, event->ppid, event->result);
	print_args(event);
	stdout_error = end_line();
}

static void handle_lost(void *context, int cpu, __u64 count)
{
	(void)context;
	fprintf(stderr, "execsnoop: lost %llu events on processor %d\n", (unsigned long long)count, cpu);
}

/* Loads the BPF program. On failure, prints the reason and returns NULL. */
static struct execsnoop_bpf *load(const struct options *options)
{
	struct bpf_object_open_opts opts = { .sz = sizeof(opts) };
	struct execsnoop_bpf *skel;
	/* libbpf has errors of its own, which strerror() does not know. */
	char reason[128];
	int error;

	error = ensure_core_btf(&opts);
	if (error) {
		/* The reason, and every step of the lookup. */
		fprintf(stderr, "execsnoop: %s\n", core_btf_trace());
		return NULL;
	}
	if (verbose)
		fprintf(stderr, "%s\n", core_btf_trace());

	skel = execsnoop_bpf__open_opts(&opts);
	if (skel) {
		skel->rodata->include_failed = options->failed;
		error = execsnoop_bpf__load(skel);
	} else {
		error = -errno;
	}
	/* libbpf needs the BTF only while it loads the program. */
	cleanup_core_btf(&opts);
	if (error) {
		libbpf_strerror(error, reason, sizeof(reason));
		fprintf(stderr, "execsnoop: cannot load the BPF program: %s\n", reason);
		explain_load_error(error);
		execsnoop_bpf__destroy(skel);
		return NULL;
	}
	return skel;
}

/* Prints events until a signal comes or stdout is closed. Returns 0, or prints the reason and returns a negative errno. */
static int print_events(const struct execsnoop_bpf *skel)
{
	struct perf_buffer *buffer;
	int error = 0;

	buffer = perf_buffer__new(bpf_map__fd(skel->maps.events), BUFFER_PAGES, handle_event, handle_lost, NULL, NULL);
	if (!buffer) {
		error = -errno;
		fprintf(stderr, "execsnoop: cannot make the perf buffer: %s\n", strerror(-error));
		return error;
	}
	if (verbose)
		fprintf(stderr, "attached\n");
	printf("%-16s %-7s %-7s %3s %s", "PCOMM", "PID", "PPID", "RET", "ARGS");
	stdout_error = end_line();

	while (!stopped && !stdout_error && (error >= 0 || error == -EINTR))
		error = perf_buffer__poll(buffer, POLL_MS);
	if (!stdout_error && (error >= 0 || error == -EINTR))
		/* Print the events from before the signal. */
		error = perf_buffer__consume(buffer);
	perf_buffer__free(buffer);

	if (stdout_error == -EPIPE)
		return 0;
	if (stdout_error)
		fprintf(stderr, "execsnoop: cannot print: %s\n", strerror(-stdout_error));
	else if (error < 0)
		fprintf(stderr, "execsnoop: cannot read events: %s\n", strerror(-error));
	return stdout_error ? stdout_error : error < 0 ? error : 0;
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct execsnoop_bpf *skel;
	int error;

	/* So that a reader of a pipe gets each event at once. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	handle_signals();
	libbpf_set_print(print_libbpf);

	skel = load(&options);
	if (!skel)
		return 1;
	error = execsnoop_bpf__attach(skel);
	if (error) {
		fprintf(stderr, "execsnoop: cannot attach the BPF program: %s\n", strerror(-error));
		explain_attach_error(error);
	} else {
		error = print_events(skel);
	}
	execsnoop_bpf__destroy(skel);
	return error ? 1 : 0;
}
