// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A relocation of two statements at once. clang 14 reads the field once for both, and gives that instruction the line 0.
#include "probe.h"

struct lines_inner {
	long number;
} __attribute__((preserve_access_index));

struct lines {
	struct lines_inner *first;
	struct lines_inner *second;
} __attribute__((preserve_access_index));

PROGRAM(before)
{
	return 0;
}

PROGRAM(merged)
{
	struct lines *lines = (void *)bpf_get_current_task();

	if (bpf_core_field_exists(lines->first))
		return BPF_CORE_READ(lines, first, number);
	if (bpf_core_field_exists(lines->second))
		return BPF_CORE_READ(lines, second, number);
	return 0;
}
