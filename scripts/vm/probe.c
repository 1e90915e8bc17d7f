// SPDX-License-Identifier: BSD-2-Clause
/*
 * probe OBJECT [ARCHIVE]: loads each program of probe.bpf.c alone, with the kernel's own BTF or with the one of the
 * archive, runs it, and prints its answer as one line. So the outputs of both ways can be compared.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <btf_helpers.h>

#include "probe.h"

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

/* Opens the object so that only the program of this number will be loaded. */
static struct bpf_object *open_for(const char *path, const struct bpf_object_open_opts *opts, int number, const char **name)
{
	struct bpf_object *object = bpf_object__open_file(path, opts);
	struct bpf_program *program;
	int i = 0;

	*name = NULL;
	if (!object) {
		perror(path);
		exit(1);
	}
	bpf_object__for_each_program(program, object) {
		bpf_program__set_autoload(program, i == number);
		if (i++ == number)
			*name = bpf_program__name(program);
	}
	return object;
}

/* Runs a loaded program once, and reads its answer. Returns 0, or a negative errno. */
static int run(const struct bpf_object *object, const char *name, struct answer *answer)
{
	char packet[64] = { 0 };
	struct bpf_test_run_opts opts = { .sz = sizeof(opts), .data_in = packet, .data_size_in = sizeof(packet), .repeat = 1 };
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	struct bpf_map *map = bpf_object__find_map_by_name(object, "probe.bss");
	int zero = 0, error;

	if (!map)
		map = bpf_object__find_map_by_name(object, ".bss");
	error = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);
	return error ? error : bpf_map_lookup_elem(bpf_map__fd(map), &zero, answer);
}

int main(int argc, char **argv)
{
	struct bpf_object_open_opts opts = { .sz = sizeof(opts) };
	struct bpf_object *object;
	struct answer answer;
	const char *name;
	char reason[128];
	int number, error;

	if (argc < 2)
		return 2;
	libbpf_set_print(print_libbpf);
	if (argc > 2) {
		setenv("BTFGEN_REQUIRE_CUSTOM", "1", 1);
		error = ensure_core_btf_file(&opts, argv[2]);
		fprintf(stderr, "%s\n", core_btf_trace());
		if (error)
			return 1;
	}
	for (number = 0; (object = open_for(argv[1], &opts, number, &name), name); number++) {
		error = bpf_object__load(object);
		if (!error)
			error = run(object, name, &answer);
		if (error) {
			libbpf_strerror(error, reason, sizeof(reason));
			printf("%s: refused: %s\n", name, reason);
		} else if (answer.value) {
			printf("%s: value %llu\n", name, (unsigned long long)answer.value);
		} else {
			printf("%s: type %llu, %llu bytes; member %llu, at %llu, %llu bytes\n", name,
			       (unsigned long long)answer.type_exists, (unsigned long long)answer.type_size,
			       (unsigned long long)answer.member_exists, (unsigned long long)answer.member_offset,
			       (unsigned long long)answer.member_size);
		}
		bpf_object__close(object);
	}
	bpf_object__close(object);
	cleanup_core_btf(&opts);
	return number ? 0 : 1;
}
