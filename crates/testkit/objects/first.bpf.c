// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// What libbpf takes from the first of several candidates: the size of a load.
#include "probe.h"

struct first {
	unsigned int x;
	int y;
} __attribute__((preserve_access_index));

PROGRAM(load)
{
	struct first *first = *(void **)ctx;

	KEEP(first->x);
	return 0;
}

PROGRAM(exists)
{
	struct first *first = *(void **)ctx;

	KEEP(bpf_core_field_exists(first->y));
	return 0;
}

PROGRAM(both)
{
	struct first *first = *(void **)ctx;

	if (bpf_core_field_exists(first->y))
		KEEP(first->x);
	return 0;
}
