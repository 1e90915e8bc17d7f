// SPDX-License-Identifier: BSD-2-Clause
/* own_btf: what the calls return on a kernel that has its own BTF, which the program must be let to see. Needs no archive. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "btf_helpers.h"
#include "check.h"

/* In place of a libbpf, which can read the BTF of every kernel up to now. */
uint32_t libbpf_major_version(void)
{
	return 1;
}

uint32_t libbpf_minor_version(void)
{
	return 8;
}

int main(void)
{
	static const char mine[] = "/some/path";
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	LIBBPF_OPTS(bpf_object_open_opts, old);
	struct rlimit none = { 0 };
	const char *path = mine;
	int next;

	/* There is nothing to set, so that there is no field for it does not matter. */
	old.sz = offsetof(struct bpf_object_open_opts, btf_custom_path);
	CHECK(ensure_core_btf(&old) == 0);
	CHECK(strstr(core_btf_trace(), "the kernel has its own BTF"));
	CHECK(ensure_core_btf_bytes(&old, "no archive", 10) == 0);
	cleanup_core_btf(&old);

	CHECK(ensure_core_btf_with_linked_tar(&path) == 0);
	CHECK(ensure_core_btf_with_tar_binary(&path, "no archive", 10) == 0);
	CHECK(path == mine);

	/* Where the program may open no more files, nobody knows whether the kernel has BTF. */
	next = dup(0);
	CHECK(next >= 0 && !close(next));
	none.rlim_cur = (rlim_t)next;
	none.rlim_max = (rlim_t)next;
	CHECK(!setrlimit(RLIMIT_NOFILE, &none));
	CHECK(ensure_core_btf(&opts) == -EMFILE);
	CHECK(strstr(core_btf_trace(), "/sys/kernel/btf/vmlinux: the machine cannot read it: "));
	CHECK(!opts.btf_custom_path);
	return 0;
}
