// SPDX-License-Identifier: BSD-2-Clause
/*
 * lookup linked | tar FILE | bytes FILE | file FILE: asks by one of the calls, and prints the result, the BTF's content as
 * hexadecimal digits, and the trace. What is asked of cleanup is checked on the way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "btf_helpers.h"
#include "check.h"

static char *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *data = malloc(1 << 20);

	CHECK(file && data);
	*size = fread(data, 1, 1 << 20, file);
	fclose(file);
	return data;
}

static int ensure(struct bpf_object_open_opts *opts, const char *how, const char *path)
{
	size_t size = 0;
	char *data;
	int err;

	if (!strcmp(how, "linked"))
		return ensure_core_btf(opts);
	if (!strcmp(how, "file"))
		return ensure_core_btf_file(opts, path);
	data = read_file(path, &size);
	if (!strcmp(how, "tar"))
		err = ensure_core_btf_tar(opts, data, (int)size);
	else
		err = ensure_core_btf_bytes(opts, data, size);
	/* The archive is not needed any more. */
	memset(data, 0, size);
	free(data);
	return err;
}

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	const char *path;
	size_t size, i;
	char *btf;
	int err;

	CHECK(argc >= 2);
	CHECK(core_btf_trace()[0] == 0);
	err = ensure(&opts, argv[1], argc > 2 ? argv[2] : NULL);
	printf("result %d\n", err);
	path = opts.btf_custom_path;
	if (path) {
		btf = read_file(path, &size);
		printf("btf ");
		for (i = 0; i < size; i++)
			printf("%02x", (unsigned char)btf[i]);
		printf("\n");
		free(btf);
		/* Asking again changes nothing. */
		CHECK(ensure_core_btf(&opts) == 0);
		CHECK(opts.btf_custom_path == path);
		CHECK(!strcmp(core_btf_trace(), "btf_custom_path: already set"));
	} else {
		printf("%s\n", core_btf_trace());
	}
	cleanup_core_btf(&opts);
	CHECK(!opts.btf_custom_path);
	clean_core_btf(&opts);
	CHECK(!opts.btf_custom_path);
	return 0;
}
