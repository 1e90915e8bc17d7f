/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What all test objects begin with. */
#ifndef PROBE_H
#define PROBE_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* Where values go that the compiler must not find unused. */
__u64 sink = 0;

#define KEEP(value) (sink += (__u64)(value))

/* A program of a type that every kernel has. */
#define PROGRAM(name) SEC("raw_tp/sys_enter") int name(void *ctx)

/* Field relocations that libbpf's headers have no macro for; `field` is an expression such as task->pid. */
#define FIELD_IS_SIGNED(field) __builtin_preserve_field_info(field, BPF_FIELD_SIGNED)

/* A pointer to a type, of which only the type matters. */
#define NOWHERE(type) ((type *)0)

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#endif
