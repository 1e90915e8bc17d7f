// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a program may link besides this library: an archive, and libbpf. The symbols are weak, and only C can say that: Rust's
 * stable compiler has no weak references.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* libbpf has them since 0.6. A program that loads with libbpf links them too, because they are where its loader is. */
extern uint32_t libbpf_major_version(void) __attribute__((weak));
extern uint32_t libbpf_minor_version(void) __attribute__((weak));

/* Sets the version of the program's libbpf, and returns whether it is known. */
bool btfgen_libbpf_version(uint32_t *major, uint32_t *minor)
{
	if (!libbpf_major_version || !libbpf_minor_version)
		return false;
	*major = libbpf_major_version();
	*minor = libbpf_minor_version();
	return true;
}
