// SPDX-License-Identifier: BSD-2-Clause
/*
 * inflate_all NAME: the way of simple readers, to compare with. Inflates the linked archive into memory as a whole, goes from
 * header to header until an entry has this name, and writes its content to a temporary file for libbpf.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK 512
#define FIRST_SIZE (64 * 1024)

extern const unsigned char _binary_min_core_btfs_tar_gz_start[];
extern const unsigned char _binary_min_core_btfs_tar_gz_end[];

static unsigned char *inflate_all(size_t *size)
{
	const unsigned char *start = _binary_min_core_btfs_tar_gz_start;
	size_t capacity = FIRST_SIZE;
	unsigned char *data = malloc(capacity);
	z_stream stream = { 0 };
	int result;

	stream.next_in = (unsigned char *)start;
	stream.avail_in = (unsigned int)(_binary_min_core_btfs_tar_gz_end - start);
	if (!data || inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
		return NULL;
	do {
		if (stream.total_out == capacity) {
			capacity *= 2;
			data = realloc(data, capacity);
			if (!data)
				return NULL;
		}
		stream.next_out = data + stream.total_out;
		stream.avail_out = (unsigned int)(capacity - stream.total_out);
		result = inflate(&stream, Z_NO_FLUSH);
	} while (result == Z_OK);
	*size = stream.total_out;
	inflateEnd(&stream);
	return result == Z_STREAM_END ? data : NULL;
}

int main(int argc, char **argv)
{
	char path[] = "/tmp/inflate_all.XXXXXX";
	unsigned char *tar, *at;
	size_t size, length;
	int file;

	tar = argc == 2 ? inflate_all(&size) : NULL;
	if (!tar)
		return 2;
	for (at = tar; at + BLOCK <= tar + size && *at; at += BLOCK + (length + BLOCK - 1) / BLOCK * BLOCK) {
		length = strtoul((char *)at + 124, NULL, 8);
		if (strcmp((char *)at, argv[1]))
			continue;
		file = mkstemp(path);
		if (file < 0 || write(file, at + BLOCK, length) != (ssize_t)length)
			return 3;
		/* Not part of the way, but nothing is to be left. */
		unlink(path);
		return 0;
	}
	return 1;
}
