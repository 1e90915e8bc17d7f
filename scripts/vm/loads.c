// SPDX-License-Identifier: BSD-2-Clause
/*
 * loads ARCHIVE: loads programs with the BTF that the archive has for this kernel. Reads lines "OBJECT PROGRAM VERDICT", loads each
 * program alone, and prints the line with what happened as the verdict, in the words of `btfgen check`.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <btf_helpers.h>

/* What libbpf says if a program does not load. */
static const struct {
	const char *message, *verdict;
} verdicts[] = {
	{ "<invalid CO-RE relocation>", "fails" },
	{ "failed to relocate", "refused" },
	{ "loading vmlinux BTF", "needs_kernel_btf" },
};

static const char *told;

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text;
	size_t i;

	if (level != LIBBPF_WARN || vasprintf(&text, format, args) < 0)
		return 0;
	fputs(text, stderr);
	for (i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++) {
		if (strstr(text, verdicts[i].message))
			told = verdicts[i].verdict;
	}
	free(text);
	return 0;
}

/* Loads one program, and returns the verdict. */
static const char *load(const char *path, const char *name, const struct bpf_object_open_opts *opts)
{
	struct bpf_object *object = bpf_object__open_file(path, opts);
	struct bpf_program *program;
	int error, found = 0;

	if (!object)
		return "does_not_open";
	bpf_object__for_each_program(program, object) {
		int is_it = strcmp(bpf_program__name(program), name) == 0;

		bpf_program__set_autoload(program, is_it);
		found += is_it;
	}
	told = "fails_for_another_reason";
	error = bpf_object__load(object);
	bpf_object__close(object);
	return found != 1 ? "is_not_there" : error ? told : "loads";
}

int main(int argc, char **argv)
{
	struct bpf_object_open_opts opts = { .sz = sizeof(opts) };
	char object[128], program[128];
	int error;

	if (argc != 2)
		return 2;
	libbpf_set_print(print_libbpf);
	setenv("BTFGEN_REQUIRE_CUSTOM", "1", 1);
	error = ensure_core_btf_file(&opts, argv[1]);
	fprintf(stderr, "%s\n", core_btf_trace());
	if (error)
		return 1;
	while (scanf("%127s %127s %*s", object, program) == 2) {
		fprintf(stderr, "%s %s\n", object, program);
		printf("%s %s %s\n", object, program, load(object, program, &opts));
	}
	cleanup_core_btf(&opts);
	return 0;
}
