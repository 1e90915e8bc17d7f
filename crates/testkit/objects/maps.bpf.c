// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Maps and no programs: .BTF, but no .BTF.ext.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct bpf_map_info);
} things SEC(".maps");

char LICENSE[] SEC("license") = "Dual BSD/GPL";
