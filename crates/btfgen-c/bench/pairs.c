// SPDX-License-Identifier: BSD-2-Clause
/*
 * pairs RUNS A ARG B ARG: runs A B A B ..., each with its argument, and prints
 *     RATIO_TIME MICROSECONDS_A MICROSECONDS_B KIB_A KIB_B
 * where RATIO_TIME is the median of each B's wall time over the A before it, the times are medians, and the KiB are the largest
 * resident sets. A small program, because a process counts what its parent had in memory when it was forked.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, count, sizeof(*values), by_size);
	return values[count / 2];
}

/* Microseconds from its start to its end; updates its largest resident set, in KiB. */
static double run(char *program, char *argument, long *kib)
{
	char *const args[] = { program, argument, NULL };
	struct timespec begin, end;
	struct rusage usage;
	int error, status;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	error = posix_spawn(&pid, program, NULL, NULL, args, environ);
	if (error || wait4(pid, &status, 0, &usage) != pid || status) {
		fprintf(stderr, "pairs: %s failed\n", program);
		exit(1);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (usage.ru_maxrss > *kib)
		*kib = usage.ru_maxrss;
	return (end.tv_sec - begin.tv_sec) * 1e6 + (end.tv_nsec - begin.tv_nsec) / 1e3;
}

int main(int argc, char **argv)
{
	int i, runs = argc == 6 ? atoi(argv[1]) : 0;
	double *a = calloc(runs + 1, sizeof(*a)), *b = calloc(runs + 1, sizeof(*b)), *ratio = calloc(runs + 1, sizeof(*ratio));
	long kib_a = 0, kib_b = 0;

	if (runs < 1 || !a || !b || !ratio) {
		fprintf(stderr, "usage: pairs RUNS A ARG B ARG\n");
		return 2;
	}
	/* The first pair warms up. */
	for (i = -1; i < runs; i++) {
		int at = i < 0 ? 0 : i;

		a[at] = run(argv[2], argv[3], &kib_a);
		b[at] = run(argv[4], argv[5], &kib_b);
		ratio[at] = b[at] / a[at];
	}
	printf("%.2f %.0f %.0f %ld %ld\n", median(ratio, runs), median(a, runs), median(b, runs), kib_a, kib_b);
	return 0;
}
