// SPDX-License-Identifier: BSD-2-Clause
/*
 * bcc: a program that was written for the header of BCC's libbpf-tools. Prints the result and the BTF as hexadecimal digits, and
 * checks what cleanup does.
 */
#include "bcc.h"
#include "check.h"

int main(void)
{
	LIBBPF_OPTS(bpf_object_open_opts, open_opts);
	FILE *file;
	int err, byte;

	err = ensure_core_btf(&open_opts);
	printf("result %d\n", err);
	CHECK(!err == !!open_opts.btf_custom_path);
	if (!err) {
		file = fopen(open_opts.btf_custom_path, "rb");
		CHECK(file);
		printf("btf ");
		while ((byte = fgetc(file)) != EOF)
			printf("%02x", byte);
		printf("\n");
		fclose(file);
	}
	/* BCC's tools clean up at their end, also after a failure. */
	cleanup_core_btf(&open_opts);
	CHECK(!open_opts.btf_custom_path);
	cleanup_core_btf(NULL);
	return 0;
}
