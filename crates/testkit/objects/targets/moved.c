// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Has everything that edge.bpf.c needs at other offsets: reordered, and inside anonymous structs and unions.

/* Defined here, only declared in the program. */
struct edge_only_declared {
	int known;
};

struct edge_inner {
	char padding[40];
	long second;
	int first;
};

struct edge {
	union {
		struct {
			char name[16];
			struct {
				struct edge_only_declared *unknown;
				union {
					long wide;
					int number;
				};
			};
		};
		struct {
			long right;
			int left;
		};
	};
	unsigned int before : 11;
	unsigned int bits : 5;
	unsigned char byte;
	struct edge_inner *const link;
	volatile int row[4];
	const int table[2][3];
	void (*call)(int);
	int gone;
	struct edge_inner inner;
	int tail[];
};

typedef struct {
	long before;
	const int field;
} edge_typedef;

union edge_union {
	char text[8];
	struct {
		int padding;
		int number;
	};
};

/* Other values for the same names. */
enum edge_enum {
	EDGE_NEGATIVE = -70000,
	EDGE_ZERO = 10,
	EDGE_ONE = 2147483647,
};

typedef int (*edge_callback)(struct edge *, long);

struct edge edge;
struct edge_only_declared known;
edge_typedef typedefed;
union edge_union united;
enum edge_enum enumerated;
edge_callback callback;
