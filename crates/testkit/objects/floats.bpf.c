// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Fields next to and of floating-point type. Among kernels, s390x has them.
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef union {
	float f;
	double d;
	__u64 ui;
	__u32 fp;
} freg_t;

/* An integer where the kernel has a float: libbpf tells the two apart. */
typedef union {
	__u32 f;
} freg_t___integer;

#pragma clang attribute pop

PROGRAM(registers)
{
	freg_t *here = (void *)bpf_get_current_task();
	freg_t___integer *integer = (void *)here;

	KEEP(bpf_core_field_exists(here->f));
	KEEP(bpf_core_field_size(here->d));
	KEEP(bpf_core_field_offset(here->ui));
	KEEP(bpf_core_field_exists(integer->f));
	KEEP(bpf_core_type_exists(freg_t));
	KEEP(bpf_core_type_size(freg_t));
	return 0;
}
