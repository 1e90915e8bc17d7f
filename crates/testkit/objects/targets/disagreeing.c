// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Several types for one name, with different answers: none of them may be chosen. BTF knows no scopes.

struct edge_inner {
	long second;
	int first;
};

/* The same essential name once more, at other offsets. */
struct edge_inner___2 {
	int first;
	int second;
};

typedef struct {
	int field;
} edge_typedef;

typedef struct {
	int before;
	int field;
} edge_typedef___2;

enum edge_enum {
	EDGE_ZERO,
	EDGE_ONE,
	EDGE_NEGATIVE = -5,
};

enum edge_enum___2 {
	EDGE_ONE___2 = 9,
	EDGE_NEGATIVE___2 = -5,
};

void *one(void)
{
	static struct edge {
		int number;
		long wide;
		struct edge_inner *link;
	} edge;

	return &edge;
}

void *other(void)
{
	static struct edge {
		int before;
		/* Here the two differ, and agree about the rest. */
		int number;
		long wide;
		struct edge_inner *link;
		int gone;
	} edge;

	return &edge;
}

struct edge_inner inner;
struct edge_inner___2 inner_2;
edge_typedef typedefed;
edge_typedef___2 typedefed_2;
enum edge_enum enumerated;
enum edge_enum___2 enumerated_2;
