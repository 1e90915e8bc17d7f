// SPDX-License-Identifier: BSD-2-Clause
/* misuse: every call with what it should refuse or leave alone. Needs no archive. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "btf_helpers.h"
#include "check.h"

int main(void)
{
	static const char mine[] = "/some/path";
	static const char broken[] = "this is no archive";
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	LIBBPF_OPTS(bpf_object_open_opts, old);

	CHECK(ensure_core_btf(NULL) == -EINVAL);
	CHECK(strstr(core_btf_trace(), "opts is NULL"));
	CHECK(ensure_core_btf_tar(NULL, broken, 1) == -EINVAL);
	CHECK(ensure_core_btf_bytes(NULL, broken, 1) == -EINVAL);
	CHECK(ensure_core_btf_file(NULL, "/") == -EINVAL);
	cleanup_core_btf(NULL);
	clean_core_btf(NULL);

	/* A program compiled against a libbpf from before the field. */
	old.sz = offsetof(struct bpf_object_open_opts, btf_custom_path);
	CHECK(ensure_core_btf(&old) == -EINVAL);
	cleanup_core_btf(&old);

	CHECK(ensure_core_btf_tar(&opts, broken, -1) == -EINVAL);
	CHECK(ensure_core_btf_tar(&opts, NULL, 1) == -EINVAL);
	CHECK(ensure_core_btf_bytes(&opts, NULL, 1) == -EINVAL);
	CHECK(ensure_core_btf_bytes(&opts, broken, (size_t)-1) == -EINVAL);
	CHECK(ensure_core_btf_file(&opts, NULL) == -EINVAL);
	CHECK(ensure_core_btf_bytes(&opts, broken, 0) == -EBADMSG);
	CHECK(ensure_core_btf_bytes(&opts, broken, sizeof(broken)) == -EBADMSG);
	CHECK(strstr(core_btf_trace(), "gzip"));
	CHECK(ensure_core_btf_file(&opts, "/nonexistent/btfs.tar.gz") == -ENOENT);
	CHECK(strstr(core_btf_trace(), "/nonexistent/btfs.tar.gz"));
	CHECK(!opts.btf_custom_path);
	cleanup_core_btf(&opts);

	/* The program's own path is the program's. */
	opts.btf_custom_path = mine;
	CHECK(ensure_core_btf(&opts) == 0);
	CHECK(opts.btf_custom_path == mine);
	cleanup_core_btf(&opts);
	CHECK(opts.btf_custom_path == mine);
	return 0;
}
