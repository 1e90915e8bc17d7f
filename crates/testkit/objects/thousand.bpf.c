// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A thousand distinct relocations over some hundred structs of the kernel.
#include "probe.h"
#include "thousand.h"

#define ASK(type, field) KEEP(bpf_core_field_offset(NOWHERE(struct type)->field));

PROGRAM(every_field)
{
	THOUSAND_FIELDS(ASK)
	return 0;
}
