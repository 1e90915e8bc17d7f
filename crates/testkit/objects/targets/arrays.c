// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Arrays of other lengths, of other dimensions, flexible or none at all.

struct edge_inner {
	int first;
	long second;
};

struct edge {
	int number;
	/* Too short for row[2]. */
	int row[2];
	/* The elements of table[2][3] in one dimension, as pahole wrote them before 1.28. */
	int table[6];
	/* A scalar in place of an array. */
	char name;
	struct edge_inner inner[3];
	/* A fixed array in place of a flexible one. */
	int tail[2];
};

union edge_union {
	int number;
	/* Flexible, in the middle of everything. */
	char text[0];
};

struct edge edge;
union edge_union united;
