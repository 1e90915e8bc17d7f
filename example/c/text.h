/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints text from other processes safely. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>

/*
 * Prints `len` bytes as one word: in double quotes unless they are plain, with escapes as in C for quotes, backslashes
 * and all that is not printable ASCII, so that no other process decides what a terminal does. Returns how many
 * characters were printed.
 */
int print_word(const char *text, size_t len);

/* Prints a string that ends within `size` bytes as one word, and spaces up to the `width`. */
void print_column(const char *text, size_t size, int width);

/* Ends a line of stdout. Returns 0, or a negative errno if stdout takes no more. */
int end_line(void);

#endif
