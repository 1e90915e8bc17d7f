/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a program of probe.bpf.c found. Sizes and the offset are in bytes, and 0 if unknown. `value` is 0 if it only asks. */
#ifndef PROBE_H
#define PROBE_H

struct answer {
	__u64 type_exists, type_size, member_exists, member_offset, member_size, value;
};

#endif
