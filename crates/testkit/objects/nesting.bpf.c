// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Members of anonymous structs and unions, nested ones, and members that one side has deeper than the other.
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Flat here; in the kernel inside of anonymous structs and unions. */
struct sock_common___flat {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__u16 skc_num;
};

struct sk_buff___flat {
	struct net_device *dev;
	struct sock *sk;
};

/* Inside of anonymous structs here; in the kernel flat, or in others. */
struct task_struct___deep {
	union {
		struct {
			union {
				int pid;
				int tgid;
			};
		};
		struct {
			struct mm_struct *mm;
		};
	};
};

/* An anonymous struct here, that has a name in the kernel: not the same. */
struct task_struct___named {
	struct {
		struct {
			u64 sum_exec_runtime;
		};
	};
};

/* Only declared in the BTF of some kernels. */
union thread_union___local {
	unsigned long stack[2048];
};

#pragma clang attribute pop

PROGRAM(unions)
{
	struct page *page = (void *)bpf_get_current_task();
	struct sock *sock = (void *)page;
	struct sk_buff *skb = (void *)page;
	struct dentry *dentry = (void *)page;
	struct file *file = (void *)page;

	KEEP(BPF_CORE_READ(page, mapping));
	KEEP(BPF_CORE_READ(page, lru.next));
	KEEP(BPF_CORE_READ(page, _refcount.counter));
	KEEP(BPF_CORE_READ(sock, __sk_common.skc_daddr));
	KEEP(BPF_CORE_READ(sock, __sk_common.skc_dport));
	KEEP(BPF_CORE_READ(sock, __sk_common.skc_v6_daddr.in6_u.u6_addr32[3]));
	KEEP(BPF_CORE_READ(skb, dev, ifindex));
	KEEP(BPF_CORE_READ(skb, sk, sk_rcvbuf));
	KEEP(BPF_CORE_READ(skb, mac_header));
	KEEP(BPF_CORE_READ(dentry, d_name.hash_len));
	KEEP(bpf_core_field_exists(file->f_path.dentry));
	return 0;
}

PROGRAM(depths)
{
	struct sock_common___flat *common = (void *)bpf_get_current_task();
	struct sk_buff___flat *skb = (void *)common;
	struct task_struct___deep *deep = (void *)common;
	struct task_struct___named *named = (void *)common;

	KEEP(BPF_CORE_READ(common, skc_daddr));
	KEEP(BPF_CORE_READ(common, skc_rcv_saddr));
	KEEP(BPF_CORE_READ(common, skc_num));
	KEEP(BPF_CORE_READ(skb, dev));
	KEEP(BPF_CORE_READ(skb, sk));
	KEEP(BPF_CORE_READ(deep, pid));
	KEEP(BPF_CORE_READ(deep, tgid));
	KEEP(BPF_CORE_READ(deep, mm));
	KEEP(bpf_core_field_exists(named->sum_exec_runtime));
	return 0;
}

/* Unions as roots. */
PROGRAM(union_roots)
{
	union bpf_attr *attr = (void *)bpf_get_current_task();
	union thread_union___local *thread = (void *)attr;

	KEEP(BPF_CORE_READ(attr, map_type));
	KEEP(BPF_CORE_READ(attr, prog_type));
	KEEP(BPF_CORE_READ(attr, link_create.prog_fd));
	KEEP(bpf_core_field_exists(attr->map_extra));
	KEEP(BPF_CORE_READ(thread, stack[1]));
	return 0;
}
