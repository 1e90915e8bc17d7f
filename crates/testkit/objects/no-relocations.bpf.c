// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// .BTF and .BTF.ext, but nothing to relocate.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

__u64 calls = 0;

SEC("raw_tp/sys_enter")
int count(void *ctx)
{
	calls++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
