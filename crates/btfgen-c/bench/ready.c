// SPDX-License-Identifier: BSD-2-Clause
/* ready: finds this kernel's BTF in the linked archive, and ends as soon as there is a path for libbpf. */
#include <stdio.h>

#include "btf_helpers.h"

int main(void)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);

	if (ensure_core_btf(&opts)) {
		fprintf(stderr, "%s\n", core_btf_trace());
		return 1;
	}
	return !opts.btf_custom_path;
}
