// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Several types for one name that give the same answers to all that edge.bpf.c asks both of them.

struct edge_inner {
	int first;
	long second;
};

/* Longer, but what the two have in common is at the same places. */
struct edge_inner___longer {
	int first;
	long second;
	long third;
};

/* Has nothing that is asked for: not a candidate that counts. */
struct edge___unrelated {
	int something_else;
};

enum edge_enum {
	EDGE_ZERO,
	EDGE_ONE,
	EDGE_NEGATIVE = -5,
};

enum edge_enum___2 {
	EDGE_ONE___2 = 1,
	EDGE_NEGATIVE___2 = -5,
};

void *one(void)
{
	static struct edge {
		int number;
		unsigned char byte;
		long wide;
		struct edge_inner inner;
		int gone;
	} edge;

	return &edge;
}

void *other(void)
{
	static struct edge {
		int number;
		unsigned char byte;
		long wide;
		struct edge_inner inner;
		/* Only one of the two has it. */
		int left;
	} edge;

	return &edge;
}

struct edge_inner inner;
struct edge_inner___longer longer;
struct edge___unrelated unrelated;
enum edge_enum enumerated;
enum edge_enum___2 enumerated_2;
