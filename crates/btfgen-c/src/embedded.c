// SPDX-License-Identifier: BSD-2-Clause
/*
 * The archive that a program links, if it does. The symbols are weak, and only C can say that: Rust's stable compiler has
 * no weak references.
 */
#include <stddef.h>

/* What `btfgen pack --emit-obj` and `ld -r -b binary min_core_btfs.tar.gz` define. */
extern const unsigned char _binary_min_core_btfs_tar_gz_start[] __attribute__((weak));
extern const unsigned char _binary_min_core_btfs_tar_gz_end[] __attribute__((weak));

/*
 * bpf-compatible's header defines both symbols in the program, weakly and as one byte each, so that a program without an
 * archive links. They are next to each other then. No gzip file is as short: it has 18 bytes around its content.
 */
#define SHORTEST_ARCHIVE 18

/* Returns the start of the linked archive and sets its size in bytes, or returns NULL. */
const unsigned char *btfgen_embedded_archive(size_t *size)
{
	const unsigned char *start = _binary_min_core_btfs_tar_gz_start;
	const unsigned char *end = _binary_min_core_btfs_tar_gz_end;

	if (!start || !end || end < start || end - start < SHORTEST_ARCHIVE)
		return NULL;
	*size = (size_t)(end - start);
	return start;
}
