// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Relocations against the kernels that targets/ makes up. No real kernel has these types.
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct edge_inner {
	int first;
	long second;
};

struct edge {
	int number;
	unsigned char byte;
	long wide;
	unsigned int bits : 5;
	struct edge_inner inner;
	struct edge_inner *link;
	int row[4];
	int table[2][3];
	char name[16];
	struct edge_only_declared *unknown;
	void (*call)(int);
	union {
		int left;
		long right;
	};
	int gone;
	int tail[];
};

typedef struct {
	int field;
} edge_typedef;

union edge_union {
	int number;
	char text[8];
};

#pragma clang attribute pop

enum edge_enum {
	EDGE_ZERO,
	EDGE_ONE,
	EDGE_NEGATIVE = -5,
};

typedef int (*edge_callback)(struct edge *, long);

PROGRAM(offsets)
{
	struct edge *edge = (void *)bpf_get_current_task();
	edge_typedef *typedefed = (void *)edge;
	union edge_union *united = (void *)edge;

	KEEP(bpf_core_field_offset(edge->number));
	KEEP(bpf_core_field_offset(edge->byte));
	KEEP(bpf_core_field_offset(edge->wide));
	KEEP(bpf_core_field_offset(edge->inner.second));
	KEEP(BPF_CORE_READ(edge, link, second));
	KEEP(bpf_core_field_offset(edge->row[2]));
	KEEP(bpf_core_field_offset(edge->table[1][2]));
	KEEP(bpf_core_field_offset(edge->name));
	KEEP(bpf_core_field_offset(edge->unknown));
	KEEP(bpf_core_field_offset(edge->call));
	KEEP(bpf_core_field_offset(edge->left));
	KEEP(bpf_core_field_offset(edge->right));
	KEEP(bpf_core_field_offset(edge->gone));
	KEEP(bpf_core_field_offset(edge->tail[3]));
	KEEP(bpf_core_field_offset(edge[2].wide));
	KEEP(bpf_core_field_offset(typedefed->field));
	KEEP(bpf_core_field_offset(united->text[3]));
	return 0;
}

PROGRAM(loads)
{
	struct edge *edge = (void *)bpf_get_current_task();

	/* These relocate the loads themselves: libbpf adapts their width to the kernel's field. */
	KEEP(*(volatile int *)&edge->number);
	KEEP(edge->byte);
	KEEP(edge->wide);
	edge->number = 7;
	edge->wide = 8;
	return 0;
}

PROGRAM(sizes)
{
	struct edge *edge = (void *)bpf_get_current_task();

	KEEP(bpf_core_field_size(edge->number));
	KEEP(bpf_core_field_size(edge->wide));
	KEEP(bpf_core_field_size(edge->row));
	KEEP(bpf_core_field_size(edge->inner));
	KEEP(bpf_core_field_size(edge->link));
	KEEP(FIELD_IS_SIGNED(edge->number));
	KEEP(FIELD_IS_SIGNED(edge->byte));
	KEEP(bpf_core_field_exists(edge->gone));
	KEEP(bpf_core_field_exists(edge->unknown));
	KEEP(bpf_core_field_exists(edge->row[3]));
	return 0;
}

PROGRAM(bits)
{
	struct edge *edge = (void *)bpf_get_current_task();

	KEEP(BPF_CORE_READ_BITFIELD_PROBED(edge, bits));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(edge, number));
	KEEP(BPF_CORE_READ_BITFIELD_PROBED(edge, byte));
	return 0;
}

PROGRAM(types)
{
	KEEP(bpf_core_type_exists(struct edge));
	KEEP(bpf_core_type_size(struct edge));
	KEEP(bpf_core_type_id_kernel(struct edge));
	KEEP(bpf_core_type_exists(edge_typedef));
	KEEP(bpf_core_type_size(edge_typedef));
	KEEP(bpf_core_type_exists(edge_callback));
	KEEP(bpf_core_type_exists(union edge_union));
	KEEP(bpf_core_type_size(union edge_union));
	KEEP(bpf_core_enum_value_exists(enum edge_enum, EDGE_ONE));
	KEEP(bpf_core_enum_value(enum edge_enum, EDGE_ONE));
	KEEP(bpf_core_enum_value(enum edge_enum, EDGE_NEGATIVE));
	return 0;
}
