// SPDX-License-Identifier: BSD-2-Clause
/*
 * told FILE [off]: asks for this kernel's BTF in the archive FILE, after it has forbidden the environment if `off` is there.
 * Prints the result, the path, whether the path can be opened, and the trace.
 */
#include <string.h>

#include "btf_helpers.h"
#include "check.h"

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	FILE *btf = NULL;
	int err;

	CHECK(argc == 2 || (argc == 3 && !strcmp(argv[2], "off")));
	if (argc == 3)
		core_btf_environment(false);
	err = ensure_core_btf_file(&opts, argv[1]);
	printf("result %d\n", err);
	if (opts.btf_custom_path) {
		btf = fopen(opts.btf_custom_path, "rb");
		CHECK(btf);
		fclose(btf);
		printf("path %s\n", opts.btf_custom_path);
	}
	printf("%s\n", core_btf_trace());
	cleanup_core_btf(&opts);
	return 0;
}
