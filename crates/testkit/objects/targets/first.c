// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Three types of one name, of which the last one gives all answers of the first, and the one between them another size.

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
