// SPDX-License-Identifier: BSD-2-Clause
/* own_bytes: asks for the BTF of a kernel that has its own. Prints its size in bytes. Needs no archive. */
#include "btfgen.h"
#include "check.h"

int main(void)
{
	struct btfgen_btf *btf;
	const char *path = "mine";
	const void *data;
	size_t size;

	CHECK(btfgen_find(NULL, &btf) == 0);
	CHECK(btfgen_origin(btf) == BTFGEN_ORIGIN_KERNEL);
	CHECK(btfgen_path(btf, &path) == 0 && !path);
	CHECK(btfgen_bytes(btf, &data, &size) == 0);
	CHECK(!btfgen_kernel(btf));
	printf("%zu bytes\n", size);
	btfgen_free(btf);
	return 0;
}
