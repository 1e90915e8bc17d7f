// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Another module of targets/modular.c.

struct in_all {
	long pad[2];
	int count;
} in_all;

struct in_a_and_b {
	long pad;
	int number;
} in_a_and_b;

struct disputed {
	char pad[4];
	int same;
	int number;
} disputed;

enum in_b {
	IN_B_FIRST = 5,
	IN_B_SECOND = 7,
} in_b;
