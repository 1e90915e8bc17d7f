// SPDX-License-Identifier: BSD-2-Clause
/* Prints the start and exit of processes, with duration and exit code. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>
#include <bootstrap.skel.h>
#include <btf_helpers.h>

#include "bootstrap.h"
#include "host.h"
#include "text.h"

#define POLL_MS 200
#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

static const char usage[] = "\
Usage: bootstrap [OPTIONS]\n\
\n\
Prints the start and exit of processes, with their duration, and with their exit\n\
code or signal.\n\
\n\
  -d, --min-duration MS  print only exits of processes that lived for at least\n\
                         this many milliseconds\n\
  -v, --verbose          print on stderr which BTF is used and why, and when\n\
                         the program is attached; twice: also libbpf's messages\n\
  -h, --help             print this help\n\
\n\
It must run as root, or with CAP_BPF, CAP_PERFMON, the right to read\n\
/sys/kernel/tracing, and the sysctl kernel.perf_event_paranoid at 2 or below;\n\
and on Linux 5.8 or newer.\n";

struct options {
	unsigned long long min_duration_ms;
};

static int verbose;
static volatile sig_atomic_t stopped;
/* The error of stdout: a negative errno. */
static int stdout_error;

static unsigned long long parse_ms(const char *text)
{
	unsigned long long ms;
	char *end;

	errno = 0;
	ms = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || ms > -1ULL / NS_PER_MS) {
		fprintf(stderr, "bootstrap: not a number of milliseconds: %s\n", text);
		exit(2);
	}
	return ms;
}

static struct options parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "min-duration", required_argument, NULL, 'd' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "d:vh", names, NULL)) != -1) {
		switch (option) {
		case 'd':
			options.min_duration_ms = parse_ms(optarg);
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
		fprintf(stderr, "bootstrap: unexpected argument: %s\n", argv[optind]);
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

static long long now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * (long long)NS_PER_S + now.tv_nsec;
}

/* Prints a time of CLOCK_REALTIME as local time, HH:MM:SS. */
static void print_time(long long ns)
{
	time_t seconds = ns / (long long)NS_PER_S;
	struct tm local;
	char text[16];

	localtime_r(&seconds, &local);
	strftime(text, sizeof(text), "%H:%M:%S", &local);
	fputs(text, stdout);
}

static void print_exit(const struct bootstrap_event *event)
{
	int signal = event->exit_code & 0x7f;
	long long age_ns = now_ns(CLOCK_BOOTTIME) - (long long)event->started_ns;

	if (signal)
		printf("signal %d", signal);
	else
		printf("%d", event->exit_code >> 8 & 0xff);
	printf(", lived %llu ms, started ", event->duration_ns / NS_PER_MS);
	print_time(now_ns(CLOCK_REALTIME) - age_ns);
}

static int handle_event(void *context, void *data, size_t size)
{
	const struct bootstrap_event *event = data;

	(void)context;
	if (stdout_error || size < sizeof(*event))
		return stdout_error;
	print_time(now_ns(CLOCK_REALTIME));
	printf(" %-5s ", event->kind == BOOTSTRAP_EXIT ? "EXIT" : "START");
	print_column(event->comm, sizeof(event->comm), 16);
	printf(" %-7d %-7d ", event->pid, event->ppid);
	if (event->kind == BOOTSTRAP_EXIT)
		print_exit(event);
	else
		print_word(event->path, strnlen(event->path, sizeof(event->path)));
	stdout_error = end_line();
	return stdout_error;
}

/* Loads the BPF program. On failure, prints the reason and returns NULL. */
static struct bootstrap_bpf *load(const struct options *options)
{
	struct bpf_object_open_opts opts = { .sz = sizeof(opts) };
	struct bootstrap_bpf *skel;
	/* libbpf has errors of its own, which strerror() does not know. */
	char reason[128];
	int error;

	error = ensure_core_btf(&opts);
	if (error) {
		/* The reason, and every step of the lookup. */
		fprintf(stderr, "bootstrap: %s\n", core_btf_trace());
		return NULL;
	}
	if (verbose)
		fprintf(stderr, "%s\n", core_btf_trace());

	skel = bootstrap_bpf__open_opts(&opts);
	if (skel) {
		skel->rodata->min_duration_ns = options->min_duration_ms * NS_PER_MS;
		error = bootstrap_bpf__load(skel);
	} else {
		error = -errno;
	}
	/* libbpf needs the BTF only while it loads the program. */
	cleanup_core_btf(&opts);
	if (error) {
		libbpf_strerror(error, reason, sizeof(reason));
		fprintf(stderr, "bootstrap: cannot load the BPF program: %s\n", reason);
		explain_load_error(error);
		bootstrap_bpf__destroy(skel);
		return NULL;
	}
	return skel;
}

/* Prints events until a signal comes or stdout is closed. Returns 0, or prints the reason and returns a negative errno. */
static int print_events(const struct bootstrap_bpf *skel)
{
	struct ring_buffer *buffer;
	int error = 0;

	buffer = ring_buffer__new(bpf_map__fd(skel->maps.events), handle_event, NULL, NULL);
	if (!buffer) {
		error = -errno;
		fprintf(stderr, "bootstrap: cannot make the ring buffer: %s\n", strerror(-error));
		return error;
	}
	if (verbose)
		fprintf(stderr, "attached\n");
	printf("%-8s %-5s %-16s %-7s %-7s %s", "TIME", "EVENT", "COMM", "PID", "PPID", "FILENAME or EXIT CODE");
	stdout_error = end_line();

	while (!stopped && !stdout_error && (error >= 0 || error == -EINTR))
		error = ring_buffer__poll(buffer, POLL_MS);
	if (!stdout_error && (error >= 0 || error == -EINTR))
		/* Print the events from before the signal. */
		error = ring_buffer__consume(buffer);
	ring_buffer__free(buffer);

	if (stdout_error == -EPIPE)
		return 0;
	if (stdout_error)
		fprintf(stderr, "bootstrap: cannot print: %s\n", strerror(-stdout_error));
	else if (error < 0)
		fprintf(stderr, "bootstrap: cannot read events: %s\n", strerror(-error));
	return stdout_error ? stdout_error : error < 0 ? error : 0;
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct bootstrap_bpf *skel;
	int error;

	/* So that a reader of a pipe gets each event at once. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	handle_signals();
	libbpf_set_print(print_libbpf);

	skel = load(&options);
	if (!skel)
		return 1;
	error = bootstrap_bpf__attach(skel);
	if (error) {
		fprintf(stderr, "bootstrap: cannot attach the BPF program: %s\n", strerror(-error));
		explain_attach_error(error);
	} else {
		error = print_events(skel);
	}
	bootstrap_bpf__destroy(skel);
	return error ? 1 : 0;
}
