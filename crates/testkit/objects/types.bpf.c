// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Existence and size of types of every kind, and their ids here and in the kernel.
#include "probe.h"

/* Types that come and go between kernels, are only declared, or exist nowhere. Their members are of no matter. */
struct maple_tree___here {};
struct folio___here {};
struct sched_ext_ops___here {};
struct mm_rss_stat___before_6_2 {};
struct percpu_counter___here {};
struct no_such_struct {};
union no_such_union {};
enum no_such_enum { NO_SUCH_VALUE };
typedef int no_such_typedef;
typedef struct no_such_struct *no_such_pointer;

/* The same name as another kind than the kernel's. */
union task_struct___as_union {
	int pid;
};
struct fpregs_state___as_struct {};

/* A type that is only declared here, and defined in the kernel. */
struct module;
typedef struct module *module_pointer___local;

typedef void (*function_pointer___local)(int);

PROGRAM(existence)
{
	KEEP(bpf_core_type_exists(struct task_struct));
	KEEP(bpf_core_type_exists(struct maple_tree___here) << 1);
	KEEP(bpf_core_type_exists(struct folio___here) << 2);
	KEEP(bpf_core_type_exists(struct sched_ext_ops___here) << 3);
	KEEP(bpf_core_type_exists(struct mm_rss_stat___before_6_2) << 4);
	KEEP(bpf_core_type_exists(union thread_union) << 5);
	KEEP(bpf_core_type_exists(union bpf_attr) << 6);
	KEEP(bpf_core_type_exists(enum bpf_map_type) << 7);
	KEEP(bpf_core_type_exists(enum netdev_priv_flags) << 8);
	KEEP(bpf_core_type_exists(enum hmm_pfn_flags) << 9);
	KEEP(bpf_core_type_exists(struct no_such_struct) << 10);
	KEEP(bpf_core_type_exists(union no_such_union) << 11);
	KEEP(bpf_core_type_exists(enum no_such_enum) << 12);
	KEEP(bpf_core_type_exists(union task_struct___as_union) << 13);
	KEEP(bpf_core_type_exists(struct fpregs_state___as_struct) << 14);
	return 0;
}

/* Typedefs of integers, structs, pointers, arrays and functions. */
PROGRAM(typedef_existence)
{
	KEEP(bpf_core_type_exists(pid_t));
	KEEP(bpf_core_type_exists(u64) << 1);
	KEEP(bpf_core_type_exists(size_t) << 2);
	KEEP(bpf_core_type_exists(atomic_t) << 3);
	KEEP(bpf_core_type_exists(kernel_cap_t) << 4);
	KEEP(bpf_core_type_exists(cpumask_var_t) << 5);
	KEEP(bpf_core_type_exists(rcu_callback_t) << 6);
	KEEP(bpf_core_type_exists(work_func_t) << 7);
	KEEP(bpf_core_type_exists(btf_trace_sched_switch) << 8);
	KEEP(bpf_core_type_exists(btf_trace_block_rq_issue) << 9);
	KEEP(bpf_core_type_exists(bpf_callback_t) << 10);
	KEEP(bpf_core_type_exists(no_such_typedef) << 11);
	KEEP(bpf_core_type_exists(no_such_pointer) << 12);
	KEEP(bpf_core_type_exists(module_pointer___local) << 13);
	KEEP(bpf_core_type_exists(function_pointer___local) << 14);
	return 0;
}

PROGRAM(sizes)
{
	KEEP(bpf_core_type_size(struct task_struct));
	KEEP(bpf_core_type_size(struct folio___here));
	KEEP(bpf_core_type_size(struct percpu_counter___here));
	KEEP(bpf_core_type_size(union bpf_attr));
	KEEP(bpf_core_type_size(enum bpf_map_type));
	KEEP(bpf_core_type_size(enum hmm_pfn_flags));
	KEEP(bpf_core_type_size(pid_t));
	KEEP(bpf_core_type_size(atomic64_t));
	KEEP(bpf_core_type_size(kernel_cap_t));
	KEEP(bpf_core_type_size(cpumask_t));
	KEEP(bpf_core_type_size(rcu_callback_t));
	KEEP(bpf_core_type_size(struct no_such_struct));
	return 0;
}

PROGRAM(ids)
{
	KEEP(bpf_core_type_id_local(struct task_struct));
	KEEP(bpf_core_type_id_local(struct no_such_struct));
	KEEP(bpf_core_type_id_local(pid_t));
	KEEP(bpf_core_type_id_kernel(struct task_struct));
	KEEP(bpf_core_type_id_kernel(struct folio___here));
	KEEP(bpf_core_type_id_kernel(union thread_union));
	KEEP(bpf_core_type_id_kernel(enum bpf_map_type));
	KEEP(bpf_core_type_id_kernel(pid_t));
	KEEP(bpf_core_type_id_kernel(rcu_callback_t));
	KEEP(bpf_core_type_id_kernel(struct no_such_struct));
	return 0;
}
