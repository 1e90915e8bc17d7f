// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Direct loads and stores of fields that have another size on 32-bit kernels, and the ways around.
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct words {
	long direct;
	long guarded;
	long by_macro;
	long only_offset;
	unsigned long adapted;
	long long always_long;
	void *pointer;
	char far_away[32768];
	int beyond;
};

#pragma clang attribute pop

PROGRAM(refused)
{
	struct words *words = *(void **)ctx;

	KEEP(words->direct);
	return 0;
}

/* An offset of 32 KiB: no instruction has it, but BPF_CORE_READ adds it first. */
PROGRAM(far)
{
	struct words *words = *(void **)ctx;

	KEEP(BPF_CORE_READ(words, beyond));
	return 0;
}

PROGRAM(ways_around)
{
	struct words *words = *(void **)ctx;

	if (bpf_core_field_size(words->guarded) == sizeof(long))
		KEEP(words->guarded);
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(words, by_macro));
	KEEP(bpf_core_field_offset(words->only_offset));
	KEEP(words->adapted);
	KEEP(words->always_long);
	KEEP((unsigned long)words->pointer);
	return 0;
}
