// SPDX-License-Identifier: BSD-2-Clause
/* both: calls libbtfgen and another static library that is in Rust. Prints what bcc prints, and checks the other's results. */
#include <stdbool.h>

#include "bcc.h"
#include "check.h"

/* In other.rs. */
unsigned int other_distinct(unsigned int count);
bool other_panics(void);

int main(void)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	FILE *file;
	int byte;

	CHECK(other_distinct(20) == 7);
	CHECK(other_panics());
	printf("result %d\n", ensure_core_btf(&opts));
	CHECK(opts.btf_custom_path);
	CHECK(other_panics());
	file = fopen(opts.btf_custom_path, "rb");
	CHECK(file);
	printf("btf ");
	while ((byte = fgetc(file)) != EOF)
		printf("%02x", byte);
	printf("\n");
	fclose(file);
	cleanup_core_btf(&opts);
	CHECK(other_distinct(3) == 3);
	return 0;
}
