// SPDX-License-Identifier: BSD-2-Clause
/*
 * find ARCHIVE OS_RELEASE OBJECT BLOCKED: asks for the BTF in each way that btfgen.h offers, and prints it as hexadecimal digits.
 * This kernel is in ARCHIVE, as a kernel of the distribution of OS_RELEASE. The program links ARCHIVE, too. What else the header promises is checked on
 * the way. Valid C and C++.
 */
#include <errno.h>
#include <string.h>

#include "btfgen.h"
#include "check.h"

static char archive[1 << 16];
static size_t archive_size;
static char object[1 << 20];

static struct btfgen_find_opts options(const char *os_release)
{
	struct btfgen_find_opts opts;

	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.os_release = os_release;
	opts.require_custom = true;
	opts.no_environment = true;
	return opts;
}

static void read_archive(const char *path)
{
	FILE *file = fopen(path, "rb");

	CHECK(file);
	archive_size = fread(archive, 1, sizeof(archive), file);
	fclose(file);
}

/* Finds the BTF, and checks that the path and the bytes are the same. Prints the bytes. */
static void find(const struct btfgen_find_opts *opts, enum btfgen_origin origin)
{
	struct btfgen_btf *btf = NULL;
	const unsigned char *bytes;
	const char *path = NULL, *again = NULL;
	const void *data = NULL;
	size_t size = 0, i;
	FILE *file;

	CHECK(btfgen_find(opts, &btf) == 0);
	CHECK(btf && btfgen_origin(btf) == origin);
	CHECK(!btfgen_error(btf)[0]);
	CHECK(strstr(btfgen_steps(btf), "taken"));
	CHECK(!!btfgen_kernel(btf) == (origin == BTFGEN_ORIGIN_ARCHIVE));
	CHECK(!btfgen_kernel(btf) || !strncmp(btfgen_kernel(btf), "example/1/", 10));

	CHECK(btfgen_bytes(btf, &data, &size) == 0);
	CHECK(btfgen_path(btf, &path) == 0);
	CHECK(btfgen_path(btf, &again) == 0 && again == path);
	file = fopen(path, "rb");
	CHECK(file);
	printf("btf ");
	bytes = (const unsigned char *)data;
	for (i = 0; i < size; i++) {
		CHECK(fgetc(file) == bytes[i]);
		printf("%02x", bytes[i]);
	}
	CHECK(fgetc(file) == EOF);
	printf("\n");
	fclose(file);
	btfgen_free(btf);
}

/* Checks a lookup that fails: the result, a part of its error, and that nothing else is set. */
static void fail(const struct btfgen_find_opts *opts, int result, const char *error, const char *step)
{
	struct btfgen_btf *btf = NULL;
	const char *path = "mine";
	const void *data = path;
	size_t size = 7;

	CHECK(btfgen_find(opts, &btf) == result);
	CHECK(btf && btfgen_origin(btf) == BTFGEN_ORIGIN_NONE && !btfgen_kernel(btf));
	CHECK(strstr(btfgen_error(btf), error));
	CHECK(!strchr(btfgen_error(btf), '\n'));
	CHECK(strstr(btfgen_steps(btf), step));
	CHECK(btfgen_path(btf, &path) == result && !strcmp(path, "mine"));
	CHECK(btfgen_bytes(btf, &data, &size) == result && data == path && size == 7);
	btfgen_free(btf);
}

static size_t read_object(const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t size;

	CHECK(file);
	size = fread(object, 1, sizeof(object), file);
	CHECK(size < sizeof(object));
	fclose(file);
	return size;
}

/* Checks that programs which need the kernel's own BTF are named: the kernel counts as one without it. The first object has one. */
static void unloadable(const char *os_release, const char *path, const char *blocked)
{
	struct btfgen_find_opts opts = options(os_release);
	const char *const *names = NULL, *const *before;
	struct btfgen_btf *btf = NULL;
	size_t size = read_object(path);

	CHECK(btfgen_find(&opts, &btf) == 0);
	CHECK(btfgen_unloadable(btf, object, size, &names) == 0);
	CHECK(!strcmp(names[0], "entered") && !names[1]);
	CHECK(btfgen_unloadable(btf, object, size, &names) == 0);
	CHECK(!strcmp(names[0], "entered") && !names[1]);
	before = names;
	CHECK(btfgen_unloadable(btf, object, 3, &names) == -EINVAL && names == before);
	CHECK(strstr(btfgen_error(btf), "the programs of the object cannot be read: "));
	CHECK(btfgen_unloadable(btf, NULL, 0, &names) == -EINVAL);
	CHECK(btfgen_unloadable(btf, object, size, NULL) == -EINVAL);
	CHECK(btfgen_unloadable(NULL, object, size, &names) == -EINVAL);
	btfgen_free(btf);

	/* An object that cannot be loaded, whichever programs are switched off. */
	size = read_object(blocked);
	CHECK(btfgen_find(&opts, &btf) == 0);
	CHECK(btfgen_unloadable(btf, object, size, &names) == -EOPNOTSUPP);
	CHECK(!strcmp(names[0], "entered") && names[1]);
	CHECK(strstr(btfgen_error(btf), "libbpf needs the kernel's own BTF for the typed symbol "));
	btfgen_free(btf);

	/* A lookup that failed. */
	opts.release = "0.0.1";
	CHECK(btfgen_find(&opts, &btf) == -ENOENT);
	CHECK(btfgen_unloadable(btf, object, size, &names) == -ENOENT);
	btfgen_free(btf);
}

static void other_sizes(const char *os_release)
{
	struct {
		struct btfgen_find_opts known;
		char newer[16];
	} opts;

	memset(&opts, 0, sizeof(opts));
	opts.known = options(os_release);
	/* A newer header, without and with a value that this library does not know. */
	opts.known.sz = sizeof(opts);
	find(&opts.known, BTFGEN_ORIGIN_ARCHIVE);
	opts.newer[15] = 1;
	fail(&opts.known, -EINVAL, "newer btfgen.h", "");
	/* An older header, which had only the first fields. The library must not read the others. */
	opts.known.sz = offsetof(struct btfgen_find_opts, archive_file);
	opts.known.archive = "no archive";
	opts.known.archive_size = 10;
	setenv("BTFGEN_REQUIRE_CUSTOM", "1", 1);
	fail(&opts.known, -EBADMSG, "gzip", "archive: ");
	unsetenv("BTFGEN_REQUIRE_CUSTOM");
	opts.known.sz = 0;
	fail(&opts.known, -EINVAL, "opts->sz", "");
	opts.known.sz = (size_t)-1;
	fail(&opts.known, -EINVAL, "opts->sz", "");
}

static void refused(const char *os_release)
{
	struct btfgen_find_opts opts = options(os_release);

	opts.reserved[4] = 1;
	fail(&opts, -EINVAL, "opts->reserved", "");
	opts = options(os_release);
	memset(&opts.require_custom, 2, 1);
	fail(&opts, -EINVAL, "bool", "");
	opts = options(os_release);
	opts.archive = archive;
	opts.archive_file = "/nonexistent";
	fail(&opts, -EINVAL, "both", "");
	opts = options(os_release);
	opts.archive_size = 1;
	fail(&opts, -EINVAL, "NULL", "");
	opts = options(os_release);
	opts.loader = "libbpf";
	fail(&opts, -EINVAL, "opts->loader", "");
	opts.loader = "libbpf:1.2";
	opts.release = "\xff";
	fail(&opts, -EINVAL, "opts->release", "");
	opts.release = NULL;
	opts.build_id = "0123";
	fail(&opts, -EINVAL, "opts->build_id", "");

	CHECK(btfgen_find(&opts, NULL) == -EINVAL);
	CHECK(btfgen_path(NULL, NULL) == -EINVAL);
	CHECK(btfgen_bytes(NULL, NULL, NULL) == -EINVAL);
	CHECK(btfgen_origin(NULL) == BTFGEN_ORIGIN_NONE && !btfgen_kernel(NULL));
	CHECK(!btfgen_error(NULL)[0] && !btfgen_steps(NULL)[0]);
	btfgen_free(NULL);
}

int main(int argc, char **argv)
{
	struct btfgen_find_opts opts;
	const char *os_release;

	CHECK(argc == 5);
	os_release = argv[2];
	read_archive(argv[1]);

	/* The linked archive, the archive in memory and in a file, and a BTF's file. */
	opts = options(os_release);
	find(&opts, BTFGEN_ORIGIN_ARCHIVE);
	opts.archive = archive;
	opts.archive_size = archive_size;
	opts.loader = "cilium:0.11";
	find(&opts, BTFGEN_ORIGIN_ARCHIVE);
	opts = options(os_release);
	opts.archive_file = argv[1];
	find(&opts, BTFGEN_ORIGIN_ARCHIVE);

	/* Another build. The archive has no build ids. */
	opts.build_id = "0123456789abcdef";
	find(&opts, BTFGEN_ORIGIN_ARCHIVE);
	opts.build_id = NULL;

	/* Another kernel. */
	opts.release = "0.0.1";
	fail(&opts, -ENOENT, "0.0.1", "any distribution");
	opts.release = NULL;
	opts.arch = "sparc64";
	fail(&opts, -ENOENT, "sparc64", "sparc64");
	opts = options("/nonexistent/os-release");
	fail(&opts, -ENOENT, "/nonexistent/os-release", "not there");
	opts = options(os_release);
	opts.btf_file = argv[1];
	fail(&opts, -EINVAL, argv[1], argv[1]);
	opts = options(os_release);
	opts.archive = "no archive";
	opts.archive_size = 10;
	fail(&opts, -EBADMSG, "gzip", "archive: ");

	unloadable(os_release, argv[3], argv[4]);
	other_sizes(os_release);
	refused(os_release);
	return 0;
}
