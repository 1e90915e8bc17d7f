// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Fields that are bitfields here and ordinary in edge.bpf.c, and the other way round.

struct edge {
	unsigned int before : 3;
	signed int number : 7;
	unsigned int byte : 3;
	/* Lies across a border of 4 bytes. */
	unsigned long middle : 18;
	unsigned long wide : 33;
	unsigned short bits;
	struct {
		unsigned int left : 1;
		unsigned int right : 1;
		unsigned int gone : 1;
	};
	_Bool flag : 1;
} __attribute__((packed));

struct edge edge;
