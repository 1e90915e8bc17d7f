// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Three hundred distinct relocations: what many.bpf.c asks for, asked twice.
#include "probe.h"
#include "few.h"

#define ASK(type, field)                                          \
	KEEP(bpf_core_field_offset(NOWHERE(struct type)->field)); \
	KEEP(bpf_core_field_exists(NOWHERE(struct type)->field));

PROGRAM(once)
{
	FEW_FIELDS(ASK)
	return 0;
}

SEC("tp/sched/sched_switch")
int again(void *ctx)
{
	FEW_FIELDS(ASK)
	return 0;
}
