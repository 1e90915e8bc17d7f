// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Asks the loader about types: one program for each question, because one refused relocation refuses its whole program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "probe.h"

struct answer answer;

#define RELOCATED __attribute__((preserve_access_index))

/* Asks about a type and one of its members. */
#define ASK(type, declaration, member)                                                          \
	struct type {                                                                           \
		declaration;                                                                    \
	} RELOCATED;                                                                            \
	SEC("tc")                                                                               \
	int type##__##member(void *packet)                                                      \
	{                                                                                       \
		struct type *value = (void *)0;                                                 \
                                                                                                \
		answer.type_exists = bpf_core_type_exists(struct type);                         \
		answer.type_size = bpf_core_type_size(struct type);                             \
		answer.member_exists = bpf_core_field_exists(value->member);                    \
		if (bpf_core_field_exists(value->member)) {                                     \
			answer.member_offset = bpf_core_field_offset(value->member);            \
			answer.member_size = bpf_core_field_size(value->member);                \
		}                                                                               \
		return 0;                                                                       \
	}

/* Since 5.14 the kernel's field is called `__state`. */
ASK(task_struct___before_5_14, volatile long state, state)
ASK(task_struct___since_5_14, unsigned int __state, __state)

/* Types of modules: overlay, ip_set, xfs, tcp_bbr, nf_flow_table, dm-mod, nf_tables. */
ASK(ovl_inode, unsigned long flags, flags)
ASK(ip_set, unsigned int ref, ref)
ASK(xfs_inode, void *i_gdquot, i_gdquot)
ASK(bbr, unsigned int rtt_cnt, rtt_cnt)
ASK(nf_flowtable, int priority, priority)
ASK(mapped_device, char name[16], name)
ASK(nft_set, unsigned int size, size)

/* In vmlinux or in a module, or in both. If vmlinux has the type, the definitions of modules do not count. */
ASK(fuse_conn, unsigned int max_read, max_read)
ASK(nf_conn, unsigned long status, status)
ASK(bictcp, unsigned int epoch_start, epoch_start)

struct fdtable {
	struct file **fd;
} RELOCATED;

struct files_struct {
	struct fdtable *fdt;
} RELOCATED;

struct task_struct {
	struct files_struct *files;
} RELOCATED;

struct file {
	void *private_data;
} RELOCATED;

struct fuse_dev {
	struct fuse_conn *fc;
} RELOCATED;

/* Linux 7.3 has a channel between the device and the connection. */
struct fuse_chan {
	struct fuse_conn *conn;
} RELOCATED;

struct fuse_dev___with_channel {
	struct fuse_chan *chan;
} RELOCATED;

/* Reads a field of a module's type: the largest read of the FUSE that this process has mounted by file descriptor 3. */
SEC("tc")
int fuse_max_read(void *packet)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = (void *)0;
	struct fuse_dev___with_channel *with_channel;
	struct fuse_conn *connection;
	struct fuse_dev *device;
	/* Pointers of a BPF program have 8 bytes, but those of the kernel may have 4. */
	unsigned int pointer_size = bpf_core_field_size(((struct fdtable *)0)->fd);

	if (bpf_probe_read_kernel(&file, sizeof(file), (void *)files + 3 * pointer_size))
		return 1;
	device = BPF_CORE_READ(file, private_data);
	if (bpf_core_field_exists(device->fc)) {
		connection = BPF_CORE_READ(device, fc);
	} else {
		with_channel = (void *)device;
		connection = BPF_CORE_READ(with_channel, chan, conn);
	}
	answer.value = BPF_CORE_READ(connection, max_read);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
