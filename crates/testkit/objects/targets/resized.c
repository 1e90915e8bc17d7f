// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// The fields of edge.bpf.c with other sizes, signs and types, some no longer compatible.

struct edge_inner {
	short first;
	/* A pointer is no integer. */
	void *second;
};

typedef unsigned long edge_number;

struct edge {
	edge_number number;
	signed char byte;
	unsigned short wide;
	unsigned long bits : 37;
	/* A struct that became a pointer to it, and a pointer that became the struct. */
	struct edge_inner *inner;
	struct edge_inner link;
	long row[4];
	short table[2][3];
	/* An array that became a pointer. */
	char *name;
	/* Pointers are all alike. */
	int *unknown;
	long (*call)(void);
	union {
		unsigned char left;
		_Bool right;
	};
	long tail[];
};

/* A typedef of an integer, no more of a struct. */
typedef int edge_typedef;

/* The union is a struct now, the enum an unsigned one without one of its names. */
struct edge_union {
	int number;
	char text[8];
};

enum edge_enum {
	EDGE_ZERO,
	EDGE_ONE = 0xffffffff,
};

/* One argument less. */
typedef int (*edge_callback)(struct edge *);

struct edge edge;
edge_typedef typedefed;
struct edge_union united;
enum edge_enum enumerated;
edge_callback callback;
