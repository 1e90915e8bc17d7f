// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// bpf-objects: clang 16
// Type tags on the way from a pointer to what it points at, as kernels have them for __user and __rcu.

#define user __attribute__((btf_type_tag("user")))
#define rcu __attribute__((btf_type_tag("rcu")))

struct edge_only_declared;

struct edge_inner {
	int first;
	long second;
};

struct edge {
	int number;
	struct edge_inner rcu *link;
	struct edge_only_declared user *unknown;
	const char user *const rcu *name;
} __attribute__((btf_decl_tag("tagged")));

typedef int (*edge_callback)(struct edge user *, long);

struct edge edge;
struct edge_inner inner;
edge_callback callback;
