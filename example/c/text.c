// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

static bool needs_no_quotes(unsigned char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       (byte && strchr("%+,-./:=@_", byte));
}

static int print_escaped(unsigned char byte)
{
	switch (byte) {
	case '\t':
		return printf("\\t");
	case '\n':
		return printf("\\n");
	case '\r':
		return printf("\\r");
	case '"':
	case '\\':
		return printf("\\%c", byte);
	}
	return printf(byte < ' ' || byte > '~' ? "\\x%02x" : "%c", byte);
}

int print_word(const char *text, size_t len)
{
	bool quotes = len == 0;
	int printed = 0;
	size_t i;

	for (i = 0; i < len; i++)
		quotes |= !needs_no_quotes(text[i]);
	if (quotes)
		printed += printf("\"");
	for (i = 0; i < len; i++)
		printed += print_escaped(text[i]);
	if (quotes)
		printed += printf("\"");
	return printed;
}

void print_column(const char *text, size_t size, int width)
{
	int printed = print_word(text, strnlen(text, size));

	printf("%*s", printed < width ? width - printed : 0, "");
}

int end_line(void)
{
	if (putchar('\n') != EOF && !ferror(stdout))
		return 0;
	return errno ? -errno : -EIO;
}
