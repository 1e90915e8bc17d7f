// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Programs of many types without relocations, and all else that an object can ask of a kernel: symbols, maps, helpers.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool LINUX_UNHEARD_OF __kconfig __weak;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_IPV6 __kconfig __weak;
extern char CONFIG_CC_VERSION_TEXT[64] __kconfig __weak;

extern const void init_task __ksym;
extern const struct rq runqueues __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} first SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &first } };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

const volatile int wanted;
__u64 seen;
__u64 limit = 7;

static __noinline __u64 now(void)
{
	return bpf_ktime_get_boot_ns();
}

SEC("kprobe/do_unlinkat")
int probed(struct pt_regs *ctx)
{
	if (CONFIG_BPF_SYSCALL && LINUX_KERNEL_VERSION && !LINUX_UNHEARD_OF)
		seen += CONFIG_IPV6 + CONFIG_CC_VERSION_TEXT[0] + wanted;
	return 0;
}

SEC("?fentry/do_unlinkat")
int BPF_PROG(entered, int fd, struct filename *name)
{
	seen += now() + (__u64)&init_task;
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt)
{
	if (&runqueues)
		seen += *(const int *)bpf_this_cpu_ptr(&runqueues);
	return 0;
}

SEC("lsm.s/file_open")
int BPF_PROG(opened, struct file *file)
{
	if (bpf_rcu_read_lock)
		bpf_rcu_read_lock();
	return 0;
}

SEC("iter/task")
int walked(struct bpf_iter__task *ctx)
{
	return 0;
}

SEC("tp/sched/sched_process_exec")
int executed(void *ctx)
{
	int key = wanted;
	__u64 *slot = bpf_ringbuf_reserve(&events, sizeof(*slot), 0);

	if (slot) {
		*slot = bpf_get_current_pid_tgid() + limit;
		bpf_ringbuf_submit(slot, 0);
	}
	return bpf_map_lookup_elem(&outer, &key) ? 1 : 0;
}

/* libbpf leaves the type of such a program to its user. */
SEC("unheard/of")
int unheard(void *ctx)
{
	return 0;
}

SEC("struct_ops/init")
void BPF_PROG(started, struct sock *sk)
{
}

SEC(".struct_ops")
struct tcp_congestion_ops table = {
	.init = (void *)started,
	.name = "btfgen",
};

int VERSION SEC("version") = 0x50400;
char LICENSE[] SEC("license") = "Dual BSD/GPL";
