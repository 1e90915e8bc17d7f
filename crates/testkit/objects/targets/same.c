// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A kernel whose types are those of edge.bpf.c to the letter.

struct edge_only_declared;

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

enum edge_enum {
	EDGE_ZERO,
	EDGE_ONE,
	EDGE_NEGATIVE = -5,
};

typedef int (*edge_callback)(struct edge *, long);

/* BTF has the types that variables have. */
struct edge edge;
edge_typedef typedefed;
union edge_union united;
enum edge_enum enumerated;
edge_callback callback;
