// SPDX-License-Identifier: BSD-2-Clause
/*
 * twins ARCHIVE OBJECT [whole]: loads twins.bpf.o with this kernel's BTF from ARCHIVE. It switches off the programs that cannot be
 * loaded here, unless `whole` is there. Then it starts three programs, and prints how many of them each twin has seen.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "btfgen.h"
#include "check.h"

static char elf[1 << 20];

static size_t read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t size;

	CHECK(file);
	size = fread(elf, 1, sizeof(elf), file);
	fclose(file);
	return size;
}

static void start_program(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	CHECK(waitpid(child, NULL, 0) == child);
}

/* The only constant of the object is `parent`. */
static void set_parent(struct bpf_object *object)
{
	struct bpf_map *map;
	int parent = getpid();

	bpf_object__for_each_map(map, object)
		if (strstr(bpf_map__name(map), ".rodata"))
			CHECK(!bpf_map__set_initial_value(map, &parent, sizeof(parent)));
}

static void attach(struct bpf_object *object)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object) {
		if (!bpf_program__autoload(program))
			continue;
		CHECK(bpf_program__attach(program));
		printf("attached %s\n", bpf_program__name(program));
	}
}

int main(int argc, char **argv)
{
	struct btfgen_find_opts find = { .sz = sizeof(find) };
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	const char *const *names = NULL;
	struct bpf_object *object;
	struct btfgen_btf *btf;
	unsigned long long seen;
	size_t size;
	int i, counts;

	CHECK(argc == 3 || (argc == 4 && !strcmp(argv[3], "whole")));
	find.archive_file = argv[1];
	if (btfgen_find(&find, &btf) || btfgen_path(btf, &opts.btf_custom_path)) {
		fprintf(stderr, "%s; steps tried:\n%s\n", btfgen_error(btf), btfgen_steps(btf));
		return 1;
	}
	size = read_file(argv[2]);
	object = bpf_object__open_mem(elf, size, &opts);
	CHECK(object);
	set_parent(object);
	if (argc == 3) {
		CHECK(!btfgen_unloadable(btf, elf, size, &names));
		for (; *names; names++) {
			printf("off %s\n", *names);
			bpf_program__set_autoload(bpf_object__find_program_by_name(object, *names), false);
		}
	}
	if (bpf_object__load(object)) {
		printf("nothing is loaded\n");
		return 1;
	}
	btfgen_free(btf);
	attach(object);
	for (i = 0; i < 3; i++)
		start_program();
	counts = bpf_object__find_map_fd_by_name(object, "counts");
	for (i = 0; i < 2; i++) {
		CHECK(!bpf_map_lookup_elem(counts, &i, &seen));
		printf("%s %llu\n", i ? "second" : "first", seen);
	}
	bpf_object__close(object);
	return 0;
}
