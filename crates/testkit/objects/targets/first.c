// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Three types with the same name: the last one gives the same outcomes as the first, and the middle one another size.

void *one(void)
{
	static struct first {
		unsigned int x;
	} first;
	return &first;
}

void *two(void)
{
	static struct first {
		unsigned long x;
	} first;
	return &first;
}

void *three(void)
{
	static struct first {
		unsigned int x;
		int y;
	} first;
	return &first;
}
