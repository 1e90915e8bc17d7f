// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// bpf-objects: target i386
// The struct of words.bpf.c as a 32-bit kernel has it.

struct words {
	long direct;
	long guarded;
	long by_macro;
	long only_offset;
	unsigned long adapted;
	long long always_long;
	void *pointer;
	char far_away[32768];
	int beyond;
} words;
