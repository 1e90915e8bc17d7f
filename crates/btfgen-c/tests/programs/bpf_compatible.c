// SPDX-License-Identifier: BSD-2-Clause
/*
 * bpf_compatible linked | tar FILE: a program that was written for the header of bpf-compatible. Prints the result and the BTF as
 * hexadecimal digits. What is asked of the functions besides is checked on the way.
 */
#include <errno.h>
#include <string.h>

#include "bpf_compatible.h"
#include "check.h"

static char archive[1 << 20];

static int read_file(const char *path, char *data, size_t size)
{
	FILE *file = fopen(path, "rb");
	int len;

	CHECK(file);
	len = (int)fread(data, 1, size, file);
	fclose(file);
	return len;
}

int main(int argc, char **argv)
{
	static char btf[1 << 20];
	static const char mine[] = "/some/path";
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	const char *untouched = mine;
	int err, len, i;

	CHECK(argc >= 2);
	if (!strcmp(argv[1], "tar")) {
		len = read_file(argv[2], archive, sizeof(archive));
		err = ensure_core_btf_tar(&opts, archive, len);
		/* The archive is not needed any more. */
		memset(archive, 0, sizeof(archive));
	} else {
		err = ensure_core_btf(&opts);
	}
	printf("result %d\n", err);
	if (opts.btf_custom_path) {
		len = read_file(opts.btf_custom_path, btf, sizeof(btf));
		printf("btf ");
		for (i = 0; i < len; i++)
			printf("%02x", (unsigned char)btf[i]);
		printf("\n");
	}
	cleanup_core_btf(&opts);
	/* The header does not set the path to NULL, and programs clean up twice. */
	cleanup_core_btf(&opts);
	clean_core_btf_rs(NULL);
	clean_core_btf_rs(mine);

	/* After a failure the path is as it was. */
	CHECK(ensure_core_btf_with_tar_binary(&untouched, "no archive", 10) == -EBADMSG);
	CHECK(ensure_core_btf_with_tar_binary(&untouched, "no archive", -1) == -EINVAL);
	CHECK(ensure_core_btf_with_tar_binary(&untouched, NULL, 1) == -EINVAL);
	CHECK(untouched == mine);
	CHECK(ensure_core_btf_with_tar_binary(NULL, "no archive", 10) == -EINVAL);
	CHECK(ensure_core_btf_with_linked_tar(NULL) == -EINVAL);
	return 0;
}
