// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Bitfields: byte offset, byte size, left shift, right shift and sign of each.
#include "probe.h"

/* Up to 5.5 these were bitfields; later kernels have fields of 16 and 8 bits. */
struct sock___before_5_6 {
	unsigned int __sk_flags_offset[0];
	unsigned int sk_padding : 1;
	unsigned int sk_kern_sock : 1;
	unsigned int sk_no_check_tx : 1;
	unsigned int sk_no_check_rx : 1;
	unsigned int sk_userlocks : 4;
	unsigned int sk_protocol : 8;
	unsigned int sk_type : 16;
} __attribute__((preserve_access_index));

/* A signed local bitfield against unsigned ones of the kernel. */
struct task_struct___signed {
	signed int in_iowait : 1;
} __attribute__((preserve_access_index));

/* An ordinary field of the kernel read as a bitfield, and a bitfield read as an ordinary field. */
struct task_struct___swapped {
	int exit_signal : 9;
	unsigned char sched_reset_on_fork;
} __attribute__((preserve_access_index));

PROGRAM(task)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___signed *negative = (void *)task;
	struct task_struct___swapped *swapped = (void *)task;

	KEEP(BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(task, sched_contributes_to_load));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(task, in_execve));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(task, no_cgroup_migration));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(negative, in_iowait));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(swapped, exit_signal));
	KEEP(bpf_core_field_offset(swapped->sched_reset_on_fork));
	KEEP(bpf_core_field_size(swapped->sched_reset_on_fork));
	return 0;
}

PROGRAM(socket)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct tcp_sock *tcp = (void *)task;
	struct sk_buff *skb = (void *)task;
	struct sock *sock = (void *)task;
	struct sock___before_5_6 *old = (void *)task;

	KEEP(BPF_CORE_READ_BITFIELD_PROBED(tcp, nonagle));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(tcp, is_cwnd_limited));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(tcp, repair));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(tcp, syn_data));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(tcp, rack.dsack_seen));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(skb, cloned));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(skb, pkt_type));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(skb, ip_summed));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(skb, encapsulation));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(sock, sk_protocol));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(sock, sk_no_check_tx));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(old, sk_protocol));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(old, sk_type));
	return 0;
}

/* Headers of packets have other bit orders on big-endian machines. */
PROGRAM(packet)
{
	struct iphdr *ip = (void *)bpf_get_current_task();
	struct tcphdr *tcp = (void *)ip;

	KEEP(BPF_CORE_READ_BITFIELD_PROBED(ip, version));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(ip, ihl));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(tcp, syn));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(tcp, doff));
	return 0;
}
