// SPDX-License-Identifier: BSD-2-Clause
/* threads FILE: many threads look up and clean up at once, and nothing stays open. FILE has this kernel's BTF. */
#include <dirent.h>
#include <pthread.h>
#include <string.h>

#include "btf_helpers.h"
#include "check.h"

#define THREADS 8
#define ROUNDS 100

static const char *archive;

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void *work(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < ROUNDS; i++) {
		LIBBPF_OPTS(bpf_object_open_opts, first);
		LIBBPF_OPTS(bpf_object_open_opts, second);
		FILE *btf;

		CHECK(ensure_core_btf_file(&first, archive) == 0);
		CHECK(ensure_core_btf_file(&second, archive) == 0);
		CHECK(strcmp(first.btf_custom_path, second.btf_custom_path));
		cleanup_core_btf(&first);
		btf = fopen(second.btf_custom_path, "rb");
		CHECK(btf);
		fclose(btf);
		CHECK(strstr(core_btf_trace(), "taken"));
		cleanup_core_btf(&second);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int i, before;

	CHECK(argc == 2);
	archive = argv[1];
	before = open_files();
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, work, NULL));
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(open_files() == before);
	return 0;
}
